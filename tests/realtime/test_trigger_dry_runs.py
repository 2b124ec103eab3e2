"""A dry run of a trigger counts what firings of everybody would come to, and changes nothing."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from math import sqrt
from typing import Any

import httpx
import pytest
import trigger_world as world
from scipy import stats

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.messaging.contactability import preferences, suppressions
from rapport.realtime.matching import dry_runs

PEOPLE = [
    {"customer_id": f"C{n}", "COUNTRY": "NL" if n % 2 else "BE", "IS_TEST": "Yes" if n == 1 else "No"}
    | {"ALLOW_SMS": "No" if n in (3, 4) else None}
    for n in range(40)
]
DUTCH = {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}
TWO_GROUPS = [
    {"action_id": 2, "share": share, "channels": [{"channel_id": place, "template_id": world.TEMPLATE}]}
    for share, place in ((0.5, world.SMS), (0.5, world.PUSH))
]


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> Iterator[None]:
    world.fill(scope, PEOPLE)
    channels.update_channel(scope, world.SMS, permission_attribute="ALLOW_SMS")
    world.channel(scope, world.PUSH, "Push")
    suppressions.suppress(scope, "C5", world.SMS)
    preferences.set_preference(scope, world.SMS, ["C7"], 2)
    yield
    scope.clock.set(None)


def told(api: httpx.Client, number: int) -> dict[str, Any]:
    answer = api.post(f"/manage/v1/triggers/{number}/dry-run")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def kept_out(found: dict[str, Any]) -> dict[tuple[int, str, str], int]:
    return {(one["channel_id"], one["outcome"], one["reason"]): one["units"] for one in found["not_reached"]}


def test_everybody_who_meets_the_conditions_is_counted(scope: Scope, api: httpx.Client) -> None:
    series = world.trigger(scope, customer_conditions=DUTCH)
    found = told(api, series.id)
    assert (found["customers"], found["looked_at"], found["addressed"], found["control"]) == (20, 20, 16, 0)
    assert found["reached"] == [{"recipient_group_id": 1, "channel_id": world.SMS, "customers": 16}]
    assert kept_out(found) == {
        (0, "excluded", "test account"): 1,
        (world.SMS, "suppressed", "no permission"): 1,
        (world.SMS, "suppressed", "suppression list"): 1,
        (world.SMS, "suppressed", "channel preference"): 1,
    }
    assert found["notes"] == []
    assert told(api, world.trigger(scope).id)["customers"] == 40, "without conditions it is everybody"


def test_it_comes_to_what_the_events_come_to(scope: Scope, api: httpx.Client) -> None:
    more: dict[str, Any] = {"groups": TWO_GROUPS, "campaign_type": "A/B", "control_share": 0.3}
    series = world.trigger(scope, {"kind": "simple", "event": "purchase"}, re_entry="once", **more)
    before = told(api, series.id)
    assert world.firings(scope, series) == [], "nothing was stored"
    world.events(scope, [("purchase", one["customer_id"]) for one in PEOPLE])
    world.process(scope)
    happened = Counter[tuple[str, str]]()
    for firing in world.firings(scope, series):
        happened[firing.outcome, firing.reason] += 1
    assert happened.pop(("sent", "")) == before["addressed"]
    assert happened.pop(("control", "")) == before["control"] > 0
    assert happened == {key[1:]: n for key, n in kept_out(before).items() if key[1] != "control"}
    again = kept_out(told(api, series.id))
    fired = before["addressed"] + before["control"]
    assert again[0, "excluded", "fired before"] == fired, "who had it counts as had"


def test_larger_tenants_are_counted_by_an_even_sample(
    scope: Scope, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = world.trigger(scope)
    monkeypatch.setattr(dry_runs, "LOOKED_AT", 10)
    monkeypatch.setattr(dry_runs, "AT_ONCE", 4)
    found = dry_runs.dry_run(scope, series.id)
    assert (found.customers, found.looked_at) == (40, 10)
    units = found.addressed + sum(one.units for one in found.not_reached)
    assert units == 40 and found.addressed % 4 == 0, "each of those looked at stands for four"
    assert "10 of them were looked at" in found.notes[0]


def test_notes_tell_what_holds_for_all(scope: Scope, api: httpx.Client) -> None:
    hours = {"start": "08:00", "end": "11:30"}
    waits = world.trigger(scope, quiet_hours=hours, conditional=True, starts="2026-03-11")
    found = told(api, waits.id)
    assert found["notes"][:2] == [
        "Today is not from its first to its last day: nothing would fire.",
        "It is a quiet hour: what fires now waits until 11:30.",
    ]
    assert found["notes"][2].startswith("The gateway is asked") and found["addressed"] == 35
    skips = told(api, world.trigger(scope, quiet_hours={**hours, "then": "skip"}).id)
    assert skips["addressed"] == 0 and kept_out(skips)[0, "skipped", "quiet hours"] == 35


def test_what_cannot_be_counted(scope: Scope, api: httpx.Client) -> None:
    assert api.post("/manage/v1/triggers/9999/dry-run").status_code == 404
    series = world.trigger(scope)
    api.put(f"/manage/v1/triggers/{series.id}/status", json={"status": "archived"}).raise_for_status()
    assert api.post(f"/manage/v1/triggers/{series.id}/dry-run").status_code == 409


def test_a_new_trigger_tells_what_it_can_show(scope: Scope, api: httpx.Client) -> None:
    """By the customers who had its event in the 30 days up to the data date, and what they bought in its window."""
    had, too_early = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    number = event_types.ensure(scope, ["page_view"])["page_view"]
    events = [[f"T{n}/{i}", number, f"C{n}", had] for n in range(20) for i in range(2)]
    events += [[f"T{n}", number, f"C{n}", too_early] for n in range(20, 30)]
    scope.warehouse.insert("activity_events", ["event_id", "event_type_id", "customer_id", "event_at"], events)
    orders = [[f"T{n}", f"C{n}", datetime(2026, 3, 8, tzinfo=UTC), 10.0] for n in (1, 2, 3, 4, 25)]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], orders)
    body = {
        "name": "Seen",
        "trigger": {"kind": "simple", "event": "page_view"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}],
        "control_share": 0.5,
        "status": "paused",
    }
    made = api.post("/manage/v1/triggers", json=body)
    assert made.status_code == 201, made.text
    found = made.json()["detectable"]
    so_far = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * sqrt(0.2 * 0.8 / 5)
    assert found["so_far"] == pytest.approx(so_far)
    assert found["after_a_year"] == pytest.approx(so_far * sqrt(30 / 365))
    assert found["words"].startswith("With 20 customers in 30 days") and "'page_view'" in found["words"]
    alone = api.post("/manage/v1/triggers", json={**body, "name": "Alone", "control_share": 0}).json()
    assert "neither control nor two groups" in alone["detectable"]["words"]
    quiet = {**body, "name": "Quiet", "trigger": {"kind": "simple", "event": "level_up"}}
    assert "nobody had its event" in api.post("/manage/v1/triggers", json=quiet).json()["detectable"]["words"]
