"""Sending: external lists, e-mail through a real server, refusals, retries, cancellation, events."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
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
    recipients,
    tally,
)
from sqlalchemy import delete, func, select, text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.cycle.tasks import dispatch
from rapport.campaigns.delivery import ledger, sending
from rapport.campaigns.delivery.send_tasks import send_unit_as_before
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import LeaseLost, lease
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.channels import service as channels
from rapport.channels.messages import Receipt
from rapport.delivery.models import OutboxMessage
from rapport.errors import Away
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.messaging.models import SoftBounce, SuppressedAddress, Suppression
from rapport.notifications import service as notifications

DUE = NOW + timedelta(hours=1)
AGAIN = ledger.Tries([0], 0)
ALL = {"include_all": True}


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    with scope.records() as session:
        settings = {"campaigns": {"batch_size": 7, "retry_delays": [0, 0], "messages_per_day": 99}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(40)])
    add_profiles(scope, [customer(100 + n, EMAIL=f"bad{n}@example.com") for n in range(3)])
    add_profiles(scope, [customer(200 + n, EMAIL=f"later{n}@example.com") for n in range(8)])
    add_profiles(scope, [customer(300, COUNTRY="BE"), customer(301, COUNTRY="BE")])
    publish(scope)
    add_channels(scope, box.port)
    add_group(scope, "Dutch", "NL")
    add_group(scope, "Belgian", "BE")
    add_action(scope, "Voucher", ("V10",))
    for event in (1, 4, 13):
        notifications.register_listener(scope, event, "http://127.0.0.1:9/events")
    return scope


@pytest.fixture(autouse=True)
def fresh(tenant: Scope, box: Mailbox) -> Iterator[None]:
    tenant.clock.set(NOW)
    box.to.clear()
    box.messages.clear()
    yield
    # Whoever bounced in one test may be written to in the next.
    with tenant.records() as session:
        for table in (Suppression, SuppressedAddress, SoftBounce):
            session.execute(delete(table).where(table.tenant_id == tenant.tenant_id))


def process(scope: Scope, series_id: int) -> int:
    number = plan_next_run(scope, series_id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def told(scope: Scope, campaign_id: int) -> list[dict[str, Any]]:
    """The events of a campaign that listeners are told, in order of type."""
    bodies = [orjson.loads(row.body) for row in notifications.deliveries(scope, limit=1000)]
    mine = [body for body in bodies if body.get("CampaignID") == campaign_id]
    return sorted(mine, key=lambda body: (body["EventTypeID"], body.get("ChannelID", 0)))


def ledger_rows(scope: Scope, campaign_id: int) -> int:
    with scope.records() as session:
        wanted = (
            select(func.count())
            .select_from(OutboxMessage)
            .where(OutboxMessage.tenant_id == scope.tenant_id, OutboxMessage.source_id == campaign_id)
        )
        return session.scalar(wanted) or 0


def test_external_and_email_to_the_end(tenant: Scope, box: Mailbox) -> None:
    made = add_series(tenant, 1, [group(2, (EXTERNAL, 4), (EMAIL, 1))], rules=ALL, control_share=0.2)
    number = process(tenant, made.id)
    assert tasks.execute_due(tenant) == 0
    listed = [(1, None), (13, EXTERNAL)]  # told before anything is due
    assert [(body["EventTypeID"], body.get("ChannelID")) for body in told(tenant, number)] == listed
    assert occurrences.occurrence(tenant, number).state == "scheduled"
    tenant.clock.set(DUE)
    assert tasks.execute_due(tenant) == 2
    found, rows = occurrences.occurrence(tenant, number), outcomes(tenant, number)
    assert (found.state, found.error) == ("successful", "")
    assert found.counts == tally(rows) and sum(found.counts.values()) == found.targeted == len(rows)
    given = {row[0] for row in recipients(tenant, number) if row[1] == EMAIL}
    refused = {who for who in given if who.startswith("C001")}
    sent = {(who, channel) for who, channel, outcome, _ in rows if outcome == "sent"}
    assert sent == {(who, EXTERNAL) for who in given} | {(who, EMAIL) for who in given - refused}
    failed = [row for row in rows if row[2] == "failed"]
    assert {row[0] for row in failed} == refused and all(row[3] for row in failed)
    assert sorted(box.to.values()) == [1] * len(given - refused)
    assert ledger_rows(tenant, number) == 0
    first = box.messages[0]
    name = first["Subject"].removeprefix("Hi ")
    assert f"Dear {name}, take V10" in first.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert first["List-Unsubscribe"].startswith("<http") and first["Message-ID"]
    assert [(body["EventTypeID"], body.get("ChannelID")) for body in told(tenant, number)] == [
        (1, None),
        (13, EMAIL),
        (13, EXTERNAL),
    ]


def test_units_that_an_earlier_release_began_are_carried_on(tenant: Scope, box: Mailbox) -> None:
    made = add_series(tenant, 1, [group(2, (EXTERNAL, 4), (EMAIL, 1))], rules=ALL, control_share=0.2)
    number = process(tenant, made.id)
    tenant.clock.set(DUE)
    for channel in (EXTERNAL, EMAIL):
        send_unit_as_before(tenant.tenant_id, number, channel, 1)
    carried_on, rows = occurrences.occurrence(tenant, number), outcomes(tenant, number)
    assert (carried_on.state, carried_on.error) == ("successful", "")
    assert carried_on.counts == tally(rows) and sum(carried_on.counts.values()) == carried_on.targeted == len(rows)
    assert ledger_rows(tenant, number) == 0 and tasks.execute_due(tenant) == 0


def test_temporary_refusals_end_as_failed_after_the_last_retry(tenant: Scope, box: Mailbox) -> None:
    box.refusals = 99
    number = process(tenant, add_series(tenant, 1, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    tenant.clock.set(DUE)
    tasks.execute_due(tenant)
    found, rows = occurrences.occurrence(tenant, number), outcomes(tenant, number)
    late = {row[0] for row in rows if row[2] == "failed"}
    assert late == {f"C{n:05d}" for n in (*range(100, 103), *range(200, 208))}
    assert found.state == "successful" and tally(rows) == {"sent": 40, "failed": 11}
    box.refusals = 1


def test_cancel_before_and_after_processing(tenant: Scope, box: Mailbox) -> None:
    number = process(tenant, add_series(tenant, 1, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    found = by_hand.cancel(tenant, number)
    assert found.state == "canceled" and found.canceled_at == NOW
    assert found.counts == {"skipped": 51} and {row[3] for row in outcomes(tenant, number)} == {"canceled"}
    assert [body["EventTypeID"] for body in told(tenant, number)] == [4]
    tenant.clock.set(DUE)
    assert tasks.execute_due(tenant) == 0 and not box.to
    planned = plan_next_run(tenant, found.series_id, TODAY)
    assert by_hand.cancel(tenant, planned).state == "canceled" and not told(tenant, planned)
    with pytest.raises(Exception, match="is canceled and cannot be canceled"):
        by_hand.cancel(tenant, planned)


def test_cancel_in_the_middle_loses_nobody(tenant: Scope, box: Mailbox) -> None:
    box.shut_after = 3
    number = process(tenant, add_series(tenant, 1, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    tenant.clock.set(DUE)
    sender = threading.Thread(target=tasks.execute_due, args=(tenant,))
    sender.start()
    while box.gate.is_set():
        threading.Event().wait(0.01)
    by_hand.cancel(tenant, number)
    box.gate.set()
    sender.join()
    rows = outcomes(tenant, number)
    sent = {row[0] for row in rows if row[2] == "sent"}
    assert len({row[0] for row in rows}) == len(rows) == 51 and 0 < len(sent) < 40
    assert {address.split("@")[0].upper() for address in box.to if address[0] == "c"} <= sent
    assert occurrences.occurrence(tenant, number).counts == tally(rows)


def test_what_another_began_to_send_is_waited_for_too(tenant: Scope, box: Mailbox) -> None:
    box.shut_after = 1
    number = process(tenant, add_series(tenant, 2, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    tenant.clock.set(DUE)
    dispatch(tenant)
    while box.gate.is_set():
        threading.Event().wait(0.01)
    assert occurrences.occurrence(tenant, number).state == "executing"
    opening = threading.Timer(0.5, box.gate.set)
    opening.start()
    assert tasks.execute_due(tenant) == 0
    opening.join()
    assert occurrences.occurrence(tenant, number).state == "successful"


def test_who_unsubscribes_between_processing_and_sending_gets_nothing(tenant: Scope, box: Mailbox) -> None:
    number = process(tenant, add_series(tenant, 2, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    suppressions.suppress(tenant, "C00301", EMAIL)
    tenant.clock.set(DUE)
    tasks.execute_due(tenant)
    assert outcomes(tenant, number) == [
        ("C00300", EMAIL, "sent", ""),
        ("C00301", EMAIL, "suppressed", "suppression list"),
    ]
    suppressions.allow(tenant, "C00301", EMAIL)
    assert list(box.to) == ["c00300@example.com"]


def test_a_server_that_cannot_be_used_fails_the_run_with_its_reason(tenant: Scope, box: Mailbox) -> None:
    wrong = {"host": "127.0.0.1", "port": box.port, "security": "starttls"}  # which this server does not offer
    channels.create_channel(tenant, "Dead mail", "email", id=600, settings=wrong)
    templates.save_template(tenant, 600, "Hello", "Hi", "<p>Hi</p>", id=1)
    number = process(tenant, add_series(tenant, 2, [group(2, (600, 1))], rules=ALL, control_share=0).id)
    tenant.clock.set(DUE)
    tasks.execute_due(tenant)
    found = occurrences.occurrence(tenant, number)
    assert found.state == "failed" and found.error.startswith("Channel 600: ")
    assert found.counts == {"failed": 2} and found.targeted == 2 and not told(tenant, number)


def test_a_batch_begun_again_sends_only_what_is_in_doubt(tenant: Scope, box: Mailbox) -> None:
    number = process(tenant, add_series(tenant, 2, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    assert sending.begin(tenant, unit)
    with lease(tenant, unit.lease_name) as held:
        first, _ = ledger.claim(tenant, held, unit, unit.start + 1, ["C00300", "C00301"])
        ledger.settle(tenant, held, unit, {first: Receipt("", "sent")}, AGAIN)
    assert sending.send_batch(tenant, unit, 1, "", "C99999")
    assert sending.send_batch(tenant, unit, 1, "", "C99999")
    assert list(box.to.items()) == [("c00301@example.com", 1)]
    assert outcomes(tenant, number) == [("C00300", EMAIL, "sent", ""), ("C00301", EMAIL, "sent", "")]
    by_hand.cancel(tenant, number)


def test_a_late_worker_cannot_write(tenant: Scope) -> None:
    number = process(tenant, add_series(tenant, 2, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    with lease(tenant, unit.lease_name) as held:
        late = ledger.claim(tenant, held, unit, unit.start + 1, ["C00300"])
        newer = ledger.claim(tenant, held, unit, unit.start + 1, ["C00300"])
        with pytest.raises(LeaseLost):
            ledger.settle(tenant, held, unit, {late[0]: Receipt("", "failed")}, AGAIN)
        ledger.settle(tenant, held, unit, {newer[0]: Receipt("", "sent")}, AGAIN)
        ledger.settle(tenant, held, unit, {newer[0]: Receipt("", "sent")}, AGAIN)  # noted twice in an outage
        (gone,) = ledger.claim(tenant, held, unit, unit.start + 2, ["C00301"])
        ledger.give_up(tenant, held, unit, "given up")
        with pytest.raises(LeaseLost):
            ledger.settle(tenant, held, unit, {gone: Receipt("", "sent")}, AGAIN)
        ledger.drop(tenant, held, unit)
        with pytest.raises(LeaseLost):
            ledger.settle(tenant, held, unit, {newer[0]: Receipt("", "sent")}, AGAIN)
    assert outcomes(tenant, number) == [("C00300", EMAIL, "sent", ""), ("C00301", EMAIL, "failed", "given up")]
    by_hand.cancel(tenant, number)


def test_who_lost_the_lock_cannot_claim(tenant: Scope) -> None:
    number = process(tenant, add_series(tenant, 2, [group(2, (EMAIL, 1))], rules=ALL, control_share=0).id)
    unit = Unit(occurrences.occurrence(tenant, number), EMAIL, 1)
    with lease(tenant, unit.lease_name) as held:
        mine = held.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with tenant.records() as session:
            session.execute(text("SELECT pg_terminate_backend(:mine)"), {"mine": mine})
        with lease(tenant, unit.lease_name), pytest.raises(Away):
            ledger.claim(tenant, held, unit, unit.start + 1, ["C00300"])
    assert ledger_rows(tenant, number) == 0
    by_hand.cancel(tenant, number)


def test_two_workers_take_turns(tenant: Scope) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with lease(tenant, "turns"):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
