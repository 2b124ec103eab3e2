"""Messages leave inboxes for good: with the person, or when they have long ended."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Select, delete, select, text
from sqlalchemy.orm import Session

from rapport.access.personal_data import Texts
from rapport.access.scope import Scope
from rapport.inbox.models import InboxMessage

AT_ONCE = 1000
# By table, what is dropped of it, a few pages at a time, and how long after it ended. Until then a message may be sent
# once more, and a report of it may come.
DROP = "DELETE FROM {table} WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid) AND {ended} < :before"
KEPT = {"inbox_messages": timedelta(days=30), "inbox_event_keys": timedelta(days=8)}
ENDS = {"inbox_messages": "kept_until", "inbox_event_keys": "received_at"}
STATEMENTS = {table: text(DROP.format(table=table, ended=ended)) for table, ended in ENDS.items()}


def held(scope: Scope, persons: Iterable[str]) -> list[dict[str, Any]]:
    """The messages to persons, those that they deleted included."""
    with scope.reads() as session:
        rows = session.execute(_of(scope, persons).order_by(InboxMessage.sent_at, InboxMessage.id)).scalars()
        return [
            {column.name: getattr(row, column.name) for column in InboxMessage.__table__.columns} | {"id": str(row.id)}
            for row in rows
        ]


def forget(scope: Scope, session: Session, persons: Iterable[str]) -> int:
    """Drop all messages to persons; how many that were."""
    theirs = (InboxMessage.tenant_id == scope.tenant_id, InboxMessage.person.in_(sorted(persons)))
    deleted = session.execute(delete(InboxMessage).where(*theirs))
    return deleted.rowcount if isinstance(deleted, CursorResult) else 0


def forget_texts(scope: Scope, customer_ids: Sequence[str], texts: Texts) -> None:
    """Drop those messages to customers that say what identified them."""
    persons = sorted({customer_id.lower() for customer_id in customer_ids})
    for begin in range(0, len(persons), AT_ONCE):
        with scope.records() as session:
            for message in session.scalars(_of(scope, persons[begin : begin + AT_ONCE])):
                said = (message.title, message.content, message.url, message.media, str(message.payload))
                if any(texts.are_in(each) for each in said):
                    session.delete(message)


def _of(scope: Scope, persons: Iterable[str]) -> Select[InboxMessage]:
    return select(InboxMessage).where(
        InboxMessage.tenant_id == scope.tenant_id, InboxMessage.person.in_(sorted(persons))
    )


def drop_old(session: Session, table: str, first: str, last: str, now: datetime) -> None:
    """Drop what ended long ago from a table of STATEMENTS, on its pages from first to last (tid)."""
    session.execute(STATEMENTS[table], {"first": first, "last": last, "before": now - KEPT[table]})
