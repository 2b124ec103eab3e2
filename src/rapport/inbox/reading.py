"""What is in a person's inbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache

import orjson
from sqlalchemy import ColumnElement, Text, TextClause, cast, func, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.inbox.models import InboxMessage

LIMIT, MOST = 50, 500
# Whether anything was ever put into the inbox of one of these persons, if it was deleted since or not.
KNOWN = text("""
    SELECT EXISTS (SELECT 1 FROM inbox_messages WHERE tenant_id = :tenant_id AND person = ANY(:persons)
        AND channel_id = ANY(:channels) AND deleted_at IS NULL)
""")
# PostgreSQL writes the JSON: a page that shows its inbox asks at each look.
LISTING = """
    SELECT {container} AS container,
        CAST(json_agg(json_strip_nulls(json_build_object({members})) ORDER BY sent_at DESC, id) AS text) AS written
    FROM (
        SELECT *, row_number() OVER (PARTITION BY container_id ORDER BY sent_at DESC, id) AS place
        FROM inbox_messages
        WHERE tenant_id = :tenant_id AND person = ANY(:persons) AND channel_id = ANY(:channels)
            AND deleted_at IS NULL AND kept_until > :now
            AND (CAST(:limits AS jsonb) IS NULL OR jsonb_exists(CAST(:limits AS jsonb), container_id))
    ) AS placed
    WHERE place <= coalesce(CAST(CAST(:limits AS jsonb) ->> container_id AS int), :limit)
    GROUP BY 1 ORDER BY max(sent_at) DESC, 1
"""


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


def listed(
    scope: Scope, inbox: Inbox, members: str, limits: Mapping[str, int] | None = None, *, apart: bool = True
) -> dict[str, bytes]:
    """The messages of an inbox as JSON arrays, the newest first: as many of each container as its limit says; of all
    containers without limits. apart: an array by container; else one of all, under an empty name.

    members are those of a message: the arguments of json_build_object. Members that are null are left out.
    """
    container = "container_id" if apart else "''"
    parameters = {
        "tenant_id": scope.tenant_id,
        "persons": list(inbox.persons),
        "channels": list(inbox.channels),
        "now": scope.clock.now(),
        "limits": None if limits is None else orjson.dumps(dict(limits)).decode(),
        "limit": LIMIT,
    }
    with scope.stores.records.reading() as connection:
        rows = connection.execute(_listing(members, container), parameters).all()
    return {name: written.encode() for name, written in rows}


@cache
def _listing(members: str, container: str) -> TextClause:
    return text(LISTING.format(members=members, container=container))


def unread(scope: Scope, inbox: Inbox) -> int:
    """How many messages of an inbox are unread."""
    with scope.reads() as session:
        return session.scalar(select(func.count()).where(*visible(scope, inbox), InboxMessage.read_at.is_(None))) or 0


def which_unread(scope: Scope, inbox: Inbox) -> tuple[int, Decimal]:
    """How many messages of an inbox are unread, and a number that tells these messages from as many others."""
    which = func.sum(func.hashtextextended(cast(InboxMessage.id, Text), 0))
    query = select(func.count(), which).where(*visible(scope, inbox), InboxMessage.read_at.is_(None))
    with scope.reads() as session:
        count, told_apart = session.execute(query).one()
    return count, told_apart or Decimal(0)


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
