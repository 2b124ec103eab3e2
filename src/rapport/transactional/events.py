"""What becomes of transactional mail: entered in the message log, once each, and told to listeners."""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from prometheus_client import Counter
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery import outbox
from rapport.delivery.models import IS_OPEN, Source, State
from rapport.delivery.outbox import Settled
from rapport.messaging.contactability import undeliverable
from rapport.messaging.models import Undeliverable
from rapport.notifications import service as notifications
from rapport.notifications.service import Notification
from rapport.transactional.models import Attachment, Recipient

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

# What has been entered of messages, under the numbers of their claims, is what counts here too.
ENDED = text(f"""
    UPDATE transactional_recipients AS recipient
    SET state = messages.state, reason = messages.reason, ended_at = :now,
        bounced_at = CASE WHEN messages.state = '{State.FAILED}' AND ended.answered THEN CAST(:now AS timestamptz) END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:answered AS boolean[])) AS ended (id, answered)
    JOIN messages ON messages.source = '{Source.TRANSACTIONAL}' AND messages.source_id = ended.id
    WHERE messages.tenant_id = :tenant_id AND NOT messages.{IS_OPEN}
        AND recipient.tenant_id = :tenant_id AND recipient.id = ended.id AND recipient.ended_at IS NULL
    RETURNING recipient.id
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
    ids = list(session.scalars(ENDED, parameters))
    if not ids:
        return
    outbox.drop_sources(session, Source.TRANSACTIONAL, [(scope.tenant_id, recipient_id) for recipient_id in ids])
    recipients = _recipients(scope, session, ids)
    _drop_files(scope, session, {recipient.send_id for recipient in recipients})
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


def _recipients(scope: Scope, session: Session, ids: Sequence[int]) -> list[Recipient]:
    query = select(Recipient).where(Recipient.tenant_id == scope.tenant_id, Recipient.id.in_(ids))
    return list(session.scalars(query.order_by(Recipient.id), execution_options={"populate_existing": True}))


def _drop_files(scope: Scope, session: Session, send_ids: set[int]) -> None:
    """Drop the attachments of sends all of whose messages have ended."""
    of_sends = (Attachment.tenant_id == scope.tenant_id, Attachment.send_id.in_(send_ids))
    under_way = select(Recipient.send_id).where(
        Recipient.tenant_id == scope.tenant_id, Recipient.send_id.in_(send_ids), Recipient.ended_at.is_(None)
    )
    session.execute(delete(Attachment).where(*of_sends, Attachment.send_id.not_in(under_way)))


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
        "BrandID": recipient.brand_id,
        "SendID": recipient.send_id,
        "TemplateID": recipient.template_id,
        "MessageID": recipient.message_id,
        "Email": recipient.address,
        "Reason": recipient.reason,
    }
