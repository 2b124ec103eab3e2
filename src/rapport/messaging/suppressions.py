"""Who must not be written to, and the links by which people say so themselves."""

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import tenant_secret
from rapport.errors import Invalid, NotFound
from rapport.messaging import queries
from rapport.messaging.models import EVERY_CHANNEL, Suppression
from rapport.stores import Stores

UNSUBSCRIBED = "unsubscribed"
REASONS = (UNSUBSCRIBED, "bounced", "complaint", "manual")
MAX_CUSTOMER_ID = 255
TENANT_ID = re.compile(r"[0-9]{1,9}")


# In order of the key, so that two callers with the same customers wait for each other and never lock up.
SUPPRESS_MANY = """
    INSERT INTO suppressions (tenant_id, customer_key, channel_id, customer_id, reason, created_at)
    SELECT :tenant_id, key, :channel_id, id, :reason, :at
    FROM unnest(CAST(:keys AS text[]), CAST(:ids AS text[])) AS given (key, id)
    ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING channel_id
"""


def list_suppressions(
    scope: Scope, customer_id: str | None = None, channel_id: int | None = None, limit: int = 100, offset: int = 0
) -> list[Suppression]:
    """Suppressions by customer and channel, of one customer or one channel when asked for."""
    wanted = select(Suppression).where(Suppression.tenant_id == scope.tenant_id)
    if customer_id is not None:
        wanted = wanted.where(_of(scope, customer_id))
    if channel_id is not None:
        wanted = wanted.where(Suppression.channel_id == channel_id)
    wanted = wanted.order_by(Suppression.customer_key, Suppression.channel_id).limit(limit).offset(offset)
    with scope.records() as session:
        return list(session.scalars(wanted))


def _of(scope: Scope, customer_id: str) -> ColumnElement[bool]:
    """Of this person, by id or, after an erasure, by pseudonym."""
    return Suppression.customer_key.in_([customer_id.lower(), pseudonym(scope, customer_id)])


def suppress(
    scope: Scope, customer_id: str, channel_id: int = EVERY_CHANNEL, reason: str = UNSUBSCRIBED
) -> tuple[Suppression, bool]:
    """Write to a customer no more on a channel (0: on any). True when that is new; the first reason is kept.

    Raises Invalid for a reason that is not one of REASONS or a customer id that cannot be one.
    """
    if reason not in REASONS:
        raise Invalid(f"reason must be one of {', '.join(REASONS)}.")
    if not customer_id.strip() or len(customer_id.lower()) > MAX_CUSTOMER_ID:
        raise Invalid(f"customer_id must have 1 to {MAX_CUSTOMER_ID} characters.")
    key = (scope.tenant_id, customer_id.lower(), channel_id)
    made = insert(Suppression).values(
        tenant_id=scope.tenant_id,
        customer_key=customer_id.lower(),
        channel_id=channel_id,
        customer_id=queries.spelling(scope, customer_id),
        reason=reason,
        created_at=scope.clock.now(),
    )
    with scope.records() as session:
        new = session.scalar(made.on_conflict_do_nothing().returning(Suppression.channel_id)) is not None
        if new:
            scope.audit(session, "suppress", f"customer on channel {channel_id}", reason=reason)
        return session.get_one(Suppression, key), new


def suppress_many(scope: Scope, session: Session, channel_id: int, reason: str, customer_ids: Iterable[str]) -> None:
    """Write to these customers no more on a channel, in the caller's transaction. Earlier reasons are kept."""
    by_key = {one.lower(): one for one in customer_ids}
    common = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "reason": reason}
    bound = {"keys": list(by_key), "ids": list(by_key.values()), "at": scope.clock.now()}
    count = len(session.execute(text(SUPPRESS_MANY), {**common, **bound}).all())
    if count:
        scope.audit(session, "suppress", f"customers on channel {channel_id}", reason=reason, customers=count)


def allow(scope: Scope, customer_id: str, channel_id: int = EVERY_CHANNEL) -> None:
    """Take a suppression back. Raises NotFound."""
    with scope.records() as session:
        gone = session.execute(
            delete(Suppression)
            .where(Suppression.tenant_id == scope.tenant_id, _of(scope, customer_id))
            .where(Suppression.channel_id == channel_id)
            .returning(Suppression.channel_id)
        ).all()
        if not gone:
            raise NotFound(f"Customer {customer_id} is not suppressed on channel {channel_id}.")
        scope.audit(session, "allow", f"customer on channel {channel_id}")


@dataclass(frozen=True)
class Origin:
    """The message that a link stands in; delivery_date is the campaign's execution date (YYYY-MM-DD)."""

    channel_id: int
    campaign_id: int = 0
    template_id: int = 0
    recipient_group_id: int = 0
    action_id: int = 0
    delivery_date: str = ""


def _signer(scope: Scope) -> URLSafeSerializer:
    return URLSafeSerializer(tenant_secret(scope, "unsubscribe"), salt="unsubscribe")


def unsubscribe_links(scope: Scope) -> Callable[[str, Origin], str]:
    """A function that gives the unsubscribe address of a customer in a message; get it once a batch."""
    signer, base = _signer(scope), f"{scope.stores.settings.links_url}/unsubscribe/{scope.tenant_id}."

    def link(customer_id: str, origin: Origin) -> str:
        return base + str(signer.dumps([customer_id, *asdict(origin).values()]))

    return link


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The headers by which mail programs offer to unsubscribe with one click (RFC 2369, RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def read_token(stores: Stores, token: str) -> tuple[Scope, str, Origin]:
    """The tenant, customer and message of an unsubscribe address. Raises NotFound for one that Rapport did not make."""
    tenant, _, signed = token.partition(".")
    try:
        if not TENANT_ID.fullmatch(tenant):
            raise ValueError
        scope = scope_of(stores, int(tenant), actor="unsubscribe link")
        customer_id, *origin = _signer(scope).loads(signed)
        return scope, customer_id, Origin(*origin)
    except (ValueError, BadSignature, TypeError, NotFound) as error:
        raise NotFound("This unsubscribe address is not valid.") from error


def unsubscribe(scope: Scope, customer_id: str, origin: Origin, everything: bool = False) -> None:
    """Carry out a person's wish: nothing more on the message's channel, or on any. May be repeated freely.

    The campaign of the message gets one interaction 4 (unsubscribed) a customer.
    """
    suppress(scope, customer_id, EVERY_CHANNEL if everything else origin.channel_id)
    if origin.campaign_id:
        day = date.fromisoformat(origin.delivery_date) if origin.delivery_date else scope.today()
        queries.record_unsubscribed(scope, customer_id, origin, day)
