"""The demo's journeys against what its data says by itself: who had to come in, and which steps they reached."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from lived import Demo
from sqlalchemy import text

REAL_TIME_DAYS = 3
NEW, LAPSED = 2, 5
ENTERED = """
    SELECT uniqExact(customer_id, data_date) FROM target_group_members
    WHERE target_group_id = {group:UInt32} AND data_date > {after:Date} AND (customer_id, data_date - 1) NOT IN (
        SELECT customer_id, data_date FROM target_group_members WHERE target_group_id = {group:UInt32}
    )
"""
# Those of whom the shop had told by that morning; February 29 is wished on the day before in other years.
BORN = """
    SELECT count() FROM customers
    WHERE REGISTRATION_DATE < {morning:Date} AND (
        formatDateTime(DATE_OF_BIRTH, '%m-%d') = formatDateTime({morning:Date}, '%m-%d')
        OR formatDateTime(DATE_OF_BIRTH, '%m-%d') = '02-29' AND formatDateTime({morning:Date}, '%m-%d') = '02-28'
            AND toDayOfMonth({morning:Date} + 1) = 1
    )
"""
FIRINGS = """
    SELECT series.name, count(*) FROM trigger_firings AS firing
    JOIN campaign_series AS series ON series.tenant_id = firing.tenant_id AND series.id = firing.series_id
    WHERE firing.tenant_id = :t AND series.trigger #>> '{trigger,kind}' = 'journey' GROUP BY series.name
"""


@pytest.fixture(scope="module")
def results(demo: Demo) -> dict[str, dict[str, Any]]:
    """The results of each journey by its name."""
    journeys = demo.client.get("/manage/v1/journeys").json()
    return {
        journey["name"]: demo.client.get(f"/manage/v1/journeys/{journey['id']}/results").json() for journey in journeys
    }


@pytest.fixture(scope="module")
def firings(demo: Demo) -> Counter[str]:
    """How often each message of a journey was decided about."""
    with demo.scope.stores.records.engine.connect() as connection:
        rows = connection.execute(text(FIRINGS), {"t": demo.scope.tenant_id})
        return Counter({str(name): int(number) for name, number in rows})


def reached(result: dict[str, Any]) -> dict[str, int]:
    return {step["step"]: step["reached"] for step in result["steps"]}


def test_whoever_entered_a_group_is_in_its_journey(demo: Demo, results: dict[str, dict[str, Any]]) -> None:
    before = demo.data_date - timedelta(days=REAL_TIME_DAYS)
    expected = {
        name: demo.scope.warehouse.value(ENTERED, group=group, after=before)
        for name, group in (("Welcome series", NEW), ("Win-back", LAPSED))
    }
    assert {name: results[name]["entered"] for name in expected} == expected
    assert sum(expected.values()) > 0


def test_birthdays_are_wished(demo: Demo, results: dict[str, dict[str, Any]], firings: Counter[str]) -> None:
    mornings = [demo.today - timedelta(days=n) for n in range(REAL_TIME_DAYS)]
    born = sum(demo.scope.warehouse.value(BORN, morning=morning) for morning in mornings)
    assert results["Birthday"]["entered"] == firings["Birthday wishes"] == born > 0


def test_every_message_step_is_a_firing_of_its_campaign(
    results: dict[str, dict[str, Any]], firings: Counter[str]
) -> None:
    welcome, cart, win_back = (reached(results[name]) for name in ("Welcome series", "Cart rescue", "Win-back"))
    assert firings["Welcome mail"] == welcome["welcome"]
    assert firings["Welcome voucher"] == welcome["voucher"]
    assert firings["Basket reminder"] == cart["reminder"] > 0
    assert firings["Last call for the basket"] == cart["last_call"]
    assert firings["Come back: voucher"] == win_back["voucher"]
    assert firings["Come back: free delivery"] == win_back["delivery"]


def test_a_day_after_the_welcome_is_a_voucher_for_who_did_not_buy_again(results: dict[str, dict[str, Any]]) -> None:
    steps = {step["step"]: step for step in results["Welcome series"]["steps"]}
    gone_on = steps["welcome"]["reached"] - steps["day"]["standing"]
    assert steps["bought"]["reached"] == gone_on
    assert steps["buys"]["reached"] + steps["voucher"]["reached"] == gone_on
    assert results["Welcome series"]["endings"].get("exited", 0) == steps["buys"]["reached"]
