"""The message log of transactional mail: what became of each message, and what it said."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Content
from rapport.delivery import reading
from rapport.delivery.models import Source
from rapport.errors import NotFound
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.content import sanitised
from rapport.messaging.editions import Editions
from rapport.stores.parts import Part, part
from rapport.transactional.channel_writing import template_of
from rapport.transactional.models import Recipient, Send
from rapport.transactional.writing import filled, final_content, values_of


@dataclass(frozen=True)
class Entry:
    """A message with what of it is in its send. reason is also that of the last try, while it is tried again."""

    recipient: Recipient
    send: Send
    reason: str


@dataclass(frozen=True)
class Preview:
    """What a message said; as_sent: by a template that has not been changed since it left."""

    content: Content
    as_sent: bool


def messages(
    scope: Scope,
    email: str | None = None,
    send_id: int | None = None,
    customer_id: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> Part[Entry]:
    """Messages, newest first, to one address or customer, or of one send, when asked for."""
    statement = select(Recipient).where(Recipient.tenant_id == scope.tenant_id)
    if email is not None:
        statement = statement.where(Recipient.mark == suppressed_addresses.marks_of(scope, [email])[0])
    if send_id is not None:
        statement = statement.where(Recipient.send_id == send_id)
    if customer_id is not None:
        statement = statement.where(Recipient.person == customer_id.lower())
    with scope.reads() as session:
        recipients = part(session, statement.order_by(Recipient.id.desc()), limit, offset)
        return Part(_entries(scope, session, recipients), recipients.total)


def _entries(scope: Scope, session: Session, recipients: Sequence[Recipient]) -> list[Entry]:
    send_ids = {recipient.send_id for recipient in recipients}
    query = select(Send).where(Send.tenant_id == scope.tenant_id, Send.id.in_(send_ids))
    sends = {send.id: send for send in session.scalars(query)}
    under_way = [recipient.id for recipient in recipients if recipient.ended_at is None]
    tried = reading.messages_of(scope, session, Source.TRANSACTIONAL, under_way) if under_way else []
    reasons = {message.source_id: message.reason for message in tried}
    return [
        Entry(recipient, sends[recipient.send_id], reasons.get(recipient.id, recipient.reason))
        for recipient in recipients
    ]


def entry(scope: Scope, recipient_id: int) -> Entry:
    """One message. Raises NotFound."""
    with scope.reads() as session:
        query = select(Recipient).where(Recipient.tenant_id == scope.tenant_id, Recipient.id == recipient_id)
        recipients = list(session.scalars(query))
        for logged in _entries(scope, session, recipients):
            return logged
    raise NotFound(f"There is no transactional message {recipient_id}.")


def preview(scope: Scope, recipient_id: int) -> Preview:
    """What a message said, with HTML that is safe to show. Raises NotFound, also once the content was dropped."""
    logged = entry(scope, recipient_id)
    if logged.recipient.content_dropped:
        raise NotFound(f"The content of message {recipient_id} is not kept any more.")
    if logged.send.brand_id is not None and (final := final_content(logged.send)) is not None:
        return Preview(Content(final.subject, final.text, sanitised(final.html)), as_sent=True)
    template = template_of(scope, logged.send)
    left_at, values = logged.recipient.ended_at, values_of(logged.recipient)
    edition = Editions(scope, template, left_at).of(values)
    content = filled(scope, edition, values, customer_id=logged.recipient.customer_id)
    is_stored = logged.send.template_id is not None
    return Preview(content, as_sent=not is_stored or left_at is None or template.updated_at <= left_at)
