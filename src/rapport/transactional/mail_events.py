"""What comes back about transactional mail, entered in the message log under the message that it is about."""

from collections.abc import Sequence

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.delivery.models import MailEvent, MailEventKind
from rapport.delivery.returns.events import EventSink
from rapport.messaging.tracking.tokens import message_key
from rapport.transactional.events import Event, record_event
from rapport.transactional.models import Recipient

# Whoever clicks has the message open, whether images are shown or not. What comes back for now, or is blocked, says
# nothing of the address that would last; a message that was taken is known to be delivered.
EVENTS: dict[str, tuple[Event, ...]] = {
    MailEventKind.OPENED: (Event.OPENED,),
    MailEventKind.CLICKED: (Event.OPENED, Event.CLICKED),
    MailEventKind.UNSUBSCRIBED: (Event.UNSUBSCRIBED,),
    MailEventKind.PERMANENT: (Event.BOUNCED,),
    MailEventKind.COMPLAINT: (Event.COMPLAINED,),
}


class TransactionalMailEvents(EventSink):
    """Records the events of transactional mail; what machines opened and clicked is left out."""

    def record(self, scope: Scope, events: Sequence[MailEvent]) -> list[MailEvent]:
        """Record events; none is brought again, since a message is in the log before it leaves."""
        recorded = [event for event in events if not event.by_machine and event.kind in EVENTS]
        message_ids = _message_ids(scope, {event.source_id for event in recorded})
        for event in recorded:
            if message_id := message_ids.get((event.source_id, event.message_key)):
                for happened in EVENTS[event.kind]:
                    record_event(scope, message_id, happened, event.at)
        return []


def _message_ids(scope: Scope, send_ids: set[int]) -> dict[tuple[int, str], str]:
    """The messages of sends, by send and what tokens say of the message."""
    query = select(Recipient.send_id, Recipient.message_id).where(
        Recipient.tenant_id == scope.tenant_id, Recipient.send_id.in_(send_ids)
    )
    with scope.reads() as session:
        rows = session.execute(query).all()
    return {(send_id, message_key(message_id)): message_id for send_id, message_id in rows}
