"""What a series that is saved can show and how long until it knows, against the usual sample sizes by hand."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from math import ceil, sqrt
from typing import Any

import httpx
import pytest
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
)
from scipy import stats

from rapport.access.scope import Scope
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing

PEOPLE = 2000
BOTH = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
# One in ten bought once for 20 within the week before; half of these twice.
BUYERS = range(0, PEOPLE, 10)


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(n, COUNTRY="NL" if n % 4 else "BE") for n in range(PEOPLE)])
    scope.warehouse.insert("customers", ["customer_id"], [[f"C{n:05d}"] for n in range(PEOPLE)])
    at = [datetime(2026, 3, 5, 12, tzinfo=UTC), datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    rows = [[f"{n}/{i}", f"C{n:05d}", at[i], 20.0] for n in BUYERS for i in (range(2) if n % 20 else [0, 2])]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    publish(scope)
    add_channels(scope)
    add_action(scope)
    add_group(scope, "Dutch", "NL")
    add_group(scope, "Belgian", "BE")
    yield scope
    scope.clock.set(None)


def saved(api: httpx.Client, name: str, groups: list[Any], **more: Any) -> dict[str, Any]:
    body = {
        "name": name,
        "target_group_id": 1,
        "campaign_type": {1: "Test/Control", 2: "A/B"}[len(groups)],
        "schedule": {"kind": "daily", "start_date": TODAY.isoformat()},
        "groups": groups,
        "status": "paused",
        **more,
    }
    answer = api.post("/manage/v1/series", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_rate_of_a_daily_series(tenant: Scope, api: httpx.Client) -> None:
    """1,500 in the group, a fifth held back; a customer comes back after the seven days of a window."""
    made = saved(api, "Daily", [group(2, (EXTERNAL, 1))], control_share=0.2)
    found = made["detectable"]
    so_far = BOTH * sqrt(0.1 * 0.9 * (1 / 300 + 1 / 1200))
    assert found["so_far"] == pytest.approx(so_far)
    assert found["after_a_year"] == pytest.approx(so_far * sqrt(7 / 365))
    assert found["days_until_a_tenth"] == ceil(7 * (so_far / 0.01) ** 2)
    assert found["words"].startswith(
        "With 1500 customers a run can show a difference of 5.4 points from a rate of 10%;"
    )
    assert found["words"].endswith("This assumes that customers do what all customers in the last 7 days did.")
    dry = api.post(f"/manage/v1/series/{made['id']}/dry-run").json()
    assert dry["detectable"]["so_far"] == pytest.approx(so_far) and dry["addressed"] + dry["control"] == 1500


def test_money_of_one_run(tenant: Scope, api: httpx.Client) -> None:
    """Half of the buyers spent 40 in the week and half 20; nobody is above the cap but by its step of 3%."""
    once = {"kind": "once", "start_date": TODAY.isoformat()}
    found = saved(api, "Once", [group(2, (EXTERNAL, 1))], control_share=0.5, schedule=once, goal={"kind": "value"})
    mean, square = (20 + 40) / 2 * 0.1, (400 + 1600) / 2 * 0.1
    so_far = BOTH * sqrt((square - mean**2) * 4 / 1500)
    assert found["detectable"]["so_far"] == pytest.approx(so_far, rel=0.01)
    assert found["detectable"]["days_until_a_tenth"] is None
    assert "from 3 per customer." in found["detectable"]["words"]


def test_groups_without_control_and_nothing_to_compare(tenant: Scope, api: httpx.Client) -> None:
    alike = [group(2, (EXTERNAL, 1), share=share) for share in (0.7, 0.3)]
    found = saved(api, "A/B", alike, control_share=0)["detectable"]
    assert found["so_far"] == pytest.approx(BOTH * sqrt(0.1 * 0.9 * (1 / 1050 + 1 / 450)))
    apart = [group(2, (EXTERNAL, 1), share=0.5), group(2, (EMAIL, 1), share=0.5)]
    found = saved(api, "Apart", apart, control_share=0)["detectable"]
    assert found["so_far"] is None and "neither control nor two groups" in found["words"]
    held_back = saved(api, "Apart, held back", apart, control_share=0.1)["detectable"]
    assert held_back["so_far"] == pytest.approx(BOTH * sqrt(0.1 * 0.9 * (1 / 75 + 1 / 675)))


def test_earlier_runs_on_the_target_group_say_more(tenant: Scope, api: httpx.Client) -> None:
    """Of those of a run two fifths bought in its window, whatever all customers do."""
    series = add_series(tenant, 2, [group(2, (EXTERNAL, 1), time="09:00")], control_share=0.2)
    campaign = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, campaign, DATA_DATE)
    assert processing.process(tenant, campaign, DATA_DATE) == "scheduled"
    members = [f"C{n:05d}" for n in range(0, PEOPLE, 4)]
    at = datetime(2026, 3, 12, 12, tzinfo=UTC)
    rows = [[f"later {who}", who, at, 10.0] for who in members[: len(members) * 2 // 5]]
    tenant.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    publish(tenant, date(2026, 3, 20))
    add_profiles(tenant, [customer(n, COUNTRY="NL" if n % 4 else "BE") for n in range(PEOPLE)], date(2026, 3, 20))
    try:
        found = saved(api, "Informed", [group(2, (EXTERNAL, 1))], control_share=0.2, target_group_id=2)["detectable"]
    finally:
        publish(tenant)
    assert found["so_far"] == pytest.approx(BOTH * sqrt(0.4 * 0.6 * (1 / 100 + 1 / 400)))
    assert found["words"].endswith("what those of the last runs on its target group did.")


def test_before_there_are_responses(tenant: Scope, api: httpx.Client) -> None:
    clicks = [group(2, (EXTERNAL, 1), share=0.5) for _ in range(2)]
    found = saved(api, "Clicks", clicks, goal={"kind": "click"})["detectable"]
    assert found["so_far"] is None and "nobody has responded yet" in found["words"]
    assert tenant.data_date() == DATA_DATE


def test_a_series_that_reaches_nobody_says_so(tenant: Scope, api: httpx.Client) -> None:
    nobody = add_group(tenant, "Nobody", "XX")
    found = saved(api, "Empty", [group(2, (EXTERNAL, 1))], target_group_id=nobody)["detectable"]
    assert (found["so_far"], found["words"]) == (None, "This series cannot show anything: it reaches nobody now.")
