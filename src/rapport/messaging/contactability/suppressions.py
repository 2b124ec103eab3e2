"""Who must not be written to, and the links by which people say so themselves."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import orjson
from itsdangerous import BadSignature, Signer, URLSafeSerializer
from itsdangerous.encoding import base64_encode
from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.models import TenantSecret
from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import FIRST_VERSION, rotate, versions
from rapport.channels import addresses as channel_addresses
from rapport.channels import service as channels
from rapport.channels.kinds.base import ANY_ADDRESS, AddressForm
from rapport.channels.messages import Origin
from rapport.customers.privacy import persons as customer_persons
from rapport.customers.writes import attribute_writes
from rapport.errors import Invalid, NotFound
from rapport.messaging.contactability import consent_log, suppressed_addresses, unsubscribed_attribute
from rapport.messaging.contactability.suppressed_addresses import NAMELESS
from rapport.messaging.models import ERASED, EVERY_CHANNEL, Suppression, WishSource
from rapport.stores import Stores
from rapport.stores.parts import Part, part

UNSUBSCRIBED, BOUNCED = "unsubscribed", "bounced"
REASONS = (UNSUBSCRIBED, BOUNCED, "complaint", "manual")
# By what a suppression came where the caller says no more than its reason.
USUAL_SOURCES = {
    UNSUBSCRIBED: WishSource.VENDOR,
    BOUNCED: WishSource.BOUNCE,
    "complaint": WishSource.COMPLAINT,
    "manual": WishSource.MANAGEMENT,
}
ADDRESSES = "addresses"  # that were suppressed by themselves, where suppressions are counted
MAX_CUSTOMER_ID = 255
MAX_PLACES_TOLD = 100  # of addresses in a list that are none
TOKEN = re.compile(r"(?P<tenant>[0-9]{1,9})[.](?:v(?P<version>[1-9][0-9]{0,5})[.])?(?P<signed>.+)")
UNSUBSCRIBE = "unsubscribe"  # the purpose of the secret that links are signed with


# In order of the key, so that two callers with the same customers wait for each other and never lock up.
SUPPRESS_MANY = """
    INSERT INTO suppressions (tenant_id, customer_key, channel_id, customer_id, reason, source, created_at)
    SELECT :tenant_id, key, :channel_id, id, :reason, :source, :at
    FROM unnest(CAST(:keys AS text[]), CAST(:ids AS text[])) AS named (key, id)
    ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING customer_key
