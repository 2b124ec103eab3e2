"""What happened in some days, counted by hand; the audit log by who, what and when; lists of campaigns of some days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from campaign_tenant import (
    DATA_DATE,
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

from rapport.access.scope import Scope
from rapport.campaigns.cycle import tasks
from rapport.campaigns.measurement import interactions
from rapport.campaigns.measurement.interactions import ReportedInteraction
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.messaging.contactability import suppressions
from rapport.realtime.recording.pending_receipts import unfiled_receipts

WEEK_BEFORE = DATA_DATE - timedelta(days=7)
# customer number: stage and segment a week before (none: no customer yet), and on the data date (none: gone).
RESULTS: dict[int, tuple[tuple[int, int] | None, tuple[int, int] | None]] = {
    0: ((2, 1), (4, 1)),
    1: ((2, 2), (4, 3)),
    2: ((4, 2), (3, 2)),
    3: ((2, 1), (2, 1)),
    4: (None, (1, 4)),
    5: ((5, 4), None),
}
ORDERS = [(2, "2026-03-03 00:00:00", 10.0), (2, "2026-03-09 23:59:59", 20.5), (3, "2026-03-05 12:00:00", 5.0)]
# A year before, on the same weekdays.
YEAR_BEFORE = [(3, "2025-03-04 00:00:00", 30.0), (3, "2025-03-10 23:59:59", 41.0), (3, "2025-03-11 00:00:00", 99.0)]
ORDERS_BEFORE = [(3, "2026-03-02 23:59:59", 7.0), (3, "2026-02-23 23:59:59", 99.0), (3, "2026-03-10 00:00:00", 99.0)]


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    people = [customer(number, IS_BLOCKED="Yes" if number == 5 else None) for number in range(6)]
    add_profiles(scope, people)
    scope.warehouse.insert("customers", ["customer_id"], [[one["customer_id"]] for one in people])
    rows = [
        (day, f"C{number:05d}", *place)
        for number, both in RESULTS.items()
        for day, place in zip((WEEK_BEFORE, DATA_DATE), both, strict=True)
        if place
    ]
    scope.warehouse.insert(
        "model_results", ["data_date", "customer_id", "lifecycle_stage_id", "value_segment_id"], rows
    )
    bought = [
        (f"T{n}", f"C{who:05d}", datetime.fromisoformat(at).replace(tzinfo=UTC), amount)
        for n, (who, at, amount) in enumerate([*ORDERS, *ORDERS_BEFORE, *YEAR_BEFORE])
    ]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], bought)
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope)
    series = add_series(scope, 1, [group(2, (EXTERNAL, 4))], control_share=0, name="Spring", tags=["spring"])
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    done = [ReportedInteraction(number, EXTERNAL, 4, event, "C00001", NOW) for event in (2, 3)]
    interactions.add_interactions(scope, done, unfiled_receipts)
    suppressions.suppress(scope, "C00002", EXTERNAL)
    yield scope


def told(api: httpx.Client, **asked: str) -> dict[str, Any]:
    return dict(api.get("/manage/v1/summary", params=asked).raise_for_status().json())


def test_customers_who_came_went_and_moved(api: httpx.Client) -> None:
    found = told(api)
    assert (found["first"], found["last"]) == ("2026-03-03", "2026-03-09")
    people = found["customers"]
    assert (people["date_before"], people["date_after"]) == (str(WEEK_BEFORE), str(DATA_DATE))
    counts = ("customers_before", "customers_after", "came", "gone")
    assert [people[name] for name in counts] == [5, 5, 1, 1]
    stages = [(one["before"], one["after"], one["customers"]) for one in people["lifecycle_stages"]]
    assert stages == [
        ("Active", "Churn", 2),
        ("", "New", 1),
        ("Churn", "Reactivated", 1),
        ("Dormant", "", 1),
    ]
    segments = {(one["before"], one["after"]): one["customers"] for one in people["value_segments"]}
    assert segments == {("High", "Middle"): 1, ("", "Base"): 1, ("Base", ""): 1}


def test_orders_are_those_of_the_days_beside_those_before(api: httpx.Client) -> None:
    found = told(api)
    assert found["orders"] == {"orders": 3, "customers": 2, "value": 35.5} and found["currency"] == "EUR"
    assert found["orders_before"] == {"orders": 1, "customers": 1, "value": 7.0}
    assert found["orders_year_before"] == {"orders": 2, "customers": 1, "value": 71.0} and found["effect"] is None
    assert told(api, first="2026-03-09", last="2026-03-10")["orders"]["orders"] == 2


def test_a_period_that_has_not_ended_is_compared_with_the_same_part_of_the_days_before(api: httpx.Client) -> None:
    week = told(api, first=str(TODAY), last=str(TODAY + timedelta(days=6)))
    assert not week["has_ended"] and week["orders_before"] == {"orders": 1, "customers": 1, "value": 10.0}
    assert told(api)["has_ended"]
    ahead = told(api, first="2026-03-11", last="2026-03-17")
    assert not ahead["has_ended"] and ahead["orders"] == ahead["orders_before"], "no part of it is over"
    assert ahead["orders"]["orders"] == 0


def test_suppressions_of_addresses_are_counted(scope: Scope, api: httpx.Client) -> None:
    told_before = told(api, first=str(TODAY))["suppressed"]
    scope.clock.set(NOW + timedelta(days=2))
    try:
        given = [{"address": f"{who}@example.com"} for who in ("one", "two")]
        for address in given:
            api.post("/manage/v1/suppressions", json=address).raise_for_status()
        today = told(api, first="2026-03-12", last="2026-03-12")["suppressed"]
    finally:
        scope.clock.set(NOW + timedelta(hours=1))
    assert today == {"addresses": 2} and told_before == {"unsubscribed": 1}


def test_campaigns_and_what_came_of_them(api: httpx.Client) -> None:
    found = told(api, first=str(TODAY))
    assert found["last"] == str(TODAY) and found["campaigns"] == {"successful": 1}
    assert found["outcomes"] == {"excluded": 1, "sent": 5} and found["sent_by_channel"] == {str(EXTERNAL): 5}
    assert found["interactions"] == {"opened": 1, "clicked": 1} and found["suppressed"] == {"unsubscribed": 1}
    assert told(api, last="2026-03-08")["campaigns"] == told(api, last="2026-03-08")["outcomes"] == {}
    changed = {(one["action"], one["kind"]): one["times"] for one in found["changes"]}
    assert changed["create", "channel"] == 2 and changed["create", "series"] == 1


def test_the_main_points_are_told_in_sentences(api: httpx.Client) -> None:
    assert told(api)["sentences"] == [
        "2 customers placed 3 orders worth 35.50 EUR: 407% more than in the 7 days before and 50% less than "
        "a year before.",
        "1 customer came and 1 left.",
        "Campaigns sent 0 messages.",
    ]
    day = told(api, first=str(TODAY), last=str(TODAY))["sentences"]
    assert "Campaigns sent 5 messages: 1 opened, 1 clicked." in day


def test_some_channels_and_campaigns(api: httpx.Client) -> None:
    of_all = told(api, first=str(TODAY))
    chosen = ("campaigns", "outcomes", "sent_by_channel", "interactions")
    tagged = told(api, first=str(TODAY), tag="spring")
    assert [tagged[name] for name in chosen] == [of_all[name] for name in chosen]
    on_channel = told(api, first=str(TODAY), channel_id=str(EXTERNAL))
    assert on_channel["outcomes"] == {"sent": 5}, "whoever is excluded is so on every channel"
    assert on_channel["interactions"] == of_all["interactions"]
    other = told(api, first=str(TODAY), channel_id="9")
    assert (other["campaigns"], other["outcomes"], other["interactions"]) == (of_all["campaigns"], {}, {})
    untagged = told(api, first=str(TODAY), tag="autumn")
    assert [untagged[name] for name in chosen] == [{}] * 4 and untagged["orders"] == of_all["orders"]


def test_without_two_days_of_results_customers_are_not_compared(api: httpx.Client) -> None:
    assert told(api, first=str(WEEK_BEFORE), last=str(DATA_DATE))["customers"] is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"first": "2026-03-10", "last": "2026-03-09"}, "last must not be before first"),
        ({"first": "2025-01-01", "last": "2026-03-09"}, "first and last must be at most 92 days apart."),
        ({"first": "0001-01-01", "last": "0001-01-02"}, "must be days from 1971-01-01"),
        ({"first": "9999-12-31"}, "must be days from"),
        ({"last": "0001-01-01"}, "must be days from"),
        ({"from": "2026-03-01"}, "from is not a parameter of this call"),
    ],
)
def test_days_that_cannot_be_are_refused(api: httpx.Client, asked: dict[str, str], said: str) -> None:
    answer = api.get("/manage/v1/summary", params=asked)
    assert answer.status_code == 400 and said in answer.json()["detail"]


def test_campaigns_have_names_and_are_listed_by_days(api: httpx.Client) -> None:
    def named(**asked: str) -> list[str]:
        return [one["name"] for one in api.get("/manage/v1/campaigns", params=asked).raise_for_status().json()]

    assert named() == named(first=str(TODAY), last=str(TODAY)) == ["Spring"]
    assert named(first="2026-03-11") == named(last=str(DATA_DATE)) == []


def test_the_audit_log_is_read_by_who_what_and_when(api: httpx.Client) -> None:
    api.post("/manage/v1/actions", json={"name": "100% off_er"}).raise_for_status()

    def entries(**asked: str) -> list[tuple[str, str]]:
        found = api.get("/manage/v1/audit-entries", params=asked).raise_for_status().json()
        return [(one["action"], one["object"]) for one in found]

    everything = entries(limit="1000")
    assert ("create", "series 1") in everything
    assert entries(object="Series", limit="1000") == [one for one in everything if "series" in one[1]] != []
    assert entries(action="CREATE", limit="1000") == [one for one in everything if one[0] == "create"]
    by_key = entries(actor="key rap_")
    assert ("create", "action 3") in by_key and ("create", "series 1") not in by_key
    assert entries(actor="KEY RAP_", object="action 3", action="create") == [("create", "action 3")]
    assert entries(object="acti_n") == [] == entries(actor="%%")
    at = api.get("/manage/v1/audit-entries", params={"object": "action 3"}).json()[0]["at"]
    assert ("create", "action 3") in entries(since=at) and ("create", "action 3") not in entries(until=at)
    assert entries(since="2030-01-01T00:00:00Z") == []
    assert api.get("/manage/v1/audit-entries", params={"since": "2026-03-10"}).status_code == 400
