"""What becomes of transactional mail: entered in the message log, once each, and told to listeners."""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from prometheus_client import Counter
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery import outbox
from rapport.delivery.models import IS_OPEN, Source, State
from rapport.delivery.outbox import Settled
from rapport.messaging.contactability import undeliverable
from rapport.messaging.models import Undeliverable
from rapport.notifications import service as notifications
from rapport.notifications.service import Notification
from rapport.transactional.models import Recipient

MESSAGES = Counter("rapport_transactional_messages_total", "Transactional mail by what became of it", ["event"])
TIME_FORM = "%Y-%m-%d %H:%M:%S"


class Event(StrEnum):
    """What happens to a message that was accepted. DROPPED: it was never tried; BOUNCED: a mail server refused it."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    DROPPED = "dropped"
    COMPLAINED = "complained"
    BOUNCED = "bounced"


# Events that come after a message was handed over, with the column of their first time.
LATER = {
    Event.OPENED: "opened_at",
    Event.CLICKED: "clicked_at",
    Event.UNSUBSCRIBED: "unsubscribed_at",
    Event.COMPLAINED: "complained_at",
    Event.BOUNCED: "bounced_at",
}
SUPPRESSING = {Event.COMPLAINED: Undeliverable.COMPLAINT, Event.BOUNCED: Undeliverable.HARD_BOUNCE}

# What has been entered of messages, under the numbers of their claims, is what counts here too. The attachments of
# sends go all of whose messages have ended.
ENDED = text(f"""
    WITH ended AS (
        UPDATE transactional_recipients AS recipient
        SET state = messages.state, reason = messages.reason, ended_at = :now,
            bounced_at = CASE WHEN messages.state = '{State.FAILED}' AND settled.answered
                THEN CAST(:now AS timestamptz) END
        FROM unnest(CAST(:ids AS bigint[]), CAST(:answered AS boolean[])) AS settled (id, answered)
        JOIN messages ON messages.source = '{Source.TRANSACTIONAL}' AND messages.source_id = settled.id
        WHERE messages.tenant_id = :tenant_id AND NOT messages.{IS_OPEN}
            AND recipient.tenant_id = :tenant_id AND recipient.id = settled.id AND recipient.ended_at IS NULL
        RETURNING recipient.*
    ),
    dropped AS (
        DELETE FROM transactional_attachments AS file USING (SELECT DISTINCT send_id FROM ended) AS finished
        WHERE file.tenant_id = :tenant_id AND file.send_id = finished.send_id AND NOT EXISTS (
            SELECT 1 FROM transactional_recipients AS other
            WHERE other.tenant_id = :tenant_id AND other.send_id = finished.send_id AND other.ended_at IS NULL
                AND other.id NOT IN (SELECT id FROM ended)
        )
    )
    SELECT * FROM ended ORDER BY id
""")


def note_ended(scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
    """Enter in the log what of settled messages has ended, and drop what is needed no more. Safe to repeat."""
    answered = {ended.claim.source_id: ended.answered for ended in settled if ended.state is not State.PENDING}
    if not answered:
        return
    parameters = {
        "tenant_id": scope.tenant_id,
        "ids": list(answered),
        "answered": list(answered.values()),
        "now": scope.clock.now(),
    }
    read = select(Recipient).from_statement(ENDED).execution_options(populate_existing=True)
    recipients = list(session.scalars(read, parameters))
    if not recipients:
        return
    ended = [(scope.tenant_id, recipient.id) for recipient in recipients]
    outbox.drop_sources(session, Source.TRANSACTIONAL, ended)
    _tell(scope, session, [(recipient, _became(recipient), scope.clock.now()) for recipient in recipients])


def record_event(scope: Scope, message_id: str, event: Event, at: datetime) -> bool:
    """Enter that a message was opened, clicked and so on at an instant; whether there is such a message.

    The first event of a kind counts and is told to listeners; the others change nothing. A bounce, which is one for
    good, and a complaint suppress the address for the brand's transactional mail.
    """
    column = LATER[event]
    with scope.records() as session:
        query = select(Recipient).where(Recipient.tenant_id == scope.tenant_id, Recipient.message_id == message_id)
        recipient = session.scalars(query.with_for_update()).one_or_none()
        if recipient is None:
            return False
        if getattr(recipient, column) is None:
            setattr(recipient, column, at)
            if event in SUPPRESSING:
                undeliverable.keep(scope, session, recipient.channel_id, SUPPRESSING[event], [recipient.mark])
            _tell(scope, session, [(recipient, event, at)])
    return True


def _became(recipient: Recipient) -> Event:
    if recipient.state is State.SENT:
        return Event.DELIVERED
    return Event.DROPPED if recipient.bounced_at is None else Event.BOUNCED


def _tell(scope: Scope, session: Session, happened: Sequence[tuple[Recipient, Event, datetime]]) -> None:
    for _, event, _ in happened:
        MESSAGES.labels(event).inc()
    announcements = [
        Notification(_payload(recipient, event, at), f"transactional:{recipient.id}:{event}", recipient.channel_id)
        for recipient, event, at in happened
    ]
    notifications.notify_many(scope, session, notifications.TRANSACTIONAL_EVENT, announcements)


def _payload(recipient: Recipient, event: Event, at: datetime) -> Mapping[str, Any]:
    return {
        "Event": event,
        "EventTime": at.astimezone(UTC).strftime(TIME_FORM),
        **_place(recipient),
        "SendID": recipient.send_id,
        "TemplateID": recipient.template_id,
        "MessageID": recipient.message_id,
        "Reason": recipient.reason,
    }


def _place(recipient: Recipient) -> Mapping[str, Any]:
    """Where a message went."""
    if recipient.brand_id is not None:
        return {"BrandID": recipient.brand_id, "Email": recipient.address}
    return {
        "ChannelID": recipient.channel_id,
        "CustomerID": recipient.customer_id or None,
        "Address": recipient.address or None,
    }
