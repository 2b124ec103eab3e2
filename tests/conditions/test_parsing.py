"""Faults of definitions are told with their place, and limits are errors."""

from typing import Any

import pytest
from condition_world import SCHEMA

from rapport.conditions import groups_in, parse, to_predicate, to_sql
from rapport.conditions.language.nodes import leaves
from rapport.errors import Invalid

COUNTRY = {"attribute": "T_TEXT", "operator": "equals", "value": "x"}


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = COUNTRY
    for _ in range(depth):
        found = {"not": found}
    return found


def history(**members: Any) -> dict[str, Any]:
    return {"history": "transactions", **members}


def compared(operator: str, value: Any, name: str = "T_TEXT") -> dict[str, Any]:
    return {"attribute": name, "operator": operator, "value": value}


FAULTS: list[tuple[Any, str]] = [
    ([], "definition must be an object."),
    ({}, "must have exactly one of the members all, any, not, attribute, history, group, list, customers, reachable."),
    ({"reachable": 504}, "definition.reachable must be an object."),
    ({"reachable": {}}, "definition.reachable.channel must be a whole number from 1 to"),
    (
        {"reachable": {"channel": 5, "app": "x"}},
        "definition.reachable has the unknown member 'app'; it may have",
    ),
    ({"all": [], "any": []}, "definition must have exactly one of the members"),
    ({"all": {}}, "definition.all must be a list of conditions."),
    ({"any": []}, "definition.any must not be empty."),
    ({"all": [COUNTRY, 3]}, "definition.all[1] must be an object."),
    ({"all": [{"not": {"any": [3]}}]}, "definition.all[0].not.any[0] must be an object."),
    ({"all": [], "x": 1}, "definition has the unknown member 'x'; it may have all."),
    ({**COUNTRY, "x": 1}, "definition has the unknown member 'x'; it may have attribute, operator, value."),
    ({"attribute": " ", "operator": "is_empty"}, "definition.attribute must be a text of 1 to 1000 characters."),
    (nested(20), "is nested deeper than 20 levels."),
    ({"all": [COUNTRY] * 500}, "definition.all[499]: the definition has more than 500 conditions."),
    (
        {"any": [history()] * 101},
        "definition.any[100]: the definition has more than 100 conditions on a history.",
    ),
    ({"attribute": "T_TEXT"}, "definition.operator must be one of equals, not_equals, in, "),
    (compared("like", "x"), "definition.operator must be one of"),
    (compared("is_empty", 1), "definition.value must be left out, since is_empty takes no value."),
    (compared("in", "x"), "definition.value must be a list with at least one value."),
    (compared("in", []), "definition.value must be a list with at least one value."),
    (compared("in", ["x"] * 100_001), "lists more than 100000 values; store a customer list and refer to it."),
    (compared("in", ["x", None]), "definition.value[1] must be a text of at most 1000 characters, a number, true"),
    (compared("equals", "x" * 1001), "definition.value must be a text of at most 1000 characters"),
    (compared("equals", "\ud83d"), "definition.value must not hold half of a surrogate pair."),
    (compared("in", ["x", "a\0"]), "definition.value[1] must not contain a null character."),
    ({"customers": ["\ud83d"]}, "definition.customers[0] must not hold half of a surrogate pair."),
    (
        {
            "all": [COUNTRY]
            + [{"history": "activity", "where": {"properties": dict.fromkeys(map(str, range(250)), "x")}}] * 2
        },
        "definition.all[2].where.properties: the definition has more than 500 conditions.",
    ),
    (compared("equals", float("nan")), "definition.value must be a number of at most 1000000000000000000."),
    (compared("equals", 10**19), "definition.value must be a number of at most 1000000000000000000."),
    (compared("equals", 1e-12), "definition.value must be a number with at most 10 decimals."),
    (compared("between", [1]), "definition.value must be a list of two values, the lower first."),
    (compared("between", [2, 1]), "definition.value must have two values of one type, the lower first."),
    (compared("between", ["1", 2]), "definition.value must have two values of one type, the lower first."),
    (compared("in_last_days", -1), "definition.value must be a whole number from 0 to 36500."),
    (compared("in_last_days", 1.5), "definition.value must be a whole number from 0 to 36500."),
    (compared("in_last_days", True), "definition.value must be a whole number from 0 to 36500."),
    (compared("top_percent", 0), "definition.value must be a number above 0 and at most 100."),
    (compared("top_percent", "x"), "definition.value must be a number above 0 and at most 100."),
    ({"group": 0}, "definition.group must be a whole number from 1 to"),
    ({"list": "x"}, "definition.list must be a whole number from 1 to"),
    ({"customers": []}, "definition.customers must be a list with at least one value."),
    ({"customers": ["x", 3]}, "definition.customers[1] must be a text of 1 to 1000 characters."),
    ({"history": "mails"}, "definition.history must be one of transactions, activity, campaigns, interactions."),
    ({"history": []}, "definition.history must be one of"),
    (history(measure="median"), "definition.measure must be one of count, sum, average,"),
    ({"history": "activity", "measure": "sum"}, "definition.measure must be one of count, first_date, last_date."),
    (history(measure="sum"), "definition.operator must be one of"),
    (history(value="x"), "definition.value must be a number."),
    (history(where=[]), "definition.where must be an object."),
    (history(where={"colour": 1}), "definition.where has the unknown member 'colour'; it may have type, status,"),
    (history(where={"type": 3}), "definition.where.type must be a text of 1 to 1000 characters."),
    (history(where={"type": ["x", ""]}), "definition.where.type[1] must be a text of 1 to 1000 characters."),
    ({"history": "activity", "where": {"event_type": "x"}}, "definition.where.event_type must be a whole number"),
    ({"history": "activity", "where": {"properties": 1}}, "definition.where.properties must be an object."),
    ({"history": "activity", "where": {"properties": {"": "x"}}}, "definition.where.properties must be a text"),
    ({"history": "activity", "where": {"properties": {"a": 1}}}, "definition.where.properties.a must be a text"),
    ({"history": "interactions", "where": {"event": "x"}}, "definition.where.event must be one of opened, clicked,"),
    ({"history": "campaigns", "where": {"outcome": "x"}}, "definition.where.outcome must be one of sent, targeted,"),
    (history(window={"days": 1, "to": "2026-01-01"}), "definition.window must have either days, or from and to."),
    (history(window={"days": "x"}), "definition.window.days must be a whole number from 0 to 36500."),
    (history(window={"from": "x"}), "definition.window.from must be a date as YYYY-MM-DD."),
    (history(window={"from": 3}), "definition.window.from must be a date as YYYY-MM-DD."),
    (history(window={"to": "1800-01-01"}), "definition.window.to must be a date of the years 1901 to 2298."),
    (history(window={"from": "2026-01-02", "to": "2026-01-01"}), "definition.window.to must not be before from."),
    # Faults that only the kind of an attribute shows
    (compared("is_empty", None, "NOPE"), "definition.attribute names 'NOPE', which is not a customer attribute."),
    ({"all": [compared("equals", 3)]}, "definition.all[0].value must be text."),
    (compared("equals", ""), "definition.value must not be empty: use is_empty."),
    (compared("greater", "x"), "definition.operator: greater cannot compare a text."),
    (compared("equals", "x", "T_INT"), "definition.value must be a number."),
    (compared("contains", 3, "T_INT"), "definition.operator: contains cannot compare a number."),
    (compared("top_percent", 3, "T_INT"), "definition.operator: top_percent needs an attribute that is a percentile"),
    (compared("contains", "x", "T_DATE"), "definition.operator: contains cannot compare a date."),
    (compared("top_percent", 3, "T_DATE"), "definition.operator: top_percent cannot compare a date."),
    (compared("in", ["2026-01-01"], "T_TIME"), "definition.operator: in cannot compare a local time."),
    (compared("equals", "01/02/2026", "T_DATE"), "definition.value must be a date as YYYY-MM-DD, or a time as"),
    (compared("equals", 20260101, "T_DATE"), "definition.value must be a date as YYYY-MM-DD, or a time as"),
    (compared("equals", "1800-01-01", "T_DATE"), "of the years 1901 to 2298."),
    (compared("equals", "2026-01-01T10:00", "T_DATE"), "definition.value must be a date as YYYY-MM-DD, without a time"),
    (compared("between", ["2026-02-01", "2026-01-01"], "T_DATE"), "definition.value must have the earlier date first."),
    (compared("equals", "yes", "T_FLAG"), "definition.value must be true or false."),
    (compared("contains", "yes", "T_FLAG"), "definition.operator: contains cannot compare a boolean."),
    (compared("equals", "x", "T_TEXTS"), "definition.operator: equals cannot compare a list of texts."),
    (compared("contains", "x", "T_NUMBERS"), "definition.value must be a number."),
]


