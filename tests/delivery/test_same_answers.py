"""A run and a firing write to the same customers at the same moment: the same mail, or the same reason for none."""

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
from asked_firings import campaign, fire, firing
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
)
from gateway_server import eventually
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.delivery.models import OutboxMessage
from rapport.messaging.contactability import excluding, preferences, suppressions
from rapport.messaging.models import ExclusionReason
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender

WELL, RENAMED, MOVED, NOWHERE, SUPPRESSED, OPTED_OUT, NEIGHBOUR, EXCLUDED = (f"C{n:05d}" for n in range(8))
ANSWERS = {
    WELL: ("sent", ""),
    RENAMED: ("sent", ""),
    MOVED: ("sent", ""),
    NOWHERE: ("failed", "no address"),
    SUPPRESSED: ("suppressed", "suppression list"),
    OPTED_OUT: ("suppressed", "channel preference"),
    NEIGHBOUR: ("skipped", "same address"),
    EXCLUDED: ("suppressed", "under an exclusion"),
}


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox) -> Scope:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(len(ANSWERS))])
    publish(scope)
    add_channels(scope, box.port)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10", "V11"))
    return scope


def processed_run(scope: Scope) -> int:
    rules = {"include_all": True}
    made = add_series(scope, 1, [group(2, (EMAIL, 1))], rules=rules, control_share=0)
    number = plan_next_run(scope, made.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    return number


def let_out(scope: Scope) -> list[int]:
    """A firing for each customer whose mail waits for a sender."""
    day = campaign(scope, codes=["V10", "V11"], places=[{"channel_id": EMAIL, "template_id": 1}])
    fired = fire(scope, day, *ANSWERS)
    with scope.records() as session:
        releasing.release(scope, session, fired)
    return fired


def change(scope: Scope) -> None:
    """What people change between the decision to write to them and the moment when messages leave."""
    for customer_id, column, value in (
        (RENAMED, "FIRST_NAME", "Anew"),
        (MOVED, "EMAIL", "moved@example.com"),
        (NOWHERE, "EMAIL", " "),
        (NEIGHBOUR, "EMAIL", f"{WELL.upper()}@example.com"),
    ):
        sql = f"UPDATE profiles SET {column} = {{v:String}} WHERE customer_id = {{c:String}}"
        scope.warehouse.execute(sql, v=value, c=customer_id)
    suppressions.suppress(scope, SUPPRESSED.lower(), EMAIL)
    preferences.set_preference(scope, EMAIL, [OPTED_OUT], 2)
    excluding.exclude(scope, {EXCLUDED: NOW + timedelta(days=1)}, ExclusionReason.TIME_OUT)


def shown(mails: list[EmailMessage]) -> list[tuple[str, str, str]]:
    """To whom, the subject and what is written."""
    return sorted((mail["To"], mail["Subject"], mail.get_body(("html",)).get_content()) for mail in mails)  # type: ignore[union-attr]


def sent_by_run(scope: Scope, number: int) -> dict[str, tuple[str, str]]:
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    return {customer_id: (outcome, reason) for customer_id, _, outcome, reason in outcomes(scope, number)}


def sent_by_firings(scope: Scope, fired: list[int]) -> dict[str, tuple[str, str]]:
    sender = Sender(scope.stores)
    sender.start()
    try:
        eventually(lambda: all(firing(scope, one).state == "done" for one in fired))
    finally:
        sender.stop()
    with scope.records() as session:
        theirs = select(OutboxMessage).where(OutboxMessage.source == "firing", OutboxMessage.source_id.in_(fired))
        return {one.customer_id: (one.state, one.reason) for one in session.scalars(theirs)}


def test_a_run_and_a_firing_say_the_same(tenant: Scope, box: Mailbox) -> None:
    number, fired = processed_run(tenant), let_out(tenant)
    change(tenant)
    assert sent_by_run(tenant, number) == ANSWERS
    of_run = shown(box.messages)
    box.messages.clear()
    assert sent_by_firings(tenant, fired) == ANSWERS
    assert shown(box.messages) == of_run
    assert [to for to, *_ in of_run] == ["c00000@example.com", "c00001@example.com", "moved@example.com"]
    assert "take V10,V11" in of_run[0][2] and of_run[1][1] == "Hi Anew"