"""


def list_suppressions(
    scope: Scope, customer_id: str | None = None, channel_id: int | None = None, limit: int = 100, offset: int = 0
) -> Part[Suppression]:
    """Suppressions by customer and channel, of one customer or one channel when asked for."""
    statement = select(Suppression).where(Suppression.tenant_id == scope.tenant_id)
    if customer_id is not None:
        statement = statement.where(_of(scope, customer_id))
    if channel_id is not None:
        statement = statement.where(Suppression.channel_id == channel_id)
    with scope.reads() as session:
        return part(session, statement.order_by(Suppression.customer_key, Suppression.channel_id), limit, offset)


def suppressed_between(scope: Scope, begin: datetime, end: datetime) -> dict[str, int]:
    """How many suppressions were made from one instant to before another: of customers by reason, and of ADDRESSES."""
    in_time = (Suppression.created_at >= begin, Suppression.created_at < end)
    counted = select(Suppression.reason, func.count()).where(Suppression.tenant_id == scope.tenant_id, *in_time)
    with scope.reads() as session:
        rows = session.execute(counted.group_by(Suppression.reason).order_by(Suppression.reason))
        counts = {str(reason): int(count) for reason, count in rows}
    addresses = suppressed_addresses.added_between(scope, begin, end)
    return {**counts, ADDRESSES: addresses} if addresses else counts


def _of(scope: Scope, customer_id: str) -> ColumnElement[bool]:
    """Of this person, by id or, after an erasure, by pseudonym."""
    return Suppression.customer_key.in_([customer_id.lower(), pseudonym(scope, customer_id)])


def suppress(
    scope: Scope,
    customer_id: str,
    channel_id: int = EVERY_CHANNEL,
    reason: str = UNSUBSCRIBED,
    mark: str = "",
    source: WishSource | None = None,
    wording: str = "",
) -> tuple[Suppression, bool]:
    """Write to a customer no more on a channel (0: on any). True when that is new; the first reason is kept.

    Nor to its addresses, whoever has them: the present ones, and that of mark, if given. source is by what the wish
    came, wording what the person read, which the log of consent keeps. The wish of an erased person
    is kept under the pseudonym. Raises Invalid for a reason that is not one of REASONS or a customer id that cannot be
    one.
    """
    why = Why.of(reason, source, wording)
    if not customer_id.strip() or len(customer_id.lower()) > MAX_CUSTOMER_ID:
        raise Invalid(f"customer_id must have 1 to {MAX_CUSTOMER_ID} characters.")
    erased = customer_persons.is_erased(scope, customer_id)
    key = pseudonym(scope, customer_id) if erased else customer_id.lower()
    spelled = attribute_writes.spelling(scope, customer_id) or customer_id
    with scope.records() as session:
        if erased:
            new = _add(scope, session, channel_id, why, {key: ERASED}, [key]) > 0
            suppressed_addresses.keep_of_erased(scope, session, channel_id, key, mark, why.reason, why.source)
        else:
            new = _write(scope, session, channel_id, why, {key: spelled}, {spelled: mark}) > 0
        if new:
            scope.audit(session, "suppress", f"customer on channel {channel_id}", reason=reason)
        return session.get_one(Suppression, (scope.tenant_id, key, channel_id)), new


def _write(
    scope: Scope, session: Session, channel_id: int, why: "Why", by_key: Mapping[str, str], marks: Mapping[str, str]
) -> int:
    """Suppress customers, by id in lower case, with their addresses; how many are new."""
    count = _add(scope, session, channel_id, why, by_key, pseudonyms(scope, by_key))
    listed, ids = suppressed_addresses.SUPPRESSED, list(by_key.values())
    suppressed_addresses.keep(scope, session, (channel_id, ""), listed, ids, marks, why.reason, why.source)
    unsubscribed_attribute.follow(scope, session, customer_ids=ids, marks=list(filter(None, marks.values())))
    return count


def _add(
    scope: Scope, session: Session, channel_id: int, why: "Why", by_key: Mapping[str, str], persons: Sequence[str]
) -> int:
    """Add suppressions by key, of persons by pseudonym; how many are new. Only this makes suppressions."""
    common = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "reason": why.reason, "source": why.source}
    values = {"keys": list(by_key), "ids": list(by_key.values()), "at": scope.clock.now()}
    wish = {"channel": channel_id, "reason": why.reason, "source": why.source}
    kept.keep_wish(scope, kept.SUPPRESS, wish, persons)
    new = [str(key) for (key,) in session.execute(text(SUPPRESS_MANY), {**common, **values})]
    if why.is_wish:
        changes = [consent_log.Changed(key, by_key[key], channel_id, agreed=False) for key in new]
        consent_log.note(scope, session, changes, why.source, why.wording)
    return len(new)


def suppress_many(
    scope: Scope,
    session: Session,
    channel_id: int,
    reason: str,
    customer_ids: Iterable[str],
    source: WishSource | None = None,
) -> None:
    """Write to these customers no more on a channel, in the caller's transaction. Earlier reasons are kept."""
    why, by_key = Why.of(reason, source), {customer_id.lower(): customer_id for customer_id in customer_ids}
    count = _write(scope, session, channel_id, why, by_key, {})
    if count:
        scope.audit(session, "suppress", f"customers on channel {channel_id}", reason=reason, customers=count)


def allow(
    scope: Scope,
    customer_id: str,
    channel_id: int = EVERY_CHANNEL,
    source: WishSource = WishSource.MANAGEMENT,
    wording: str = "",
) -> None:
    """Take a suppression back, with all others of the same addresses on the channel. Raises NotFound.

    source and wording are as of suppress.
    """
    own = [customer_id.lower(), pseudonym(scope, customer_id)]
    with scope.records() as session:
        shared = suppressed_addresses.let_in(scope, session, channel_id, customer_id, own)
        if not _take_off(scope, session, channel_id, [*own, *shared]) and not shared:
            raise NotFound(f"Customer {customer_id} is not suppressed on channel {channel_id}.")
        kept.keep_wish(scope, kept.ALLOW, {"channel": channel_id}, sorted({own[1], *_pseudonymous(scope, shared)}))
        erased = customer_persons.is_erased(scope, customer_id)
        changed = consent_log.Changed(own[erased], ERASED if erased else customer_id, channel_id, agreed=True)
        consent_log.note(scope, session, [changed], source, wording)
        unsubscribed_attribute.follow(scope, session, customer_ids=[customer_id, *_named(shared)])
        scope.audit(session, "allow", f"customer on channel {channel_id}", customers=len({*own[:1], *shared}))


