"""What persons do in their inboxes: they read messages, click, and delete."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.inbox.models import InboxEventKey, InboxMessage
from rapport.inbox.reading import Inbox
from rapport.stores.workers.listening import Topic, publish


class Action(StrEnum):
    """What was done with a message."""

    READ = "read"
    UNREAD = "unread"
    CLICKED = "clicked"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Report:
    """That something was done with a message at an instant; None: now. key tells a repetition; empty: there is none."""

    message_id: uuid.UUID
    action: Action
    at: datetime | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done with a message that there is, at an instant that can be."""

    message: InboxMessage
    action: Action
    at: datetime


def message_of(scope: Scope, channels: Sequence[int], message_id: uuid.UUID) -> InboxMessage | None:
    """A message of some channels by its id, whosever it is, also one that was deleted; None where there is none."""
    with scope.reads() as session:
        message = session.get(InboxMessage, (scope.tenant_id, message_id))
    return message if message is not None and message.channel_id in channels else None


def new_of(scope: Scope, inbox: Inbox, reports: Sequence[Report]) -> list[Done]:
    """What of reports is about messages of an inbox and was not done before; the rest is passed over.

    A message that was deleted is in no inbox. Nobody can have read what was not sent yet, or will be.
    """
    now = scope.clock.now()
    with scope.reads() as session:
        there = _there(scope, session, inbox, [report.message_id for report in reports])
        keys = [report.key for report in reports if report.key]
        query = select(InboxEventKey.key).where(InboxEventKey.tenant_id == scope.tenant_id, InboxEventKey.key.in_(keys))
        known = set(session.scalars(query)) if keys else set[str]()
    done = []
    for report in reports:
        message = there.get(report.message_id)
        if message is None or report.key in known:
            continue
        if report.key:
            known.add(report.key)
        done.append(Done(message, report.action, min(max(report.at or now, message.sent_at), now)))
    return done


def apply(scope: Scope, done: Sequence[Done], reports: Sequence[Report]) -> None:
    """Have messages show what was done with them, in order, and remember the reports. Safe to repeat."""
    now = scope.clock.now()
    ids = sorted({each.message.id for each in done})
    query = select(InboxMessage).where(InboxMessage.tenant_id == scope.tenant_id, InboxMessage.id.in_(ids))
    keys = sorted({report.key for report in reports if report.key})
    with scope.records() as session:
        stored = {message.id: message for message in session.scalars(query.order_by(InboxMessage.id).with_for_update())}
        for each in done:
            if message := stored.get(each.message.id):
                _change(message, each, now)
        if keys:
            rows = [{"tenant_id": scope.tenant_id, "key": key, "received_at": now} for key in keys]
            session.execute(insert(InboxEventKey).values(rows).on_conflict_do_nothing())
        if done:
            publish(session, Topic.INBOX, scope.tenant_id)


def _change(message: InboxMessage, done: Done, now: datetime) -> None:
    if done.action is Action.READ:
        message.read_at = message.read_at or done.at
    elif done.action is Action.UNREAD:
        message.read_at = None
    elif done.action is Action.DELETED:
        message.deleted_at = message.deleted_at or done.at
    if done.action is not Action.CLICKED:
        message.updated_at = now


def _there(
    scope: Scope, session: Session, inbox: Inbox, message_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, InboxMessage]:
    query = select(InboxMessage).where(
        InboxMessage.tenant_id == scope.tenant_id,
        InboxMessage.id.in_(message_ids),
        InboxMessage.person.in_(inbox.persons),
        InboxMessage.channel_id.in_(inbox.channels),
        InboxMessage.deleted_at.is_(None),
    )
    return {message.id: message for message in session.scalars(query)}
