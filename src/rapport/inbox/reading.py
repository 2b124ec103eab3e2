"""What is in a person's inbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session, aliased

from rapport.access.scope import Scope
from rapport.inbox.models import InboxMessage

LIMIT, MOST = 50, 500
# Whether anything was ever put into the inbox of one of these persons, if it was deleted since or not.
KNOWN = text("""
    SELECT EXISTS (SELECT 1 FROM inbox_messages WHERE tenant_id = :tenant_id AND person = ANY(:persons)
        AND channel_id = ANY(:channels) AND deleted_at IS NULL)
""")


@dataclass(frozen=True, slots=True)
class Inbox:
    """Whose inbox: the person ids under which messages of one are kept, and the channels of the brand."""

    persons: tuple[str, ...]
    channels: tuple[int, ...]


def visible(scope: Scope, inbox: Inbox) -> tuple[ColumnElement[bool], ...]:
    """What is true of the messages that an inbox shows."""
    return (
        InboxMessage.tenant_id == scope.tenant_id,
        InboxMessage.person.in_(inbox.persons),
        InboxMessage.channel_id.in_(inbox.channels),
        InboxMessage.deleted_at.is_(None),
        InboxMessage.kept_until > scope.clock.now(),
    )


def messages(scope: Scope, inbox: Inbox, limits: Mapping[str, int] | None = None) -> list[InboxMessage]:
    """The messages of an inbox, the newest first: as many of each container as its limit says; of all containers
    without limits.
    """
    most = min(max(limits.values(), default=0), MOST) if limits is not None else LIMIT
    place = func.row_number().over(
        partition_by=InboxMessage.container_id, order_by=(InboxMessage.sent_at.desc(), InboxMessage.id)
    )
    shown = visible(scope, inbox)
    if limits is not None:
        shown = (*shown, InboxMessage.container_id.in_(list(limits)))
    placed = select(InboxMessage, place.label("place")).where(*shown).subquery()
    message_placed = aliased(InboxMessage, placed)
    query = (
        select(message_placed, placed.c.place)
        .where(placed.c.place <= most)
        .order_by(message_placed.sent_at.desc(), message_placed.id)
    )
    with scope.reads() as session:
        rows = session.execute(query).all()
    return [message for message, number in rows if limits is None or number <= limits[message.container_id]]


def unread(scope: Scope, inbox: Inbox) -> int:
    """How many messages of an inbox are unread."""
    with scope.reads() as session:
        return session.scalar(select(func.count()).where(*visible(scope, inbox), InboxMessage.read_at.is_(None))) or 0


def next_unread(scope: Scope, inbox: Inbox) -> InboxMessage | None:
    """The oldest message of an inbox that is unread; None when there is none."""
    query = select(InboxMessage).where(*visible(scope, inbox), InboxMessage.read_at.is_(None))
    with scope.reads() as session:
        return session.scalar(query.order_by(InboxMessage.sent_at, InboxMessage.id).limit(1))


def is_known(scope: Scope, session: Session, inbox: Inbox) -> bool:
    """Whether there is anything in an inbox."""
    parameters = {"tenant_id": scope.tenant_id, "persons": list(inbox.persons), "channels": list(inbox.channels)}
    return bool(session.scalar(KNOWN, parameters))


def counted_for(
    scope: Scope, inbox: Inbox, campaign_id: int, send_id: int, sent_at: datetime | None
) -> Sequence[InboxMessage]:
    """The messages of a campaign or send in an inbox: those that were sent at an instant, or the newest."""
    query = select(InboxMessage).where(
        InboxMessage.tenant_id == scope.tenant_id,
        InboxMessage.person.in_(inbox.persons),
        InboxMessage.channel_id.in_(inbox.channels),
        InboxMessage.campaign_id == campaign_id,
        InboxMessage.send_id == send_id,
        InboxMessage.deleted_at.is_(None),
    )
    with scope.reads() as session:
        sent = list(session.scalars(query.order_by(InboxMessage.sent_at.desc()).limit(MOST)))
    return [message for message in sent if message.sent_at == sent_at] or sent[:1]