def _take_off(scope: Scope, session: Session, channel_id: int, keys: Sequence[str]) -> int:
    """Take the suppressions of these keys on a channel back; how many there were."""
    gone = (
        delete(Suppression)
        .where(Suppression.tenant_id == scope.tenant_id, Suppression.customer_key.in_(keys))
        .where(Suppression.channel_id == channel_id)
        .returning(Suppression.channel_id)
    )
    return len(session.execute(gone).all())


def suppress_addresses(
    scope: Scope,
    addresses: Sequence[str],
    channel_id: int = EVERY_CHANNEL,
    reason: str = "manual",
    source: WishSource | None = None,
) -> int:
    """Write to addresses no more on a channel (0: on any), whoever has or gets them; how many are new.

    Raises Invalid for a reason that is not one of REASONS, or a text that is no address of the channel.
    """
    why = Why.of(reason, source)
    _check(scope, addresses, channel_id)
    with scope.records() as session:
        new = keep_checked(scope, session, channel_id, addresses, why)
        audit_addresses(scope, session, channel_id, why, new)
        return new


def keep_checked(scope: Scope, session: Session, channel_id: int, addresses: Iterable[str], why: "Why") -> int:
    """The same of addresses that are known to be some, in the caller's transaction, which tells the audit log."""
    new = suppressed_addresses.keep_addresses(scope, session, channel_id, addresses, why.reason, why.source)
    if new:
        changes = [
            consent_log.Changed(suppressed_addresses.BY_ITSELF + mark, ERASED, channel_id, agreed=False) for mark in new
        ]
        consent_log.note(scope, session, changes, why.source)
        unsubscribed_attribute.follow(scope, session, marks=new)
    return len(new)


def audit_addresses(scope: Scope, session: Session, channel_id: int, why: "Why", new: int) -> None:
    """Tell the audit log how many new addresses were suppressed, if any."""
    if new:
        scope.audit(session, "suppress", f"addresses on channel {channel_id}", reason=why.reason, addresses=new)


def _check(scope: Scope, addresses: Sequence[str], channel_id: int) -> None:
    """Raises Invalid for texts that are no addresses of a channel; it tells the place and never the address."""
    every = channel_id == EVERY_CHANNEL
    form = ANY_ADDRESS if every else channels.channel(scope, channel_id).behaviour.address_form
    keys = map(channel_addresses.address_key, addresses)
    bad = [number for number, key in enumerate(keys, 1) if not key or not form.passes(key)]
    if bad:
        raise Invalid(_no_addresses(bad, form))


def _no_addresses(places: Sequence[int], form: AddressForm) -> str:
    if len(places) == 1:
        return f"address {places[0]} is {form.fault}."
    listed = ", ".join(map(str, places[:MAX_PLACES_TOLD]))
    more = f" and {len(places) - MAX_PLACES_TOLD:,} more" if len(places) > MAX_PLACES_TOLD else ""
    return f"addresses {listed}{more} are not {form.plural}: leave them out, nothing was suppressed."


def allow_address(
    scope: Scope, address: str, channel_id: int = EVERY_CHANNEL, source: WishSource = WishSource.MANAGEMENT
) -> None:
    """Let an address in again, with all suppressions of it on the channel (0: those on any). Raises NotFound."""
    with scope.records() as session:
        if not let_address_in(scope, session, channel_id, address, source):
            raise NotFound(f"The address is not suppressed on channel {channel_id}.")


def let_address_in(scope: Scope, session: Session, channel_id: int, address: str, source: WishSource) -> list[str]:
    """The same in the caller's transaction: the keys of all whom that lets in; none when it was not suppressed."""
    [marks] = suppressed_addresses.marks_kept_of(scope, [address])
    keys = suppressed_addresses.let_in_marks(scope, session, channel_id, marks)
    if keys:
        _take_off(scope, session, channel_id, keys)
        kept.keep_wish(scope, kept.ALLOW, {"channel": channel_id}, sorted(_pseudonymous(scope, keys)))
        changes = [
            consent_log.Changed(key, "" if NAMELESS.fullmatch(key) else key, channel_id, agreed=True) for key in keys
        ]
        consent_log.note(scope, session, changes, source)
        unsubscribed_attribute.follow(scope, session, customer_ids=_named(keys), marks=marks)
        scope.audit(session, "allow", f"address on channel {channel_id}", customers=len(keys))
    return keys


def require_no_address(scope: Scope, customer_id: str) -> None:
    """Raises Invalid for an e-mail address that is given as the id of a customer and is none's."""
    if channel_addresses.is_email_address(customer_id.strip()) and not attribute_writes.spellings(scope, [customer_id]):
        raise Invalid("customer_id is an e-mail address and not a customer's ID: send it as address to suppress it.")


