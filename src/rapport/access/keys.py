"""API keys: issued once, kept hashed, checked at every call."""

import hashlib
import ipaddress
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select, update

from rapport.access.models import ApiKey
from rapport.access.scope import Scope, scope_of
from rapport.errors import Forbidden, Invalid, NotFound, Unauthorized
from rapport.stores import Stores

ACCESS_TYPES = ("Admin", "Integrations", "Transactional")
PREFIX_LENGTH = 12
CACHE_SECONDS = 5.0
LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Principal:
    """Who calls: the key and the tenant it opens."""

    key_id: int
    access_type: str
    rate_limit: int | None
    cidrs: tuple[str, ...]
    scope: Scope


def digest(key: str) -> str:
    """The stored form of a key. Keys are 256 random bits, so one SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(
    scope: Scope,
    nickname: str,
    contact_email: str,
    access_type: str,
    expires_on: date | None = None,
    cidrs: list[str] | None = None,
    rate_limit: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, shown this once."""
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
            raise Invalid(f"cidrs holds {cidr!r}, which is not an address range.") from error
    secret = "rap_" + secrets.token_urlsafe(32)
    key = ApiKey(
        tenant_id=scope.tenant_id,
        nickname=nickname.strip(),
        contact_email=contact_email,
        access_type=access_type,
        prefix=secret[:PREFIX_LENGTH],
        hash=digest(secret),
        status="Active",
        cidrs=cidrs or [],
        rate_limit=rate_limit,
        expires_on=expires_on,
        created_at=scope.clock.now(),
    )
    with scope.records() as session:
        session.add(key)
        session.flush()
        scope.audit(session, "create", f"key {key.id}", nickname=key.nickname, access_type=access_type)
    return key, secret


def keys(scope: Scope) -> list[ApiKey]:
    """The tenant's keys, oldest first."""
    with scope.records() as session:
        return list(session.scalars(select(ApiKey).where(ApiKey.tenant_id == scope.tenant_id).order_by(ApiKey.id)))


def disable_key(scope: Scope, key_id: int) -> ApiKey:
    """Refuse a key from now on (within five seconds on other processes). Raises NotFound."""
    with scope.records() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.tenant_id != scope.tenant_id:
            raise NotFound(f"There is no key {key_id}.")
        key.status = "Disabled"
        scope.audit(session, "disable", f"key {key_id}")
    return key


def delete_key(scope: Scope, key_id: int) -> None:
    """Forget a key for good. Raises NotFound."""
    with scope.records() as session:
        key = session.get(ApiKey, key_id)
        if key is None or key.tenant_id != scope.tenant_id:
            raise NotFound(f"There is no key {key_id}.")
        session.delete(key)
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
        hashed = digest(secret)
        with self._lock:
            remembered = self._known.get(hashed)
        if remembered is None or remembered[0] < time.monotonic():
            remembered = self._look_up(hashed)
        _, principal, expires_on = remembered
        if expires_on is not None and expires_on < principal.scope.today():
            raise Unauthorized("The API key has expired.")
        if principal.cidrs and not _inside(address, principal.cidrs):
            raise Forbidden("The API key may not be used from this address.")
        return principal

    def forget(self) -> None:
        """Read every key again, at once."""
        with self._lock:
            self._known.clear()

    def _look_up(self, hashed: str) -> tuple[float, Principal, date | None]:
        now = self._stores.clock.now()
        with self._stores.records.session() as session:
            key = session.scalar(select(ApiKey).where(ApiKey.hash == hashed))
            if key is None:
                raise Unauthorized("The API key is not known.")
            if key.status != "Active":
                raise Unauthorized(f"The API key is {key.status.lower()}.")
            if key.last_used_at is None or now - key.last_used_at > LAST_USED_EVERY:
                session.execute(update(ApiKey).where(ApiKey.id == key.id).values(last_used_at=now))
        scope = scope_of(self._stores, key.tenant_id, actor=f"key {key.prefix} ({key.nickname})")
        principal = Principal(key.id, key.access_type, key.rate_limit, tuple(key.cidrs), scope)
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
