"""A run whose sending is paused goes on where it was, and mail leaves at the pace of the channel for each provider."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
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
from sqlalchemy import delete, text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import sending
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.delivery import pacing
from rapport.delivery.models import MailLane
from rapport.stores.workflows import work

DUE = NOW + timedelta(hours=1)
PEOPLE = 40
SETTINGS = {"batch_size": 20, "retry_delays": [0], "messages_per_day": 99}


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings={"campaigns": SETTINGS}))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    domains = ("big.example", "small.example")
    add_profiles(scope, [customer(number, EMAIL=f"c{number}@{domains[number % 2]}") for number in range(PEOPLE)])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


@pytest.fixture
def box(tenant: Scope) -> Iterator[Mailbox]:
    with tenant.records() as session:
        session.execute(delete(MailLane))
    with mailbox() as server:
        use(tenant, server)
        yield server


def use(scope: Scope, server: Mailbox, **more: object) -> None:
    own = {"host": "127.0.0.1", "port": server.port, "from_address": "shop@example.com", "connections": 2, **more}
    channels.update_channel(scope, EMAIL, settings=own)


def run(scope: Scope) -> int:
    scope.clock.set(NOW)
    series = add_series(scope, 1, [group(2, (EMAIL, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    return number


def until(true: Callable[[], bool], patience: float = 60) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_paused_run_goes_on_where_it_was(
    tenant: Scope, box: Mailbox, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(sending, "WRITTEN_TOGETHER", 4)
    monkeypatch.setattr(sending, "BETWEEN_LOOKS", 4)
    number, box.shut_after = run(tenant), 6
    sender = threading.Thread(target=tasks.execute_due, args=(tenant,))
    sender.start()
    until(lambda: not box.gate.is_set())
    paused = api.post(f"/manage/v1/campaigns/{number}/pause").raise_for_status().json()
    assert (paused["state"], paused["paused_at"]) == ("executing", "2026-03-10T08:30:00Z")
    box.gate.set()
    time.sleep(0.5)
    left = len(box.messages)
    assert 6 <= left < 20, "what was written and on its way arrives, and no more"
    tenant.clock.set(DUE + timedelta(hours=30))  # longer than any message may be late
    assert api.post(f"/manage/v1/campaigns/{number}/resume").raise_for_status().json()["paused_at"] is None
    sender.join(60)
    assert not sender.is_alive()
    assert (occurrences.occurrence(tenant, number).state, tally(outcomes(tenant, number))) == (
        "successful",
        {"sent": PEOPLE},
    )
    assert set(box.to.values()) == {1} and len(box.to) == PEOPLE
    assert api.post(f"/manage/v1/campaigns/{number}/resume").status_code == 409
    assert api.post(f"/manage/v1/campaigns/{number}/pause").status_code == 409


def test_a_run_that_is_paused_before_its_time_does_not_begin(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    number = run(tenant)
    api.post(f"/manage/v1/campaigns/{number}/pause").raise_for_status()
    assert tasks.execute_due(tenant) == 0
    assert occurrences.occurrence(tenant, number).state == "scheduled"
    api.post(f"/manage/v1/campaigns/{number}/cancel").raise_for_status()
    assert tally(outcomes(tenant, number)) == {"skipped": PEOPLE}


def test_a_provider_that_puts_mail_off_holds_up_no_other(
    tenant: Scope, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The domain is refused until it has had its rest; the others are through before that."""
    monkeypatch.setattr(pacing, "SIGNS", 3)
    monkeypatch.setattr(pacing, "FIRST_REST", timedelta(seconds=2))
    monkeypatch.setattr(sending, "WRITTEN_TOGETHER", 10)
    refused: list[str] = []
    take = Mailbox.handle_RCPT

    async def handle_RCPT(self: Mailbox, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.endswith("big.example") and len(refused) < 3:
            refused.append(address)
            return "451 4.7.1 too much mail, try again in 1 second"
        return await take(self, server, session, envelope, address, options)

    monkeypatch.setattr(Mailbox, "handle_RCPT", handle_RCPT)
    number = run(tenant)
    tasks.execute_due(tenant)
    assert tally(outcomes(tenant, number)) == {"sent": PEOPLE}
    assert set(box.to.values()) == {1}
    order = [str(message["To"]).partition("@")[2] for message in box.messages]
    assert order[-10:] == ["big.example"] * 10, "those who are not put off leave first"
    with tenant.reads() as session:
        rests = session.execute(text("SELECT name, rests FROM mail_lanes")).all()
    assert rests == [("big.example", 1)]


def test_no_more_leaves_for_a_provider_than_its_plan_allows(
    tenant: Scope, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    plan = {"start_date": yesterday, "rules": [{"domains": ["big.example", "other.example"], "per_hour": [60, 120]}]}
    use(tenant, box, rate_plan=plan)
    clock = pacing.OUTSIDE_CLOCK
    at = datetime.now(UTC).replace(minute=1, second=30)
    monkeypatch.setattr(clock, "now", lambda: at)
    number = run(tenant)
    sender = threading.Thread(target=tasks.execute_due, args=(tenant,))
    monkeypatch.setattr(work, "sleep", lambda seconds: time.sleep(0.05))
    sender.start()
    until(lambda: len(box.to) == PEOPLE // 2 + 4)
    time.sleep(0.5)
    assert sum(address.endswith("big.example") for address in box.to) == 4, "two minutes of 120 an hour"
    at = at.replace(minute=9)
    sender.join(60)
    assert tally(outcomes(tenant, number)) == {"sent": PEOPLE} and set(box.to.values()) == {1}