def _pseudonymous(scope: Scope, keys: Iterable[str]) -> list[str]:
    """Keys of suppressions, of which those of erased persons and of addresses name nobody already."""
    all_keys = list(keys)
    return [
        *(key for key in all_keys if NAMELESS.fullmatch(key)),
        *pseudonyms(scope, [key for key in all_keys if not NAMELESS.fullmatch(key)]),
    ]


def keep_keys(scope: Scope, session: Session, channel_id: int, keys: Sequence[str], why: "Why") -> None:
    """Suppress those whom keys of suppressions name, erased persons too, in the caller's transaction."""
    named = _named(keys)
    spelled = attribute_writes.spellings(scope, named)
    _write(scope, session, channel_id, why, {key: spelled.get(key, key) for key in named}, {})
    erased = [key for key in keys if NAMELESS.fullmatch(key) and not key.startswith(suppressed_addresses.BY_ITSELF)]
    _add(scope, session, channel_id, why, dict.fromkeys(erased, ERASED), erased)


def _named(keys: Iterable[str]) -> list[str]:
    """Those of keys of suppressions that name a customer."""
    return [key for key in keys if not NAMELESS.fullmatch(key)]


@dataclass(frozen=True)
class Why:
    """Why somebody is suppressed, by what that came to be known, and what the person read who wished it."""

    reason: str
    source: WishSource
    wording: str = ""

    @property
    def is_wish(self) -> bool:
        """Whether somebody wished it, as nobody does a bounce."""
        return self.reason != BOUNCED

    @classmethod
    def of(cls, reason: str, source: WishSource | None = None, wording: str = "") -> "Why":
        """Without a source it is the usual one of the reason. Raises Invalid for a reason that is not of REASONS."""
        if reason not in REASONS:
            raise Invalid(f"reason must be one of {', '.join(REASONS)}.")
        return cls(reason, source or USUAL_SOURCES[reason], wording)


# What links have of an origin, in this order; behind it come the mark of the address and send_id.
BEFORE_ADDRESS = attrgetter(
    "channel_id", "campaign_id", "template_id", "recipient_group_id", "action_id", "delivery_date"
)


def _signer(secret: str, digest: Callable[[], Any]) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="unsubscribe", signer_kwargs={"digest_method": digest})


def unsubscribe_links(scope: Scope) -> Callable[[str, Origin, str], str]:
    """A function that gives the link by which a customer unsubscribes from a message, and the address it goes to."""
    newest = versions(scope, UNSUBSCRIBE)[0]
    base = f"{scope.stores.settings.links_url}/unsubscribe/{scope.tenant_id}.v{newest.version}."
    # The key is derived once, for all links that the function gives.
    derived = _signer(newest.value, hashlib.sha256).make_signer().derive_key()
    signer = Signer(derived, key_derivation="none", digest_method=hashlib.sha256)

    def link(customer_id: str, origin: Origin, to: str = "") -> str:
        mark = suppressed_addresses.marks_of(scope, [to])[0]
        signed = orjson.dumps([customer_id, *BEFORE_ADDRESS(origin), mark, origin.send_id])
        return base + signer.sign(base64_encode(signed)).decode()

    return link


def link_keys(scope: Scope) -> list[TenantSecret]:
    """The versions of the secret with which links to unsubscribe are signed, those that are good; the newest first."""
    return versions(scope, UNSUBSCRIBE)


def rotate_link_keys(scope: Scope, grace: timedelta) -> list[TenantSecret]:
    """Sign links with a new secret; links in messages of before work for the grace. The versions that are good then."""
    return rotate(scope, UNSUBSCRIBE, grace)


def read_token(stores: Stores, token: str) -> tuple[Scope, str, Origin]:
    """The tenant, customer and message of an unsubscribe address. Raises NotFound for one that Rapport did not make."""
    try:
        if (parts := TOKEN.fullmatch(token)) is None:
            raise ValueError
        scope = scope_of(stores, int(parts["tenant"]), actor="unsubscribe link")
        good = {secret.version: secret.value for secret in versions(scope, UNSUBSCRIBE)}
        # Links of before versions were signed with the first one and SHA-1; they end with it.
        version, digest = (int(parts["version"]), hashlib.sha256) if parts["version"] else (FIRST_VERSION, hashlib.sha1)
        if version not in good:
            raise ValueError
        customer_id, *origin = _signer(good[version], digest).loads(parts["signed"])
        return scope, customer_id, Origin(*origin)
    except (ValueError, BadSignature, TypeError, NotFound) as error:
        raise NotFound("This unsubscribe address is not valid.") from error
