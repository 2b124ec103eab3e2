"""A tenant says which types of transactions count, and with which sign: stakes less payouts, deposits not at all."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.access.tenant_settings import check_of
from rapport.api.manage.installation.tenants import SECTIONS
from rapport.audiences.schema import schema
from rapport.campaigns import goals
from rapport.campaigns.measurement.summary import summary
from rapport.campaigns.schemas import PlainGoal
from rapport.conditions import Facts, load_histories, parse, to_predicate, to_sql
from rapport.conditions.language.nodes import HistoryIs
from rapport.customers.settings import value_rule
from rapport.errors import Invalid
from rapport.insight import service as insight

DAY = date(2026, 6, 30)
BETS = {"types": {"Deposit": "none", "payout": "minus"}, "minus_property": "Payout"}
# Winner: stakes 100 + 50, paid out 250, and a deposit. Loser: a stake of 80 with 30 paid out in its own row, and one
# that was canceled. Saver: deposits alone. Lucky: a payout alone.
ROWS = [
    ("1", "winner", 10, 100.0, "bet", "", {}),
    ("2", "winner", 11, 50.0, "Bet", "", {}),
    ("3", "winner", 12, 250.0, "Payout", "", {}),
    ("4", "winner", 9, 100.0, "deposit", "", {}),
    ("5", "loser", 10, 80.0, "bet", "", {"Payout": "30"}),
    ("6", "loser", 11, 40.0, "bet", "void", {"Payout": "5"}),
    ("7", "saver", 10, 500.0, "deposit", "", {}),
    ("8", "lucky", 10, 20.0, "payout", "", {}),
]
NETS = {"winner": -100.0, "loser": 50.0, "saver": 0.0, "lucky": -20.0}


def changed(scope: Scope, transactions: dict[str, Any]) -> Scope:
    settings = {"settings": {"transactions": transactions}}
    return access.update_tenant(scope, settings, check_of(SECTIONS, settings["settings"]))


@pytest.fixture(scope="module")
def bookmaker(scope: Scope) -> Scope:
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "status", "properties"]
    rows = [
        (number, who, datetime(2026, 6, 30, hour, tzinfo=UTC), amount, kind, status, properties)
        for number, who, hour, amount, kind, status, properties in ROWS
    ]
    scope.warehouse.insert("transactions", columns, rows)
    scope.warehouse.insert("customers", ["customer_id"], [(who,) for who in NETS])
    return changed(scope, BETS)


def test_the_daily_model_counts_stakes_less_payouts(bookmaker: Scope) -> None:
    insight.run_model(bookmaker, DAY)
    sql = """
        SELECT customer_id, NUMBER_OF_ORDERS, TOTAL_ORDER_AMOUNT, TOTAL_REFUND_AMOUNT, NET_ORDER_AMOUNT,
            LIFECYCLE_STAGE, VALUE_SEGMENT IS NULL, ifNull(FUTURE_VALUE, 0) >= 0
        FROM profiles WHERE data_date = {day:Date} ORDER BY customer_id
    """
    assert [tuple(row) for row in bookmaker.warehouse.rows(sql, day=DAY)] == [
        ("loser", 1, 80, 30, 50, "New", 0, 1),
        ("lucky", 0, 0, 20, -20, "Dormant", 1, 1),
        ("saver", 0, 0, 0, 0, "Dormant", 1, 1),
        ("winner", 2, 150, 250, -100, "New", 0, 1),
    ]


def test_conditions_sum_what_is_left_and_count_stakes_alone(bookmaker: Scope) -> None:
    insight.run_model(bookmaker, DAY)
    own = schema(bookmaker, DAY)

    def holders(**members: Any) -> set[str]:
        condition = parse({"history": "transactions", **members})
        assert isinstance(condition, HistoryIs)
        compiled = to_sql(condition, own)
        by_sql = {who for (who,) in bookmaker.warehouse.rows(compiled.sql, **compiled.parameters)}
        loaded = load_histories(bookmaker.warehouse, [*NETS], [condition], own, own.today, lambda campaigns: {})
        predicate = to_predicate(condition, own)
        assert {who for who in NETS if predicate(Facts(who, own.today, histories=loaded.get(who, {})))} == by_sql
        return by_sql

    for who, net in NETS.items():
        assert who in holders(measure="sum", operator="equals", value=net)
    assert holders(measure="sum", operator="less", value=0) == {"winner", "lucky"}
    assert holders() == {"winner", "loser"}
    assert holders(measure="maximum", operator="equals", value=100) == {"winner"}
    assert holders(where={"type": "payout"}, measure="sum", operator="equals", value=250) == {"winner"}
    assert holders(where={"type": "deposit"}, measure="sum", operator="equals", value=500) == {"saver"}


def test_results_count_what_is_left_and_a_payout_is_no_response(bookmaker: Scope) -> None:
    goal, since = PlainGoal(kind="value"), "toDateTime('2026-06-30', 'UTC')"
    sold = goals.sales(value_rule(bookmaker), goal, since, f"{since} + 86400", "SELECT customer_id FROM customers")
    sql = f"SELECT customer_id, sum(money), countIf(counts) FROM ({sold}) GROUP BY customer_id ORDER BY customer_id"
    rows = bookmaker.warehouse.rows(sql, **goals.sales_parameters(bookmaker, goal))
    assert [tuple(row) for row in rows] == [("loser", 50, 1), ("lucky", -20, 0), ("winner", -100, 2)]
    orders = summary(bookmaker, DAY, DAY).orders
    assert (orders.orders, orders.customers, orders.value) == (3, 2, -70)


def test_without_the_setting_all_but_the_usual_types_are_orders(bookmaker: Scope) -> None:
    usual = changed(bookmaker, {"types": None, "minus_property": None})
    orders = summary(usual, DAY, DAY).orders
    assert (orders.orders, orders.customers, orders.value) == (7, 4, 1100)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"types": {"bet": "twice"}}, "bet"),
        ({"types": {"Bet": "plus", "bet ": "minus"}}, "more than once"),
        ({"other_types": "none"}, "at least one type that is plus"),
        ({"other_types": "minus"}, "must be 'plus' or 'none'"),
    ],
)
def test_what_cannot_be_meant_is_refused(scope: Scope, settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        changed(scope, settings)
