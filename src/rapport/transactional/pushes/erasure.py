"""A person in the push messages of applications: shown, and taken out."""

from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from rapport.access.scope import Scope
from rapport.delivery import outbox
from rapport.delivery.models import Source
from rapport.transactional.models import PushNotification, PushRecipient


def held(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    """The push messages to a customer."""
    with scope.reads() as session:
        query = select(PushRecipient).where(*_of(scope, customer_id)).order_by(PushRecipient.id)
        return {"push_messages": list(session.scalars(query))}


def forget_customer(scope: Scope, customer_id: str) -> int:
    """Drop what would still go to a customer, and take out who got what; how many rows those were. May be repeated.

    The content of a notification that went to nobody else goes, too.
    """
    with scope.records() as session:
        waiting = list(
            session.scalars(select(PushRecipient.id).where(*_of(scope, customer_id), PushRecipient.ended_at.is_(None)))
        )
        outbox.drop_sources(session, Source.PUSH, [(scope.tenant_id, number) for number in waiting])
        gone = delete(PushRecipient).where(*_of(scope, customer_id)).returning(PushRecipient.notification_id)
        numbers = session.scalars(gone).all()
        others = select(PushRecipient.notification_id).where(
            PushRecipient.tenant_id == scope.tenant_id, PushRecipient.notification_id.in_(numbers)
        )
        alone = (
            PushNotification.tenant_id == scope.tenant_id,
            PushNotification.id.in_(numbers),
            PushNotification.id.not_in(others),
        )
        session.execute(update(PushNotification).where(*alone).values(content=""))
    return len(numbers)


def _of(scope: Scope, customer_id: str) -> tuple[ColumnElement[bool], ...]:
    return PushRecipient.tenant_id == scope.tenant_id, PushRecipient.person == customer_id.lower()
