"""Requests are accepted: in one transaction they are remembered, entered in the message log and in the outbox."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.delivery import outbox
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Entry
from rapport.errors import Invalid
from rapport.messaging.contactability import suppressed_addresses
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.transactional import request_keys
from rapport.transactional.models import Attachment, Recipient, Send
from rapport.transactional.personalizations import missing_tags
from rapport.transactional.requests import Accepted, Addressee, FinalContent, Order
from rapport.transactional.streams import Stream, stream, stream_of_template

NOT_AN_ADDRESS = "not an e-mail address"
# The number of a send and, after it, those of its recipients.
NUMBERS = text("""
    SELECT nextval(pg_get_serial_sequence('transactional_sends', 'id'))
    UNION ALL
    SELECT nextval(pg_get_serial_sequence('transactional_recipients', 'id')) FROM generate_series(1, :recipients)
""")


def send_template(scope: Scope, template_id: int, order: Order) -> Accepted:
    """Accept mail of a transactional template.

    Raises NotFound for the template, Invalid if no recipient has an address, Conflict for a UniqueMessageID that was
    used.
    """
    of_brand, template = stream_of_template(scope, template_id)
    missing = missing_tags(template, (addressee.values for addressee in order.addressees))
    return _accept(scope, of_brand, order, template_id=template_id, missing=missing)


def send_final(scope: Scope, brand_id: int, content: FinalContent, order: Order) -> Accepted:
    """Accept mail of final content. Raises NotFound for the brand, Invalid for its sender, and as send_template."""
    of_brand = stream(scope, brand_id)
    of_brand.require_sender(scope, content.from_email)
    return _accept(scope, of_brand, order, content=orjson.dumps(asdict(content)).decode())


def _accept(
    scope: Scope,
    of_brand: Stream,
    order: Order,
    template_id: int | None = None,
    content: str = "",
    missing: list[str] | None = None,
) -> Accepted:
    not_addresses = [place for place, addressee in enumerate(order.addressees) if not _is_address(addressee.email)]
    if len(not_addresses) == len(order.addressees):
        raise Invalid(f"Recipients[0].Email is {NOT_AN_ADDRESS}.")
    now = OUTSIDE_CLOCK.now()
    with scope.records() as session:
        if order.unique_id:
            request_keys.claim(scope, session, order.unique_id)
        send_id, *recipient_ids = session.scalars(NUMBERS, {"recipients": len(order.addressees)})
        send = Send(
            id=send_id,
            tenant_id=scope.tenant_id,
            brand_id=of_brand.brand_id,
            channel_id=of_brand.channel.id,
            template_id=template_id,
            content=content,
            accepted_at=scope.clock.now(),
            due_at=max(order.due_at, now) if order.due_at else now,
        )
        session.add(send)
        _attach(session, send, order)
        _enter(scope, session, send, dict(zip(recipient_ids, order.addressees, strict=True)))
        return Accepted(send_id, missing or [], not_addresses)


def _attach(session: Session, send: Send, order: Order) -> None:
    for place, attached in enumerate(order.attachments):
        session.add(Attachment(tenant_id=send.tenant_id, send_id=send.id, place=place, **asdict(attached)))


def _enter(scope: Scope, session: Session, send: Send, addressees: Mapping[int, Addressee]) -> None:
    """Enter the recipients in the log, and the messages of those that have an address in the outbox."""
    marks = suppressed_addresses.marks_of(scope, [addressee.email for addressee in addressees.values()])
    entries = []
    for (recipient_id, addressee), mark in zip(addressees.items(), marks, strict=True):
        is_address = _is_address(addressee.email)
        session.add(
            Recipient(
                id=recipient_id,
                tenant_id=send.tenant_id,
                send_id=send.id,
                brand_id=send.brand_id,
                channel_id=send.channel_id,
                template_id=send.template_id,
                address=addressee.email,
                mark=mark,
                personalizations=orjson.dumps(addressee.values).decode() if addressee.values else "",
                message_id=message_id(send.tenant_id, Source.TRANSACTIONAL, recipient_id, send.channel_id, ""),
                state=State.PENDING if is_address else State.FAILED,
                reason="" if is_address else NOT_AN_ADDRESS,
                ended_at=None if is_address else send.accepted_at,
            )
        )
        if is_address:
            template_id = send.template_id or 0
            entries.append(Entry(recipient_id, send.channel_id, "", 0, template_id, 0, "", due_at=send.due_at))
    outbox.enter(scope, session, Source.TRANSACTIONAL, entries)


def _is_address(email: str) -> bool:
    try:
        channel_addresses.recipient(email)
    except ValueError:
        return False
    return True
