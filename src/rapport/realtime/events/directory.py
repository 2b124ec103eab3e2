"""What intake must know of a tenant for every event, read at most once a second."""

import asyncio
import hmac
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import select

from rapport.access.scope import Scope, scope_of
from rapport.access.tenant_limits import limits_of
from rapport.access.tenant_settings import tenant_settings
from rapport.customers import event_types
from rapport.errors import NotFound
from rapport.messaging.models import BrandGroup
from rapport.messaging.topics import brand_groups
from rapport.realtime.events.tokens import KINDS, good_tokens, tenant_of
from rapport.realtime.events.user_jwts import VerifyingKey, verifying_keys
from rapport.realtime.models import EventRecording
from rapport.realtime.settings import EventSettings
from rapport.stores import Stores

FRESH_SECONDS = 1.0
# Of the channels of a brand group, those of the inbox.
INBOX = "495"
# So long a name that was let in may take to become a type; one whose event was not stored after all never does.
ADMITTED_SECONDS = 600.0
MOST_TOKENS = 10_000


@dataclass(frozen=True)
class IntakeTenant:
    """A tenant as intake knows it.

    tokens: the good ones of each kind, the present one first; user_keys: those of X-User-JWT; types: the type of each
    declared parameter, of each event type; numbers: their names, by number; declared: the names of those that are
    declared; admitted: names that this
    process let in and that are no types yet, with when (time.monotonic); app_events: how many events apps may send in
    10 seconds, 0 without limit; inboxes: the inbox channels of each brand group.
    """

    scope: Scope
    settings: EventSettings
    tokens: dict[str, tuple[str, ...]]
    user_keys: tuple[VerifyingKey, ...]
    types: dict[str, dict[str, str]]
    numbers: dict[int, str]
    declared: frozenset[str]
    recording: bool
    admitted: dict[str, float]
    app_events: int
    inboxes: dict[str, tuple[int, ...]]
    read_at: float = field(default_factory=time.monotonic)

    def has_token(self, kind: str, token: str) -> bool:
        """Whether a token of the kind is good; takes as long for any that is not."""
        candidate = token.encode("utf-8", "replace")
        good = [hmac.compare_digest(good_token.encode(), candidate) for good_token in self.tokens[kind]]
        return any(good)


def inbox_channels(group: BrandGroup) -> tuple[int, ...]:
    """The inbox channels of a brand group."""
    return tuple(group.channels.get(INBOX, ()))


class Directory:
    """Tenants by id and by token, for one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._tenants: dict[int, IntakeTenant] = {}
        self._tokens: dict[str, int] = {}
        self._admitted: defaultdict[int, dict[str, float]] = defaultdict(dict)
        self._lock = threading.Lock()

    async def tenant(self, tenant_id: int) -> IntakeTenant | None:
        """A tenant by id, None when there is none."""
        tenant = self._tenants.get(tenant_id)
        if tenant is not None and time.monotonic() - tenant.read_at < FRESH_SECONDS:
            return tenant
        return await asyncio.to_thread(self._read, tenant_id)

    async def by_token(self, kind: str, token: str) -> IntakeTenant | None:
        """The tenant that a good token of the kind belongs to, or None."""
        tenant_id = self._tokens.get(token)
        if tenant_id is None:
            tenant_id = await asyncio.to_thread(self._owner, token)
        tenant = await self.tenant(tenant_id) if tenant_id is not None else None
        return tenant if tenant is not None and tenant.has_token(kind, token) else None

    def forget(self, tenant_id: int) -> None:
        """Read a tenant again, at once."""
        self._tenants.pop(tenant_id, None)

    def _owner(self, token: str) -> int | None:
        tenant_id = tenant_of(self._stores, token) if token.isascii() and token.isprintable() else None
        if tenant_id is not None:
            if len(self._tokens) > MOST_TOKENS:
                self._tokens.clear()
            self._tokens[token] = tenant_id
        return tenant_id

    def _read(self, tenant_id: int) -> IntakeTenant | None:
        with self._lock:  # many requests that wait for the same reading
            tenant = self._tenants.get(tenant_id)
            if tenant is not None and time.monotonic() - tenant.read_at < FRESH_SECONDS:
                return tenant
            try:
                scope = scope_of(self._stores, tenant_id, actor="events")
            except NotFound:
                self._tenants.pop(tenant_id, None)
                return None
            self._tenants[tenant_id] = tenant = _read(scope, self._admitted[tenant_id])
            return tenant


def _read(scope: Scope, admitted: dict[str, float]) -> IntakeTenant:
    tokens = sorted(good_tokens(scope), key=lambda token: token.ends_at is not None)
    with scope.reads() as session:
        until = session.scalar(select(EventRecording.until_at).where(EventRecording.tenant_id == scope.tenant_id))
    types = event_types.event_types(scope)
    names, since = {event_type.name for event_type in types}, time.monotonic() - ADMITTED_SECONDS
    for name, at in list(admitted.items()):
        if name in names or at < since:
            del admitted[name]
    return IntakeTenant(
        scope,
        tenant_settings(scope, EventSettings),
        {kind: tuple(token.value for token in tokens if token.kind == kind) for kind in KINDS},
        verifying_keys(scope),
        {event_type.name: event_type.types for event_type in types},
        {event_type.id: event_type.name for event_type in types},
        frozenset(event_type.name for event_type in types if event_type.declared),
        until is not None and until > scope.clock.now(),
        admitted,
        limits_of(scope).app_events,
        {group.id: inbox_channels(group) for group in brand_groups.brand_groups(scope)},
    )
