"""A person in transactional messages, known by its id and the addresses that it has: shown, and taken out."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, false, or_, select, update
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery import outbox
from rapport.delivery.models import Source
from rapport.messaging.contactability import suppressed_addresses
from rapport.notifications import erasure as notification_erasure
from rapport.transactional.models import Recipient, Send


def held(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    """The messages to the addresses of a customer."""
    marks = suppressed_addresses.marks_of(scope, suppressed_addresses.addresses_of_customer(scope, customer_id))
    with scope.reads() as session:
        return {
            "transactional_messages": list(session.scalars(select(Recipient).where(_of(scope, marks, customer_id))))
        }


def forget_customer(scope: Scope, customer_id: str) -> int:
    """Take a customer out, by the addresses that it still has; how many rows those were. May be repeated."""
    return _forget(scope, suppressed_addresses.addresses_of_customer(scope, customer_id), customer_id)


def forget_addresses(scope: Scope, addresses: Sequence[str]) -> int:
    """Drop what would still go to addresses, and take out of the log who got what went; how many rows those were.

    Posts to listeners that name the addresses go, too; what became of messages stays for the metrics. May be repeated.
    """
    return _forget(scope, addresses) if addresses else 0


def _forget(scope: Scope, addresses: Sequence[str], customer_id: str = "") -> int:
    posts = notification_erasure.forget(scope, addresses) if addresses else 0
    theirs = _of(scope, suppressed_addresses.marks_of(scope, addresses), customer_id)
    with scope.records() as session:
        waiting = list(session.scalars(select(Recipient.id).where(theirs, Recipient.ended_at.is_(None))))
        outbox.drop_sources(session, Source.TRANSACTIONAL, [(scope.tenant_id, number) for number in waiting])
        gone = session.scalars(
            delete(Recipient).where(theirs, Recipient.ended_at.is_(None)).returning(Recipient.send_id)
        ).all()
        blank = dict.fromkeys(("address", "mark", "customer_id", "person", "personalizations"), "")
        blanked = session.scalars(
            update(Recipient).where(theirs).values(**blank, content_dropped=True).returning(Recipient.send_id)
        ).all()
        _drop_content(scope, session, {*gone, *blanked})
    return len(gone) + len(blanked) + posts


def _of(scope: Scope, marks: Sequence[str], customer_id: str) -> ColumnElement[bool]:
    at_address = Recipient.mark.in_([mark for mark in marks if mark])
    is_named = Recipient.person == customer_id.lower() if customer_id else false()
    return (Recipient.tenant_id == scope.tenant_id) & or_(at_address, is_named)


def _drop_content(scope: Scope, session: Session, send_ids: set[int]) -> None:
    """Drop the content that requests gave for these persons, where nobody else is still to get it."""
    needed = select(Recipient.send_id).where(
        Recipient.tenant_id == scope.tenant_id, Recipient.send_id.in_(send_ids), Recipient.ended_at.is_(None)
    )
    of_persons = (Send.tenant_id == scope.tenant_id, Send.id.in_(send_ids), Send.id.not_in(needed))
    session.execute(update(Send).where(*of_persons).values(content=""))
