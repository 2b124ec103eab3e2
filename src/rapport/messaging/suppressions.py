"""Who must not be written to, and the links by which people say so themselves."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import date

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import tenant_secret
from rapport.errors import Invalid, NotFound
from rapport.messaging import queries, suppressed_addresses
from rapport.messaging.models import EVERY_CHANNEL, Suppression
from rapport.stores import Stores

UNSUBSCRIBED = "unsubscribed"
REASONS = (UNSUBSCRIBED, "bounced", "complaint", "manual")
MAX_CUSTOMER_ID = 255
TENANT_ID = re.compile(r"[0-9]{1,9}")
PSEUDONYM = re.compile(r"[0-9a-f]{64}")


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
    scope: Scope, customer_id: str, channel_id: int = EVERY_CHANNEL, reason: str = UNSUBSCRIBED, mark: str = ""
) -> tuple[Suppression, bool]:
    """Write to a customer no more on a channel (0: on any). True when that is new; the first reason is kept.

    Nor to its addresses, whoever has them: the present ones, and that of mark, if given. Raises Invalid for a reason
    that is not one of REASONS or a customer id that cannot be one.
    """
    if reason not in REASONS:
        raise Invalid(f"reason must be one of {', '.join(REASONS)}.")
    if not customer_id.strip() or len(customer_id.lower()) > MAX_CUSTOMER_ID:
        raise Invalid(f"customer_id must have 1 to {MAX_CUSTOMER_ID} characters.")
    key = (scope.tenant_id, customer_id.lower(), channel_id)
    spelled = queries.spelling(scope, customer_id)
    with scope.records() as session:
        new = _write(scope, session, channel_id, reason, {customer_id.lower(): spelled}, {spelled: mark}) > 0
        if new:
            scope.audit(session, "suppress", f"customer on channel {channel_id}", reason=reason)
        return session.get_one(Suppression, key), new


def _write(
    scope: Scope, session: Session, channel_id: int, reason: str, by_key: Mapping[str, str], marks: Mapping[str, str]
) -> int:
    """Suppress customers, by id in lower case, with their addresses; how many are new. Only this makes suppressions."""
    common = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "reason": reason}
    bound = {"keys": list(by_key), "ids": list(by_key.values()), "at": scope.clock.now()}
    kept.keep_wish(scope, kept.SUPPRESS, {"channel": channel_id, "reason": reason}, pseudonyms(scope, by_key))
    count = len(session.execute(text(SUPPRESS_MANY), {**common, **bound}).all())
    listed = suppressed_addresses.SUPPRESSED
    suppressed_addresses.keep(scope, session, (channel_id, ""), listed, list(by_key.values()), marks)
    return count


def suppress_many(scope: Scope, session: Session, channel_id: int, reason: str, customer_ids: Iterable[str]) -> None:
    """Write to these customers no more on a channel, in the caller's transaction. Earlier reasons are kept."""
    count = _write(scope, session, channel_id, reason, {one.lower(): one for one in customer_ids}, {})
    if count:
        scope.audit(session, "suppress", f"customers on channel {channel_id}", reason=reason, customers=count)


def allow(scope: Scope, customer_id: str, channel_id: int = EVERY_CHANNEL) -> None:
    """Take a suppression back, with all others of the same addresses on the channel. Raises NotFound."""
    own = [customer_id.lower(), pseudonym(scope, customer_id)]
    with scope.records() as session:
        shared = suppressed_addresses.let_in(scope, session, channel_id, customer_id, own)
        gone = session.execute(
            delete(Suppression)
            .where(Suppression.tenant_id == scope.tenant_id, Suppression.customer_key.in_([*own, *shared]))
            .where(Suppression.channel_id == channel_id)
            .returning(Suppression.channel_id)
        ).all()
        if not gone and not shared:
            raise NotFound(f"Customer {customer_id} is not suppressed on channel {channel_id}.")
        kept.keep_wish(scope, kept.ALLOW, {"channel": channel_id}, sorted({own[1], *_pseudonymous(scope, shared)}))
        scope.audit(session, "allow", f"customer on channel {channel_id}", customers=len({*own[:1], *shared}))


def _pseudonymous(scope: Scope, keys: Iterable[str]) -> list[str]:
    """Keys of suppressions, of which those of erased persons are pseudonyms already."""
    given = list(keys)
    return [
        *(key for key in given if PSEUDONYM.fullmatch(key)),
        *pseudonyms(scope, [key for key in given if not PSEUDONYM.fullmatch(key)]),
    ]


@dataclass(frozen=True)
class Origin:
    """The message that a link stands in; delivery_date is the campaign's execution date (YYYY-MM-DD).

    address is the mark of where the message went, which later may not be the customer's address any more.
    """

    channel_id: int
    campaign_id: int = 0
    template_id: int = 0
    recipient_group_id: int = 0
    action_id: int = 0
    delivery_date: str = ""
    address: str = ""


def _signer(scope: Scope) -> URLSafeSerializer:
    return URLSafeSerializer(tenant_secret(scope, "unsubscribe"), salt="unsubscribe")


def unsubscribe_links(scope: Scope) -> Callable[[str, Origin, str], str]:
    """A function that gives the link by which a customer unsubscribes from a message, and the address it goes to."""
    signer, base = _signer(scope), f"{scope.stores.settings.links_url}/unsubscribe/{scope.tenant_id}."

    def link(customer_id: str, origin: Origin, to: str = "") -> str:
        mark = suppressed_addresses.marks_of(scope, [to])[0]
        return base + str(signer.dumps([customer_id, *astuple(replace(origin, address=mark))]))

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
    suppress(scope, customer_id, EVERY_CHANNEL if everything else origin.channel_id, mark=origin.address)
    if origin.campaign_id:
        day = date.fromisoformat(origin.delivery_date) if origin.delivery_date else scope.today()
        queries.record_unsubscribed(scope, customer_id, origin, day)
