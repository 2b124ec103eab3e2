"""API keys: issued once, kept hashed, checked at every call."""

import ipaddress
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select, update

from rapport.access.digests import digest
from rapport.access.ended import keep_ended
from rapport.access.models import ApiKey, KeyStatus, Tenant
from rapport.access.refusals import note_refusal, note_unknown
from rapport.access.roles import DATA_IN_SECTIONS, SECTIONS, Rights
from rapport.access.scope import Scope, scope_from
from rapport.access.tenant_limits import check_new_key, limits_from
from rapport.errors import Forbidden, Invalid, NotFound, Unauthorized
from rapport.stores import Stores
from rapport.stores.checks import Check

ACCESS_TYPES = ("Admin", "Integrations", "Transactional")
PREFIX_LENGTH = 12
CACHE_SECONDS = 5.0
KEY = re.compile(r"rap_[A-Za-z0-9_-]{43}")
UNKNOWN = "The API key is not known."
LAST_USED_EVERY = timedelta(minutes=1)
LIFETIME = timedelta(days=365)  # of a key that management makes without saying how long
UNUSED_AFTER, ENDS_SOON = timedelta(days=90), timedelta(days=30)


@dataclass(frozen=True)
class Principal:
    """Who calls: the key and the tenant it opens."""

    key_id: int
    access_type: str
    rate_limit: int | None
    cidrs: tuple[str, ...]
    scope: Scope
    tenant_rate_limit: int  # of all keys of the tenant together; 0 means no limit
    rights: Rights = Rights.FULL
    sections: tuple[str, ...] = ()


