"""A large batch of a run is sent by processes: what becomes of it when one of them is killed, or the lease is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import psutil
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

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import ledger, sending, settling
from rapport.campaigns.delivery.settling import Settlements
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import HeldLease, LeaseLost, lease
from rapport.campaigns.occurrences import occurrence, plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels.messages import Receipt
from rapport.delivery.outbox import Claim

PEOPLE = 40


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    settings = {"campaigns": {"retry_delays": [0, 0], "messages_per_day": 99}}
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(PEOPLE)])
    publish(scope)
    add_channels(scope, box.port, connections=4)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher")
    return scope


def run(scope: Scope) -> int:
    scope.clock.set(NOW)
    series = add_series(scope, 1, [group(2, (EMAIL, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(NOW + timedelta(hours=1))
    return number


def until(true: Callable[[], bool], patience: float = 60) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def relays() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "rapport.channels.relaying.process" in child.cmdline()]


def test_a_killed_process_costs_nobody_a_message(tenant: Scope, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MANY", 1)
    number, box.shut_after = run(tenant), 6
    sender = threading.Thread(target=tasks.execute_due, args=(tenant,))
    sender.start()
    until(lambda: not box.gate.is_set())
    running = relays()
    assert running, "other processes send"
    running[0].kill()
    box.gate.set()
    sender.join(60)
    assert not sender.is_alive()
    assert tally(outcomes(tenant, number)) == {"sent": PEOPLE} and len(box.to) == PEOPLE
    copies = len(box.messages) - PEOPLE
    assert copies <= 4, "only what was on its way may come again"
    assert len({message["Message-ID"] for message in box.messages}) == PEOPLE, "under the same id"


@pytest.fixture
def claimed(tenant: Scope) -> Iterator[tuple[HeldLease, Unit, list[Claim]]]:
    unit = Unit(occurrence(tenant, run(tenant)), EMAIL, 1)
    assert sending.begin(tenant, unit)
    with lease(tenant, unit.lease_name) as held:
        yield held, unit, ledger.claim(tenant, held, unit, unit.start + 1, [f"C{n:05d}" for n in range(20)])
        ledger.drop(tenant, held, unit)


Claimed = tuple[HeldLease, Unit, list[Claim]]


def test_whoever_lost_the_claims_hears_of_it(tenant: Scope, claimed: Claimed) -> None:
    held, unit, claims = claimed
    ledger.give_up(tenant, held, unit, "given up")
    tries = ledger.Tries([], 0)
    with pytest.raises(LeaseLost), Settlements(tenant, held, unit, tries) as settlements:
        settlements.add({claims[0]: Receipt("", "sent")})
    with pytest.raises(LeaseLost), Settlements(tenant, held, unit, tries) as settlements:
        for claim in claims * 100:
            settlements.add({claim: Receipt("", "sent")})


def test_no_more_is_gathered_than_may_be_in_doubt(
    tenant: Scope, claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the records take nothing, only so much goes on."""
    held, unit, claims = claimed
    monkeypatch.setattr(settling, "MOST_GATHERED", 5)
    gate, settle, groups = threading.Event(), ledger.settle, list[int]()

    def slow(scope: Scope, lease: HeldLease, of: Unit, receipts: dict[Claim, Receipt], tries: ledger.Tries) -> None:
        gate.wait(20)
        groups.append(len(receipts))
        settle(scope, lease, of, receipts, tries)

    monkeypatch.setattr(ledger, "settle", slow)
    added: list[Claim] = []

    def add() -> None:
        with Settlements(tenant, held, unit, ledger.Tries([], 0)) as settlements:
            for claim in claims:
                added.append(claim)
                settlements.add({claim: Receipt(claim.message_id, "sent")})

    adding = threading.Thread(target=add)
    adding.start()
    until(lambda: len(added) >= 2)
    adding.join(0.1)
    assert len(added) <= 12, "those that are being entered, those gathered, and one that waits"
    gate.set()
    adding.join(20)
    assert sum(groups) == len(claims) and len(groups) < len(claims)
