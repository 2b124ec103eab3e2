"""What stands of messages in the records."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery.models import OPEN, OutboxMessage, Source, State
from rapport.delivery.outbox import Mailing
from rapport.stores.records.spellings import is_one_of, spellings_of

# CustomerID, state, reason and message id.
EndedMessage = tuple[str, str, str, str]


def messages_of(scope: Scope, session: Session, source: Source, source_ids: Sequence[int]) -> list[OutboxMessage]:
    """The messages of some runs, or firings, by source and channel."""
    query = select(OutboxMessage).where(
        OutboxMessage.tenant_id == scope.tenant_id,
        OutboxMessage.source == source,
        OutboxMessage.source_id.in_(source_ids),
    )
    return list(session.scalars(query.order_by(OutboxMessage.source_id, OutboxMessage.channel_id)))


def batch_size(records: Session | Connection, mailing: Mailing, batch: int) -> int:
    """How many messages a batch has."""
    query = select(func.count()).select_from(OutboxMessage).where(_of(mailing), OutboxMessage.batch == batch)
    return records.execute(query).scalar_one()


def batches(records: Session | Connection, mailing: Mailing) -> list[int]:
    """The batches of a mailing that have been begun."""
    query = select(OutboxMessage.batch).where(_of(mailing)).distinct().order_by(OutboxMessage.batch)
    return [batch for (batch,) in records.execute(query) if batch is not None]


def last_batch(records: Session | Connection, mailing: Mailing) -> int:
    """The highest number of a batch of a mailing; 0 when there is none."""
    query = select(func.max(OutboxMessage.batch)).where(_of(mailing))
    return records.execute(query).scalar_one() or 0


def ended(records: Session | Connection, mailing: Mailing, batch: int) -> list[EndedMessage]:
    """What of a batch has ended, and how."""
    row = OutboxMessage
    query = select(row.customer_id, row.state, row.reason, row.message_id).where(
        _of(mailing), row.batch == batch, row.state.not_in(OPEN)
    )
    return [(customer_id, state, reason, name) for customer_id, state, reason, name in records.execute(query)]


def to_retry(records: Session | Connection, mailing: Mailing) -> int:
    """How many messages of a mailing are to be tried again, not counting those that wait for an instant."""
    query = select(func.count()).select_from(OutboxMessage).where(_pending(mailing), OutboxMessage.due_at.is_(None))
    return records.execute(query).scalar_one()


def held_until(records: Session | Connection, mailing: Mailing) -> datetime | None:
    """The first instant that messages of a mailing wait for; None when none do."""
    query = select(func.min(OutboxMessage.due_at)).where(_pending(mailing))
    return records.execute(query).scalar_one()


def under_way(scope: Scope, customer_id: str) -> list[OutboxMessage]:
    """The messages of runs to a person, in any spelling of the id, that are under way."""
    ids = [customer_id.lower()]
    query = select(OutboxMessage).where(
        OutboxMessage.tenant_id == scope.tenant_id,
        OutboxMessage.source == Source.RUN,
        text(is_one_of("customer_id")),
    )
    with scope.reads() as session:
        spellings = spellings_of(session, scope.tenant_id, OutboxMessage.__tablename__, "customer_id", ids)
        return list(session.scalars(query, {"ids": ids, "spellings": spellings}))


def forget_customers(scope: Scope, session: Session, customer_ids: Sequence[str]) -> None:
    """Drop the messages to erased persons."""
    theirs = (OutboxMessage.tenant_id == scope.tenant_id) & OutboxMessage.customer_id.in_(customer_ids)
    session.execute(delete(OutboxMessage).where(theirs))


def _pending(mailing: Mailing) -> ColumnElement[bool]:
    return and_(_of(mailing), OutboxMessage.state == State.PENDING)


def _of(mailing: Mailing) -> ColumnElement[bool]:
    return and_(
        OutboxMessage.tenant_id == mailing.tenant_id,
        OutboxMessage.source == mailing.source,
        OutboxMessage.source_id == mailing.source_id,
        OutboxMessage.channel_id == mailing.channel_id,
        OutboxMessage.recipient_group_id == mailing.recipient_group_id,
        OutboxMessage.batch.is_not(None),
    )