@pytest.mark.parametrize(("data", "message"), FAULTS, ids=[message[:50] for _, message in FAULTS])
def test_faults_are_told(data: Any, message: str) -> None:
    for compiled in (to_sql, to_predicate):
        with pytest.raises(Invalid) as error:
            compiled(parse(data), SCHEMA)
        assert message in error.value.message


def test_other_spellings_of_operators_mean_the_same() -> None:
    for spelling, operator in (
        ("notEquals", "not_equals"),
        ("greaterThanOrEquals", "greater_or_equal"),
        ("LESSTHAN", "less"),
        ("isNotNull", "is_not_empty"),
        ("startsWith", "starts_with"),
    ):
        value = None if operator == "is_not_empty" else "x"
        assert parse(compared(spelling, value)) == parse(compared(operator, value))
    assert parse(compared("before", "2026-01-01")) == parse(compared("less", "2026-01-01"))


def test_a_history_without_comparison_means_at_least_one() -> None:
    assert parse(history()) == parse(history(measure="count", operator="greater_or_equal", value=1))
    assert parse(history(value=3)) == parse(history(operator="greater_or_equal", value=3))


def test_limits_are_reached_without_error() -> None:
    assert len(list(leaves(parse({"all": [COUNTRY] * 499})))) == 499
    assert parse(nested(19))
    assert parse(compared("in", ["x"] * 100_000))


def test_groups_are_found_anywhere_in_a_tree() -> None:
    told = {"any": [{"group": 3}, {"not": {"all": [{"group": 9}, {"list": 4}]}}]}
    assert groups_in(parse(told)) == {3, 9}


def test_values_never_become_text_of_the_statement() -> None:
    evil = "x'; DROP TABLE profiles; --"
    one = to_sql(parse(compared("in", [evil, "y"])), SCHEMA)
    many = to_sql(parse(compared("in", [evil] * 90_000)), SCHEMA)
    assert one.sql == many.sql and evil not in one.sql
