"""Quiet hours of a tenant: what is late, tried again or confirmed at night leaves in the morning."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
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
    outcomes,
    publish,
    tally,
)
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.cycle.scheduler import overdue
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.settings import Hours
from rapport.channels import service as channels
from rapport.stores.workflows import work

BATCH, PEOPLE, LATER = 5, 13, 11
EVENING, NIGHT = (datetime(2026, 3, 10, *at, tzinfo=UTC) for at in ((20, 55), (21, 30)))  # 21:55 and 22:30 in Berlin
DAWN, MORNING = (datetime(2026, 3, 11, *at, tzinfo=UTC) for at in ((6, 59), (7, 0)))
SETTINGS = {
    "batch_size": BATCH,
    "retry_delays": [0],
    "messages_per_day": 99,
    "wait_hours": 2,
    "quiet_hours": {"start": "22:00", "end": "08:00"},
}


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    with scope.records() as session:
        own = {"campaigns": SETTINGS}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=own))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    addresses = {number: f"c{number}@example.com" for number in range(PEOPLE)} | {LATER: "later@example.com"}
    add_profiles(scope, [customer(number, EMAIL=address) for number, address in addresses.items()])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


@pytest.fixture
def box(tenant: Scope) -> Iterator[Mailbox]:
    with mailbox() as server:
        given = {"host": "127.0.0.1", "port": server.port, "from_address": "shop@example.com", "timeout_seconds": 30}
        channels.update_channel(tenant, EMAIL, settings=given)
        yield server


def run(scope: Scope, channel: int = EMAIL, **rules: bool) -> int:
    """A campaign to everybody that is to leave at 21:45 in Berlin."""
    scope.clock.set(NOW)
    more = {"rules": {"include_all": True, **rules}, "control_share": 0}
    made = add_series(scope, 1, [group(2, (channel, 1), time="21:45")], **more)
    number = plan_next_run(scope, made.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def state(scope: Scope, number: int) -> tuple[str, dict[str, int]]:
    return occurrences.occurrence(scope, number).state, tally(outcomes(scope, number))


def waits_until(api: httpx.Client, *numbers: int) -> list[str | None]:
    """What the campaigns say of quiet hours, by themselves and in the list alike."""
    listed = {one["id"]: one["quiet_until"] for one in api.get("/manage/v1/campaigns").raise_for_status().json()}
    alone = [api.get(f"/manage/v1/campaigns/{number}").raise_for_status().json() for number in numbers]
    assert [one["quiet_until"] for one in alone] == [listed[number] for number in numbers]
    return [listed[number] for number in numbers]


SENT = ("successful", {"sent": PEOPLE})


def test_what_was_not_begun_by_night_leaves_in_the_morning(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    box.refusals = 0
    held, at_any_hour, pulled = run(tenant), run(tenant, any_hour=True), run(tenant, EXTERNAL)
    tenant.clock.set(EVENING)
    assert waits_until(api, held, at_any_hour, pulled) == [None] * 3
    for at in (NIGHT, DAWN):
        tenant.clock.set(at)
        assert waits_until(api, held, at_any_hour, pulled) == ["2026-03-11T07:00:00Z", None, None]
        tasks.execute_due(tenant)
        assert state(tenant, held) == ("scheduled", {})
        assert state(tenant, at_any_hour) == state(tenant, pulled) == SENT
        late = [what for what in overdue(tenant) if what.startswith("Campaign ")]
        assert late == [], "what waits for the morning is not late"
    tenant.clock.set(MORNING)
    assert waits_until(api, held) == [None]
    tasks.execute_due(tenant)
    assert state(tenant, held) == SENT, "of the ten hours that it waited none counts as late"


class Night(work._OutageWait):
    """Pauses that bring the morning; how much had left by then is kept."""

    def __init__(self, scope: Scope, box: Mailbox) -> None:
        super().__init__()
        self._scope, self._box = scope, box
        self.had_left: list[int] = []

    def wait(self, seconds: float) -> bool:
        self.had_left.append(len(self._box.messages))
        self._scope.clock.set(MORNING)
        return False


@pytest.mark.parametrize(
    ("shut_after", "had_left"), [(BATCH + 1, 2 * BATCH), (2 * BATCH + 1, PEOPLE - 1)], ids=["batches", "retries"]
)
def test_the_night_begins_in_the_middle_of_a_batch(
    tenant: Scope, box: Mailbox, shut_after: int, had_left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, night = run(tenant), Night(tenant, box)
    monkeypatch.setattr(work, "_patience", night)
    tenant.clock.set(EVENING)
    box.shut_after = shut_after
    sender = threading.Thread(target=tasks.execute_due, args=(tenant,))
    sender.start()
    while sender.is_alive() and len(box.messages) < shut_after:
        time.sleep(0.01)
    tenant.clock.set(NIGHT)
    box.gate.set()
    sender.join(60)
    assert night.had_left == [had_left], "the batch is finished, and nothing follows it"
    assert state(tenant, number) == SENT


def test_a_send_time_in_quiet_hours_is_told(tenant: Scope) -> None:
    times = (("07:59", EMAIL), ("08:00", EMAIL), ("23:00", EXTERNAL))
    groups = [group(2, (channel, 1), time=at, share=1 / 3) for at, channel in times]
    series = add_series(tenant, 1, groups, schedule={"kind": "once", "start_date": TODAY.isoformat()})
    told = "07:59 is in the quiet hours: messages of that time leave at 08:00."
    assert definitions.series_warnings(tenant, series) == [f"{told} rules.any_hour lets them leave at their time."]


def test_that_clicks_in_mail_of_its_own_are_not_measured_is_told(tenant: Scope) -> None:
    once = {"kind": "once", "start_date": TODAY.isoformat()}
    for channel, goal, told in ((EMAIL, "click", 1), (EXTERNAL, "click", 0), (EMAIL, "orders", 0)):
        groups = [group(2, (channel, 1), time="10:00", share=0.5) for _ in range(2)]
        made = add_series(tenant, 1, groups, schedule=once, goal={"kind": goal})
        warned = definitions.series_warnings(tenant, made)
        assert len(warned) == told and all(f"mail of channel {EMAIL} " in one for one in warned)


def test_that_what_a_goal_names_cannot_be_looked_for_yet_is_told(tenant: Scope) -> None:
    once = {"kind": "once", "start_date": TODAY.isoformat()}
    for goal, missing in (
        ({"kind": "product", "product_id": "P1"}, "products"),
        ({"kind": "category", "category": "Tea"}, "products"),
        ({"kind": "margin", "property": "MARGIN"}, "transactions"),
    ):
        made = add_series(tenant, 1, [group(2, (EXTERNAL, 1), time="10:00")], schedule=once, goal=goal)
        (told,) = definitions.series_warnings(tenant, made)
        assert told.startswith(f"goal {goal['kind']}: there are no {missing} yet, ")
    tenant.warehouse.insert("products", ["product_id", "category"], [("P1", "Tea")])
    made = add_series(tenant, 1, [group(2, (EXTERNAL, 1), time="10:00")], goal={"kind": "product", "product_id": "P1"})
    assert not any(one.startswith("goal") for one in definitions.series_warnings(tenant, made))


@pytest.mark.parametrize(
    ("since", "now", "hours"),
    [
        ("2026-03-10T20:00", "2026-03-11T09:00", 3),
        ("2026-03-10T23:00", "2026-03-11T05:00", 0),
        ("2026-03-08T12:00", "2026-03-10T12:00", 28),
        ("2026-03-28T12:00", "2026-03-29T12:00", 14),  # the clocks are put forward in that night
        ("2026-10-24T12:00", "2026-10-25T12:00", 14),
        ("2026-03-10T12:00", "2026-03-10T11:00", -1),
    ],
)
def test_time_that_was_not_quiet(tenant: Scope, since: str, now: str, hours: int) -> None:
    began, ended = (tenant.instant(datetime.fromisoformat(one)) for one in (since, now))
    tenant.clock.set(ended)
    assert quiet_hours.awake(tenant, Hours(start="22:00", end="08:00"), began).total_seconds() == 3600 * hours
