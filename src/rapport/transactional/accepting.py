"""Requests are accepted: each is entered in the log and the outbox by one statement, and handed to the sender."""

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.errors import Away, Invalid
from rapport.messaging.contactability import suppressed_addresses
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.transactional import entering
from rapport.transactional.entering import FreshClaim, Outdated, Request
from rapport.transactional.known_templates import KnownTemplate, known_template, read_again
from rapport.transactional.messages import TransactionalSender
from rapport.transactional.personalizations import missing_tags
from rapport.transactional.requests import Accepted, FinalContent, Order
from rapport.transactional.streams import Stream, stream

NOT_AN_ADDRESS = "not an e-mail address"
# How often a request begins again because its template was changed meanwhile.
TRIES = 5


def send_template(scope: Scope, template_id: int, order: Order) -> Accepted:
    """Accept mail of a transactional template.

    Raises NotFound for the template, Invalid if no recipient has an address, Conflict for a UniqueMessageID that was
    used.
    """
    known = known_template(scope, template_id)
    for _ in range(TRIES):
        missing = missing_tags(known.expected, (addressee.values for addressee in order.addressees))
        try:
            return _accept(scope, known.stream, order, known, missing=missing)
        except Outdated:
            known = read_again(scope, template_id)
    raise Away(f"Template {template_id} is being changed: try again.")


def send_final(scope: Scope, brand_id: int, content: FinalContent, order: Order) -> Accepted:
    """Accept mail of final content. Raises NotFound for the brand, Invalid for its sender, and as send_template."""
    of_brand = stream(scope, brand_id)
    of_brand.require_sender(scope, content.from_email)
    return _accept(scope, of_brand, order, content=orjson.dumps(asdict(content)).decode())


def _accept(
    scope: Scope,
    of_brand: Stream,
    order: Order,
    known: KnownTemplate | None = None,
    content: str = "",
    missing: list[str] | None = None,
) -> Accepted:
    faults = ["" if _is_address(addressee.address) else NOT_AN_ADDRESS for addressee in order.addressees]
    if all(faults):
        raise Invalid(f"Recipients[0].Email is {NOT_AN_ADDRESS}.")
    now = OUTSIDE_CLOCK.now()
    marks = suppressed_addresses.marks_of(scope, [addressee.address for addressee in order.addressees])
    request = Request(
        brand_id=of_brand.brand_id,
        channel_id=of_brand.channel.id,
        template=known.template if known else None,
        state=known.state if known else None,
        content=content,
        accepted_at=scope.clock.now(),
        due_at=max(order.due_at, now) if order.due_at else now,
        unique_id=order.unique_id,
        recipients=list(zip(order.addressees, marks, faults, strict=True)),
        files=order.attachments,
    )
    send_id = enter(scope, request, faults.count(""), at_once=request.due_at <= now)
    return Accepted(send_id, missing or [], [place for place, fault in enumerate(faults) if fault])


def enter(scope: Scope, request: Request, messages: int, *, at_once: bool) -> int:
    """Enter a request; what is to leave at once is handed to the sender of this process, if it has room."""
    sender = scope.stores.workers.working(TransactionalSender) if at_once else None
    place = sender.place(scope.tenant_id, request.channel_id, messages) if sender else None
    if sender is None or place is None:
        return entering.enter(scope, request, None)[0]
    claims: Sequence[FreshClaim] = ()
    try:
        send_id, claims = entering.enter(scope, request, place.until)
    finally:
        sender.hand_over(place, claims)
    return send_id


def _is_address(email: str) -> bool:
    try:
        channel_addresses.recipient(email)
    except ValueError:
        return False
    return True
