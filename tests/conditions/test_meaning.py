"""What conditions mean, on examples worked out by hand: missing values, dates, clock changes, histories."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from condition_world import SCHEMA, TODAY

from rapport.access.scope import Scope
from rapport.conditions import (
    Column,
    Facts,
    Kind,
    Names,
    Schema,
    load_histories,
    parse,
    sentence,
    to_predicate,
    to_sql,
)
from rapport.conditions.histories.activity import Event
from rapport.conditions.histories.interactions import Interaction
from rapport.conditions.histories.transactions import Item, Transaction
from rapport.conditions.language.nodes import HistoryIs

MISSING_TRUE = ("not_equals", "not_in", "not_contains", "is_empty")


def holds(data: dict[str, Any], known_through: date | None = None, attributes: Any = None, **rows: list[Any]) -> bool:
    """Whether a condition is true of a customer with attributes, and with rows of histories by their names."""
    facts = Facts("C1", TODAY, attributes or {}, rows, known_through=known_through)
    return to_predicate(parse(data), SCHEMA)(facts)


def attribute(name: str, operator: str, value: Any, has: Any) -> bool:
    told = {"attribute": name, "operator": operator} | ({} if value is None else {"value": value})
    return holds(told, attributes={name: has})


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("equals", "x"),
        ("in", ["x"]),
        ("contains", "x"),
        ("starts_with", "x"),
        ("ends_with", "x"),
        ("is_not_empty", None),
        ("not_equals", "x"),
        ("not_in", ["x"]),
        ("not_contains", "x"),
        ("is_empty", None),
    ],
)
def test_a_missing_value_fails_comparisons_and_passes_their_negations(operator: str, value: Any) -> None:
    told = {"attribute": "T_TEXT", "operator": operator} | ({} if value is None else {"value": value})
    assert holds(told) is (operator in MISSING_TRUE)
    assert holds({"not": told}) is (operator not in MISSING_TRUE)


@pytest.mark.parametrize(
    ("operator", "value", "has", "expected"),
    [
        ("equals", "STRASSE", "strasse", True),
        ("equals", "straße", "STRASSE", False),  # two spellings, not two cases
        ("contains", "c%_", "a'b\\C%_", True),
        ("contains", "%", "abc", False),
        ("starts_with", "ÅNG", "ångström", True),
        ("ends_with", "RÖM", "ångström", True),
        ("is_empty", None, "", True),
        ("is_empty", None, " ", False),
        ("not_in", ["a", "b"], "B", False),
    ],
)
def test_texts(operator: str, value: Any, has: str, expected: bool) -> None:
    assert attribute("T_TEXT", operator, value, has) is expected


@pytest.mark.parametrize(
    ("operator", "value", "has", "expected"),
    [
        ("equals", 0.1, Decimal("0.1"), True),
        ("between", [1, 2], Decimal("2"), True),
        ("not_between", [1, 2], Decimal("2"), False),
        ("greater", 2, Decimal("2.0001"), True),
        ("less_or_equal", 2, Decimal("2"), True),
        ("less", 2, Decimal("2"), False),
        ("in", [1, 2.5], Decimal("2.5"), True),
        ("equals", 0.3, 0.1 + 0.2, False),  # a float is compared as it is written
    ],
)
def test_numbers(operator: str, value: Any, has: Any, expected: bool) -> None:
    assert attribute("T_DECIMAL", operator, value, has) is expected


def test_percents_of_a_percentile_rank() -> None:
    best = [rank for rank in range(1, 101) if attribute("T_PERCENTILE", "top_percent", 10, rank)]
    worst = [rank for rank in range(1, 101) if attribute("T_PERCENTILE", "bottom_percent", 5, rank)]
    assert (best, worst) == (list(range(91, 101)), [1, 2, 3, 4, 5])


def days(operator: str, value: Any) -> list[int]:
    """The days from today (negative ones past) that pass."""
    return [n for n in range(-5, 6) if attribute("T_DATE", operator, value, TODAY + timedelta(days=n))]


def test_relative_dates_count_from_today() -> None:
    assert days("in_last_days", 2) == [-2, -1, 0]
    assert days("more_than_days_ago", 2) == [-5, -4, -3]
    assert days("in_next_days", 2) == [0, 1, 2]
    assert days("more_than_days_ahead", 2) == [3, 4, 5]


def test_relative_dates_move_with_the_day_of_the_facts() -> None:
    predicate = to_predicate(parse({"attribute": "T_DATE", "operator": "in_last_days", "value": 0}), SCHEMA)
    for day in (date(2026, 1, 1), date(2026, 1, 2)):
        assert predicate(Facts("C1", day, {"T_DATE": day}))
        assert not predicate(Facts("C1", day, {"T_DATE": day - timedelta(days=1)}))


@pytest.mark.parametrize(
    ("born", "today", "ahead", "expected"),
    [
        (date(1990, 3, 30), date(2026, 3, 30), 0, True),
        (date(1990, 4, 2), date(2026, 3, 30), 3, True),
        (date(1990, 4, 2), date(2026, 3, 30), 0, False),
        (date(1992, 2, 29), date(2024, 2, 29), 0, True),
        (date(1992, 2, 29), date(2026, 2, 28), 0, True),  # no 29th this year
        (date(1992, 2, 29), date(2024, 2, 28), 0, False),
        (date(1992, 2, 29), date(2026, 3, 1), 0, False),
        (date(2026, 3, 30), date(2026, 3, 30), 0, False),  # the day itself is no anniversary
        (date(1990, 1, 1), date(2025, 12, 31), 1, True),
    ],
)
def test_anniversaries(born: date, today: date, ahead: int, expected: bool) -> None:
    predicate = to_predicate(parse({"attribute": "T_DATE", "operator": "anniversary_in_days", "value": ahead}), SCHEMA)
    assert predicate(Facts("C1", today, {"T_DATE": born})) is expected


def test_an_instant_belongs_to_the_tenants_day_also_when_clocks_change() -> None:
    """29 March 2026 lasts 23 hours in Berlin: from 23:00 UTC the day before to 22:00 UTC."""
    told = {"operator": "equals", "value": "2026-03-29"}
    edges = {
        datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC): False,
        datetime(2026, 3, 28, 23, tzinfo=UTC): True,
        datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC): True,
        datetime(2026, 3, 29, 22, tzinfo=UTC): False,
    }
    for instant, expected in edges.items():
        assert holds({"attribute": "T_INSTANT", **told}, attributes={"T_INSTANT": instant}) is expected


def test_times_of_day_in_gap_and_fold() -> None:
    """02:30 does not exist on 29 March and is 01:30 UTC; on 25 October 2026 it is first at 00:30 UTC."""
    for wall, instant in (
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-29T12:00:00+02:00", datetime(2026, 3, 29, 10, tzinfo=UTC)),
    ):
        assert attribute("T_INSTANT", "equals", wall, instant)
        assert not attribute("T_INSTANT", "greater", wall, instant)
    assert attribute("T_TIME", "equals", "2026-03-29T10:00:00Z", datetime(2026, 3, 29, 12))
    assert attribute("T_TIME", "less_or_equal", "2026-03-29", datetime(2026, 3, 29, 23, 59, 59))
    assert not attribute("T_TIME", "greater", "2026-03-29", datetime(2026, 3, 29, 23, 59, 59))


def at(days_ago: int, hour: int = 12) -> datetime:
    return datetime(TODAY.year, TODAY.month, TODAY.day, hour) - timedelta(days=days_ago)


def history(source: str = "transactions", **members: Any) -> dict[str, Any]:
    return {"history": source, **members}


def test_amounts_are_exact() -> None:
    bought = [Transaction(at(1), 0.1), Transaction(at(2), 0.2)]
    assert holds(history(measure="sum", operator="equals", value=0.3), transactions=bought)
    assert holds(history(measure="average", operator="equals", value=0.15), transactions=bought)


def test_what_is_no_purchase_counts_only_when_named() -> None:
    one = [Transaction(at(1), 5, "Refund"), Transaction(at(1), 5, "order", "VOID"), Transaction(at(1), -5)]
    assert not holds(history(), transactions=one)
    assert holds(history(where={"type": "refund"}), transactions=one)
    assert holds(history(where={"status": "void"}), transactions=one)
    assert holds(history(where={"type": "order"}, operator="equals", value=1), transactions=one)


def test_a_customer_without_rows_has_a_count_and_a_sum_of_zero_and_nothing_else() -> None:
    assert holds(history(operator="equals", value=0))
    assert holds(history(measure="sum", operator="less", value=1))
    assert holds(history(measure="maximum", operator="is_empty"))
    assert not holds(history(measure="maximum", operator="less", value=1))
    assert holds({"not": history(measure="last_date", operator="in_last_days", value=30)})


def test_windows_end_with_what_is_known() -> None:
    told = history(window={"days": 2}, operator="equals", value=1)
    for known_through, expected in ((TODAY, 3), (TODAY - timedelta(days=1), 2)):
        bought = [Transaction(at(n), 1) for n in range(4)]
        told = history(window={"days": 2}, operator="equals", value=expected)
        assert holds(told, transactions=bought, known_through=known_through)


def test_bought_products_and_categories() -> None:
    shoes = [Item("P1", 2, 10, "Shoes"), Item("P2", 1, 99, "Hats"), Item("P1", 1, 500, "Shoes", is_return=True)]
    bought = [Transaction(at(1), 119, items=shoes)]
    assert holds(history(where={"category": "SHOES"}, measure="sum", operator="equals", value=20), transactions=bought)
    assert holds(history(where={"product": ["p2", "p1"]}, operator="equals", value=1), transactions=bought)
    assert not holds(history(where={"product": "p9"}), transactions=bought)


def test_transactions_by_their_properties() -> None:
    bets = [
        Transaction(at(1), 10, "bet", properties={"Sport": "Football", "Live": "yes"}),
        Transaction(at(2), 20, "bet", properties={"Sport": "football"}),
        Transaction(at(3), 40, "bet", properties={"Sport": "Tennis", "Live": "yes"}),
        Transaction(at(4), 80, "bet"),
    ]

    def totals(total: int, **properties: Any) -> bool:
        asked = history(where={"properties": properties}, measure="sum", operator="equals", value=total)
        return holds(asked, transactions=bets)

    assert totals(30, Sport="FOOTBALL")
    assert totals(10, Sport="football", Live="yes")
    assert totals(70, Sport=["tennis", "football"])
    assert totals(0, Sport="golf")
    assert totals(0, sport="football"), "the name of a property is as the file has it"


def test_properties_of_transactions_are_read_for_one_customer_as_for_all(scope: Scope) -> None:
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "properties"]
    yesterday = at(1).replace(tzinfo=UTC)
    rows = [
        ("T1", "Ann", yesterday, 10.0, "bet", {"Sport": "Football", "Live": "no"}),
        ("T2", "Ben", yesterday, 20.0, "bet", {"Sport": "Tennis", "Live": "no"}),
        ("T3", "Cem", yesterday, 30.0, "bet", {}),
    ]
    scope.warehouse.insert("transactions", columns, rows)
    people = ["Ann", "Ben", "Cem"]
    scope.warehouse.insert("profiles", ["data_date", "customer_id"], [(SCHEMA.data_date, name) for name in people])
    condition = parse(history(where={"properties": {"Sport": "football"}}))
    assert isinstance(condition, HistoryIs)
    compiled = to_sql(condition, SCHEMA)
    assert scope.warehouse.rows(compiled.sql, **compiled.parameters) == [("Ann",)]
    loaded = load_histories(scope.warehouse, people, [condition], SCHEMA, TODAY, lambda campaigns: {})
    predicate = to_predicate(condition, SCHEMA)
    assert [name for name in people if predicate(Facts(name, TODAY, histories=loaded[name]))] == ["Ann"]


def test_events_and_interactions_in_a_window() -> None:
    midnight = datetime(2026, 3, 29, 23, tzinfo=ZoneInfo("Europe/Berlin"))
    events = [Event(7, midnight, {"page": "Cart"})]
    told = history("activity", where={"event_type": 7, "properties": {"page": "cart"}}, window={"days": 1})
    assert holds(told, activity=events)
    assert not holds({**told, "window": {"days": 0}}, activity=events)
    clicked = [Interaction(midnight, 3, 11, 2, 504, 1)]
    assert holds(history("interactions", where={"event": ["clicked", "opened"], "series": 1}), interactions=clicked)
    assert not holds(history("interactions", where={"event": "bounced"}), interactions=clicked)


def test_a_million_listed_values_are_bound_as_one_array(scope: Scope) -> None:
    listed = [f"C{i}" for i in range(100_000)]
    scope.warehouse.insert("profiles", ["data_date", "customer_id"], [(SCHEMA.data_date, one) for one in ("c7", "x")])
    compiled = to_sql(parse({"customers": listed}), SCHEMA)
    assert scope.warehouse.rows(compiled.sql, **compiled.parameters) == [("c7",)]


def test_windows_read_only_their_partitions(scope: Scope) -> None:
    for year in (2020, 2025, 2026):
        scope.warehouse.insert(
            "transactions",
            ["transaction_id", "customer_id", "transaction_time", "amount"],
            [(str(year), "c7", datetime(year, 3, 1, tzinfo=UTC), 5.0)],
        )
    compiled = to_sql(parse(history(window={"days": 50})), SCHEMA)
    rows = compiled.sql[compiled.sql.index("SELECT customer_id FROM transactions") : -1]
    plan = scope.warehouse.rows(f"EXPLAIN indexes = 1 {rows}", **compiled.parameters)
    text = "\n".join(line for (line,) in plan)
    read, present = map(int, re.findall(r"Parts: (\d+)/(\d+)", text)[0])
    assert present - read == 2, text  # those of 2020 and 2025


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"all": []}, "Every customer"),
        ({"group": 4}, "In target group 'Loyal'"),
        ({"group": 5}, "In target group '5'"),
        ({"list": 5}, "On customer list 5"),
        ({"customers": ["A", "b"]}, "The customer is 'a' or 'b'"),
        (
            {"any": [{"all": [{"group": 4}, {"list": 1}]}, {"not": {"attribute": "t_text", "operator": "is_empty"}}]},
            "(in target group 'Loyal' and on customer list 1) or not (Town is empty)",
        ),
        (
            {"attribute": "T_INT", "operator": "in", "value": [1, 2, 3, 4.5, 5, 6, 7]},
            "T_INT is one of 1, 2, 3, 4.5, 5 or 2 more",
        ),
        ({"attribute": "T_INT", "operator": "between", "value": [1, 2]}, "T_INT is between 1 and 2"),
        ({"attribute": "T_FLAG", "operator": "equals", "value": False}, "T_FLAG is false"),
        ({"attribute": "T_DATE", "operator": "anniversary_in_days", "value": 0}, "T_DATE has its anniversary today"),
        (
            history(measure="sum", where={"type": ["order"]}, window={"days": 30}, operator="greater", value=100),
            "The total amount of transactions with type 'order' in the last 30 days is more than 100",
        ),
        (
            history("campaigns", where={"channel": [15, 16]}, window={"from": "2026-01-01", "to": "2026-02-01"}),
            "The number of campaigns with channel 'Mail' or 16 from 2026-01-01 to 2026-02-01 is at least 1",
        ),
        (
            history("activity", where={"properties": {"page": "Cart"}}, window={"to": "2026-02-01"}),
            "The number of activity events with page 'cart' to 2026-02-01 is at least 1",
        ),
    ],
)
def test_sentences(data: dict[str, Any], told: str) -> None:
    names = Names({"T_TEXT": "Town"}, {4: "Loyal"}, {"channel": {15: "Mail"}})
    assert sentence(parse(data), names) == told


def test_a_schema_finds_attributes_in_any_case() -> None:
    assert SCHEMA.column("t_text") == SCHEMA.column("T_TEXT")
    assert Schema({}, date(2026, 1, 1), ZoneInfo("UTC")).column("x") is None
    assert {column.kind for column in SCHEMA.attributes.values()} == set(Kind)


@pytest.mark.parametrize("window", [{"from": "1901-01-01"}, {"days": 36_500}, {"to": "2298-12-31"}, {}])
@pytest.mark.parametrize("source", ["transactions", "activity", "campaigns", "interactions"])
def test_windows_beyond_what_columns_can_hold_leave_nothing_out(
    edges: str, scope: Scope, source: str, window: dict[str, Any]
) -> None:
    where = {"outcome": "targeted"} if source == "campaigns" else {}
    compiled = to_sql(parse({"all": [{"customers": [edges]}, history(source, where=where, window=window)]}), SCHEMA)
    assert scope.warehouse.rows(compiled.sql, **compiled.parameters) == [(edges,)]


@pytest.mark.parametrize("name", ["REGISTRATION_DATE", "LAST_UPDATED", "DATE_OF_BIRTH"])
def test_dates_beyond_what_columns_can_hold_compare_as_dates(edges: str, scope: Scope, name: str) -> None:
    kinds = {"LAST_UPDATED": Kind.TIME}
    schema = Schema({name: Column(name, kinds.get(name, Kind.DATE))}, SCHEMA.data_date, SCHEMA.time_zone)
    for operator, value, expected in (
        ("greater", "1901-01-01", 1),
        ("less", "2298-12-31", 1),
        ("less", "1901-01-01", 0),
        ("greater_or_equal", "2298-12-31", 0),
        ("between", ["1901-01-01", "2298-12-31"], 1),
        ("in_last_days", 36_500, 1),
        ("more_than_days_ahead", 36_500, 0),
        ("equals", "2298-12-31", 0),
    ):
        told = {"all": [{"customers": [edges]}, {"attribute": name, "operator": operator, "value": value}]}
        compiled = to_sql(parse(told), schema)
        assert len(scope.warehouse.rows(compiled.sql, **compiled.parameters)) == expected, (operator, value)


@pytest.fixture(scope="module")
def edges(scope: Scope) -> str:
    """A customer with one row in every history, a few days ago."""
    day, moment = date(2026, 3, 20), datetime(2026, 3, 20, 12, tzinfo=UTC)
    one = "EDGES"
    rows: dict[str, dict[str, Any]] = {
        "profiles": {
            "data_date": SCHEMA.data_date,
            "customer_id": one,
            "REGISTRATION_DATE": day,
            "LAST_UPDATED": moment,
            "DATE_OF_BIRTH": day,
        },
        "transactions": {"transaction_id": "e", "customer_id": one, "transaction_time": moment, "amount": 5.0},
        "activity_events": {"event_id": "e", "event_type_id": 7, "customer_id": one, "event_at": moment},
        "campaign_recipients": {"execution_date": day, "campaign_id": 1, "customer_id": one, "action_id": 2},
        "campaign_interactions": {"delivery_date": day, "customer_id": one, "event_id": 2, "interaction_at": moment},
    }
    for table, row in rows.items():
        scope.warehouse.insert(table, list(row), [tuple(row.values())])
    return one