def create_key(
    scope: Scope,
    nickname: str,
    contact_email: str,
    access_type: str,
    expires_on: date | None = None,
    cidrs: list[str] | None = None,
    rate_limit: int | None = None,
    rights: str = Rights.FULL,
    sections: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, shown this once.

    sections are those of the management API that it is for; none means all of it, and the wire. Raises Invalid, also
    for a rate_limit above the tenant's, and Conflict when the tenant has as many keys as it may.
    """
    if access_type not in ACCESS_TYPES:
        raise Invalid(f"access_type must be one of {', '.join(ACCESS_TYPES)}.")
    if not nickname.strip():
        raise Invalid("nickname must not be empty.")
    if "@" not in contact_email:
        raise Invalid("contact_email must be an e-mail address.")
    for cidr in cidrs or []:
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise Invalid(f"cidrs contains {cidr!r}, which is not an address range.") from error
    _check_rights(access_type, rights, sections)
    secret = f"rap_{secrets.token_urlsafe(32)}"  # fits KEY
    key = ApiKey(
        tenant_id=scope.tenant_id,
        nickname=nickname.strip(),
        contact_email=contact_email,
        access_type=access_type,
        prefix=secret[:PREFIX_LENGTH],
        hash=digest(secret),
        status=KeyStatus.ACTIVE,
        cidrs=cidrs or [],
        rate_limit=rate_limit,
        rights=Rights(rights),
        sections=sorted(set(sections)),
        expires_on=expires_on,
        created_at=scope.clock.now(),
    )
    with scope.records() as session:
        check_new_key(scope, session, rate_limit)
        session.add(key)
        session.flush()
        details = {"nickname": key.nickname, "access_type": access_type, "rights": key.rights, "sections": key.sections}
        scope.audit(session, "create", f"key {key.id}", **details)
    return key, secret


def _check_rights(access_type: str, rights: str, sections: Sequence[str]) -> None:
    if rights not in set(Rights):
        raise Invalid(f"rights must be one of {', '.join(Rights)}.")
    if unknown := sorted(set(sections) - set(SECTIONS)):
        raise Invalid(f"sections contains {unknown[0]!r}; there are {', '.join(SECTIONS)}.")
    if sections and access_type != "Admin":
        raise Invalid("sections needs the access_type Admin, the only one that may call the management API.")
    if rights == Rights.DATA_IN and (access_type == "Integrations" or set(sections) - DATA_IN_SECTIONS):
        raise Invalid("rights data-in goes with the access_type Admin or Transactional, and with the section imports.")


def is_unused(scope: Scope, key: ApiKey) -> bool:
    """Whether a key that works was not used for 90 days."""
    works = key.status == KeyStatus.ACTIVE and (key.expires_on is None or key.expires_on >= scope.today())
    return works and scope.clock.now() - (key.last_used_at or key.created_at) > UNUSED_AFTER


def keys_check(stores: Stores) -> Check:
    """Keys of all tenants that nobody uses, or that end soon."""
    now, today = stores.clock.now(), stores.clock.now().date()
    works = (ApiKey.status == KeyStatus.ACTIVE, ApiKey.expires_on.is_(None) | (ApiKey.expires_on >= today))
    used_at = func.coalesce(ApiKey.last_used_at, ApiKey.created_at)
    unused = func.count().filter(used_at < now - UNUSED_AFTER)
    ending = func.count().filter(ApiKey.expires_on <= today + ENDS_SOON)
    with stores.records.reading() as connection:
        total, idle, soon = connection.execute(select(func.count(), unused, ending).where(*works)).one()
    counts = f"{total} API keys work, {idle} were not used for {UNUSED_AFTER.days} days, {soon} end within "
    return Check("keys", "warning" if idle or soon else "ok", f"{counts}{ENDS_SOON.days} days: `rapport key list`")


def keys(scope: Scope) -> list[ApiKey]:
    """The tenant's keys, oldest first."""
    with scope.reads() as session:
        return list(session.scalars(select(ApiKey).where(ApiKey.tenant_id == scope.tenant_id).order_by(ApiKey.id)))


def disable_key(scope: Scope, key_id: int) -> ApiKey:
    """Refuse a key from now on (within five seconds on other processes). Raises NotFound."""
    with scope.records() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.tenant_id != scope.tenant_id:
            raise NotFound(f"There is no key {key_id}.")
        key.status = KeyStatus.DISABLED
        keep_ended(scope, {key.hash: scope.clock.now()})
        scope.audit(session, "disable", f"key {key_id}")
    return key


def delete_key(scope: Scope, key_id: int) -> None:
    """Forget a key for good. Raises NotFound."""
    with scope.records() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.tenant_id != scope.tenant_id:
            raise NotFound(f"There is no key {key_id}.")
        session.delete(key)
        keep_ended(scope, {key.hash: scope.clock.now()})
        scope.audit(session, "delete", f"key {key_id}", prefix=key.prefix)


class KeyRing:
    """Turns the X-API-KEY header into a Principal, remembering good keys for a few seconds."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._known: dict[str, tuple[float, Principal, date | None]] = {}
        self._lock = threading.Lock()

    def principal(self, secret: str, address: str) -> Principal:
        """Who the key belongs to. Raises Unauthorized, or Forbidden for an address outside the key's list."""
        if not secret:
            raise Unauthorized("The X-API-KEY header is missing.")
        if not KEY.fullmatch(secret):
            note_unknown("unknown key", address)
            raise Unauthorized(UNKNOWN)
        hashed = digest(secret)
        with self._lock:
            remembered = self._known.get(hashed)
        if remembered is None or remembered[0] < time.monotonic():
            remembered = self._look_up(hashed, secret[:PREFIX_LENGTH], address)
        _, principal, expires_on = remembered
        if expires_on is not None and expires_on < principal.scope.today():
            self._refused(principal.scope.tenant_id, secret[:PREFIX_LENGTH], "expired", address)
            raise Unauthorized("The API key has expired.")
        if principal.cidrs and not _inside(address, principal.cidrs):
            self._refused(principal.scope.tenant_id, secret[:PREFIX_LENGTH], "address", address)
            raise Forbidden("The API key may not be used from this address.")
        return principal

    def _refused(self, tenant_id: int | None, prefix: str, reason: str, address: str) -> None:
        if tenant_id is None:
            note_unknown(reason, address)
        else:
            note_refusal(self._stores, tenant_id, f"key {prefix}", reason, address)

    def remembers(self, secret: str) -> bool:
        """Whether who the key belongs to, or that it is nobody's, can be told without asking the records.

        A key that may be refused is asked about, since that is noted in them.
        """
        if not KEY.fullmatch(secret):
            return True
        with self._lock:
            remembered = self._known.get(digest(secret))
        if remembered is None or remembered[0] < time.monotonic():
            return False
        _, principal, expires_on = remembered
        return not principal.cidrs and (expires_on is None or expires_on >= principal.scope.today())

    def forget(self) -> None:
        """Read every key again, at once."""
        with self._lock:
            self._known.clear()

    def _look_up(self, hashed: str, prefix: str, address: str) -> tuple[float, Principal, date | None]:
        now = self._stores.clock.now()
        with self._stores.records.session() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.hash == hashed))
            # A key that begins like one of a tenant is that one with a mistake in it.
            like = select(ApiKey.tenant_id).where(ApiKey.prefix == prefix)
            tenant_id = key.tenant_id if key else session.scalars(like).first()
            active = key is not None and key.status == KeyStatus.ACTIVE
            if key and active and (key.last_used_at is None or now - key.last_used_at > LAST_USED_EVERY):
                session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
            tenant = session.get(Tenant, tenant_id) if active else None
        if key is None or tenant is None:
            status = key.status.lower() if key else "unknown key"
            self._refused(tenant_id, prefix, status, address)
            raise Unauthorized(f"The API key is {status}." if key else UNKNOWN)
        scope = scope_from(self._stores, tenant, f"key {key.prefix} ({key.nickname})")
        rights = (Rights(key.rights), tuple(key.sections))
        calls = limits_from(self._stores.settings, tenant).calls
        principal = Principal(key.id, key.access_type, key.rate_limit, tuple(key.cidrs), scope, calls, *rights)
        remembered = (time.monotonic() + CACHE_SECONDS, principal, key.expires_on)
        with self._lock:
            self._known[hashed] = remembered
        return remembered


def _inside(address: str, cidrs: tuple[str, ...]) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(caller in ipaddress.ip_network(cidr) for cidr in cidrs)
