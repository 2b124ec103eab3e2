"""What comes back about messages is accepted into one table, and handed on from there to what they were sent for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import CursorResult, delete, select, text

from rapport.access.scope import Scope
from rapport.delivery.models import MailEvent, MailEventKind
from rapport.messaging.tracking.tokens import MessageToken
from rapport.stores import Stores
from rapport.stores.workers.listening import Topic, publish

DETAIL_LENGTH = 100
# Instead of the number of a campaign: whichever has written to the customer on the channel last.
ANY_CAMPAIGN = 0
ACCEPT = text("""
    INSERT INTO mail_events (tenant_id, kind, sent_for, source_id, channel_id, template_id, message_key, customer_id,
        link_id, by_machine, detail, at)
    SELECT tenant_id, kind, sent_for, source_id, channel_id, template_id, message_key, customer_id, link_id,
        by_machine, detail, at
    FROM json_to_recordset(CAST(:events AS json)) AS event (tenant_id int, kind text, sent_for int, source_id bigint,
        channel_id int, template_id int, message_key text, customer_id text, link_id int, by_machine boolean,
        detail text, at timestamptz)
""")


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened to a message at an instant. link_id is the link of a click, detail the status of a failure."""

    message: MessageToken
    kind: MailEventKind
    at: datetime
    link_id: int = 0
    by_machine: bool = False
    detail: str = ""


class EventSink(ABC):
    """Where the events of messages go that were sent for one purpose."""

    @abstractmethod
    def record(self, scope: Scope, events: Sequence[MailEvent]) -> list[MailEvent]:
        """Record events; those whose message is not known yet, to be brought again. Safe to repeat."""


def accept(stores: Stores, happenings: Sequence[Happening]) -> None:
    """Accept what happened to messages of any tenants; once this returns it is not lost. Raises what the records do."""
    if not happenings:
        return
    rows = [
        {
            "tenant_id": happening.message.tenant_id,
            "kind": happening.kind,
            "sent_for": int(happening.message.sent_for),
            "source_id": happening.message.source_id,
            "channel_id": happening.message.channel_id,
            "template_id": happening.message.template_id,
            "message_key": happening.message.message_key,
            "customer_id": happening.message.customer_id,
            "link_id": happening.link_id,
            "by_machine": happening.by_machine,
            "detail": happening.detail[:DETAIL_LENGTH],
            "at": happening.at,
        }
        for happening in happenings
    ]
    with stores.records.session() as session:
        session.execute(ACCEPT, {"events": orjson.dumps(rows).decode()})
        publish(session, Topic.MAIL_EVENTS)


def waiting_of(scope: Scope, customer_id: str) -> list[MailEvent]:
    """What happened to messages to a customer and is not recorded yet."""
    theirs = (MailEvent.tenant_id == scope.tenant_id, MailEvent.customer_id == customer_id)
    with scope.reads() as session:
        return list(session.scalars(select(MailEvent).where(*theirs).order_by(MailEvent.id)))


def forget(scope: Scope, customer_id: str) -> int:
    """Drop what happened to messages to an erased person and is not recorded yet; how much that was."""
    theirs = (MailEvent.tenant_id == scope.tenant_id, MailEvent.customer_id == customer_id)
    with scope.records() as session:
        deleted = session.execute(delete(MailEvent).where(*theirs))
        return deleted.rowcount if isinstance(deleted, CursorResult) else 0
