"""Engines and mail servers that are away in the middle of a run: it waits, and nothing failed that did not fail."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

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
from sqlalchemy import update

from engine_outages import hung, stopped
from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import ledger, sending
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import lease
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.channels.messages import Receipt
from rapport.stores.records import connecting
from rapport.stores.workflows import work

DUE = NOW + timedelta(hours=1)
PEOPLE, BATCH, MOST_WAIT = 40, 7, 120.0


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    with scope.records() as session:
        settings = {"campaigns": {"batch_size": BATCH, "retry_delays": [0], "messages_per_day": 99}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(PEOPLE)])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


def _save(scope: Scope, settings: dict[str, Any]) -> None:
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))


def leading_to(scope: Scope, port: int, **settings: Any) -> None:
    """Let mail leave by a port of this machine."""
    given = {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com", "timeout_seconds": 2, **settings}
    channels.update_channel(scope, EMAIL, settings=given)


def due_run(scope: Scope) -> int:
    """A campaign to everybody, that is due."""
    scope.clock.set(NOW)
    made = add_series(scope, 1, [group(2, (EMAIL, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, made.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    return number


def sending_in_thread(scope: Scope) -> threading.Thread:
    thread = threading.Thread(target=tasks.execute_due, args=(scope,))
    thread.start()
    return thread


def until(condition: Any) -> None:
    deadline = time.monotonic() + MOST_WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def everybody_was_sent(scope: Scope, number: int, box: Mailbox) -> None:
    found = occurrences.occurrence(scope, number)
    assert (found.state, found.error, found.counts) == ("successful", "", {"sent": PEOPLE})
    assert tally(outcomes(scope, number)) == {"sent": PEOPLE}
    assert set(box.to) == {f"c{n:05d}@example.com" for n in range(PEOPLE)}


@pytest.mark.parametrize("outage", [stopped, hung])
def test_a_blast_goes_on_when_the_records_are_back(
    tenant: Scope, box: Mailbox, outage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tenant.stores.postgres is not None
    leading_to(tenant, box.port, timeout_seconds=30)
    number = due_run(tenant)
    box.shut_after = 2 * BATCH + 3  # in the middle of a batch
    with connecting.statements_within(connecting.STATEMENT_SECONDS):
        sender = sending_in_thread(tenant)
        until(lambda: len(box.messages) >= 2 * BATCH + 3)
        with outage(tenant.stores.postgres):
            box.gate.set()
            time.sleep(2)
        sender.join(MOST_WAIT)
    assert not sender.is_alive()
    everybody_was_sent(tenant, number, box)
    assert sum(box.to.values()) == PEOPLE, "what was taken during the outage does not leave again"


def test_a_blast_waits_for_its_mail_server(tenant: Scope) -> None:
    with mailbox() as probe:
        port = probe.port
    leading_to(tenant, port)
    number = due_run(tenant)
    sender = sending_in_thread(tenant)
    time.sleep(3)
    assert tally(outcomes(tenant, number)) == {} and occurrences.occurrence(tenant, number).state == "executing"
    with mailbox(port) as box:
        sender.join(MOST_WAIT)
        assert not sender.is_alive()
        everybody_was_sent(tenant, number, box)
        assert sum(box.to.values()) == PEOPLE


def test_a_blast_whose_mail_server_comes_back_too_late_is_not_sent(tenant: Scope) -> None:
    with mailbox() as probe:
        leading_to(tenant, probe.port)
    number = due_run(tenant)
    sender = sending_in_thread(tenant)
    time.sleep(2)
    tenant.clock.set(DUE + timedelta(hours=13))
    sender.join(MOST_WAIT)
    found = occurrences.occurrence(tenant, number)
    assert (found.state, found.counts) == ("failed", {"failed": PEOPLE})
    assert found.error == "Channel 504: Not sent: it could be sent only more than 12 hours late."


@pytest.fixture(params=[0.5, 2.0])
def patience(tenant: Scope, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """How many hours late messages may be, and pauses that are short."""
    monkeypatch.setattr(work, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(work, "LONGEST_PAUSE", 0.2)
    settings = tenant.settings
    campaigns_ = settings["campaigns"] | {"wait_hours": request.param}
    _save(tenant, settings | {"campaigns": campaigns_})
    yield request.param
    _save(tenant, settings)


def test_an_hour_without_a_mail_server(tenant: Scope, patience: float) -> None:
    with mailbox() as probe:
        port = probe.port
    leading_to(tenant, port)
    number = due_run(tenant)
    sender = sending_in_thread(tenant)
    until(lambda: occurrences.occurrence(tenant, number).state == "executing")
    time.sleep(0.5)
    tenant.clock.set(DUE + timedelta(hours=1))
    if patience < 1:
        sender.join(MOST_WAIT)
        assert occurrences.occurrence(tenant, number).counts == {"failed": PEOPLE}
        assert occurrences.occurrence(tenant, number).error.endswith("more than 0.5 hours late.")
        return
    with mailbox(port) as box:
        sender.join(MOST_WAIT)
        everybody_was_sent(tenant, number, box)


def test_an_hour_without_records_in_the_middle_of_a_blast(tenant: Scope, box: Mailbox, patience: float) -> None:
    assert tenant.stores.postgres is not None
    leading_to(tenant, box.port, timeout_seconds=30)
    number = due_run(tenant)
    box.shut_after = BATCH + 3
    sender = sending_in_thread(tenant)
    until(lambda: len(box.messages) >= BATCH + 3)
    with stopped(tenant.stores.postgres):
        tenant.clock.set(DUE + timedelta(hours=1))
        box.gate.set()
        time.sleep(0.5)
    sender.join(MOST_WAIT)
    if patience > 1:
        everybody_was_sent(tenant, number, box)
        return
    # The batch that had begun is ended: it was not held up by more than its own outage. The others are too late.
    counts = occurrences.occurrence(tenant, number).counts
    assert counts == {"sent": len(box.messages), "failed": PEOPLE - len(box.messages)}
    assert counts["failed"] > 0 and set(box.to.values()) == {1}


def test_a_run_that_begins_too_late_is_not_sent(tenant: Scope, box: Mailbox) -> None:
    leading_to(tenant, box.port)
    number = due_run(tenant)
    tenant.clock.set(DUE + timedelta(hours=13))
    tasks.execute_due(tenant)
    assert occurrences.occurrence(tenant, number).state == "failed" and not box.messages


def test_what_left_before_a_unit_is_given_up_counts_as_sent(tenant: Scope, box: Mailbox) -> None:
    leading_to(tenant, box.port)
    number = due_run(tenant)
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    assert sending.begin(tenant, unit)
    with lease(tenant, unit.lease_name) as held:
        claimed = ledger.claim(tenant, held, unit, unit.start + 1, ["C00000", "C00001", "C00002"])
        ledger.settle(tenant, held, unit, {claim: Receipt("", "sent") for claim in claimed[:2]}, ledger.Tries([0], 0))
    sending.abandon(tenant, unit, "gone")
    assert tally(outcomes(tenant, number)) == {"sent": 2, "failed": PEOPLE - 2}


def test_a_step_waits_for_an_outage_and_then_for_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    from rapport.errors import Away

    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        raise Away("An engine is away.")

    monkeypatch.setattr(work, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(work._patience, "seconds", 0.1)
    with pytest.raises(Away):
        work.waiting(away, "test", bounded=True)()
    assert len(tries) == 4  # pauses of 10, 20 and 40 ms, and the one of 80 ms would be too long
