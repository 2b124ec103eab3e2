"""Rules of access: creating and changing tenants."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.orm import Session

from rapport.access.models import UNIQUE_TENANT, AuditEntry, Tenant
from rapport.access.scope import Scope, database_name, scope_from, scope_of
from rapport.access.secrets import tenant_secret
from rapport.access.tenant_settings import CheckChange
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores import Stores
from rapport.stores.migrations import make_warehouse
from rapport.stores.records import next_id, unique_name

FIRST_TENANT_ID = 3001
CURRENCY_LENGTH = 3
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
KEPT_SECRETS = ("pseudonyms", "addresses")


def _check(name: str, time_zone: str, currency: str) -> None:
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"time_zone must be an IANA name such as Europe/Berlin, not {time_zone!r}.") from error
    if len(currency) != CURRENCY_LENGTH or not currency.isalpha():
        raise Invalid("currency must be a three-letter code such as EUR.")
    if not name.strip():
        raise Invalid("name must not be empty.")
    if name.strip().isdecimal():
        raise Invalid("name must not be a number: commands would take it for a tenant's id.")


def create_tenant(
    stores: Stores,
    name: str,
    time_zone: str = "UTC",
    currency: str = "USD",
    settings: dict[str, Any] | None = None,
    actor: str = "system",
) -> Scope:
    """Create a company with its warehouse database. Raises Invalid for an unknown zone, Conflict for a used name."""
    _check(name, time_zone, currency)
    with unique_name(UNIQUE_TENANT, "a tenant", name), stores.records.session() as session:
        tenant_id = next_id(session, 0, "tenant", FIRST_TENANT_ID)
        make_warehouse(stores.warehouse, database_name(tenant_id))
        session.add(
            Tenant(
                id=tenant_id,
                name=name.strip(),
                time_zone=time_zone,
                currency=currency.upper(),
                settings=settings or {},
                created_at=stores.clock.now(),
            )
        )
        _audit_creation(session, stores, tenant_id, actor)
    scope = scope_of(stores, tenant_id)
    # Made now, so that a backup of any time has what later pseudonyms are made with.
    for purpose in KEPT_SECRETS:
        tenant_secret(scope, purpose)
    return scope


def _audit_creation(session: Session, stores: Stores, tenant_id: int, actor: str) -> None:
    entry = {"action": "create", "object": f"tenant {tenant_id}", "details": {}}
    session.add(AuditEntry(tenant_id=tenant_id, at=stores.clock.now(), actor=actor, **entry))


def tenants(stores: Stores) -> list[Tenant]:
    """Every company, by id."""
    with stores.records.session() as session:
        return list(session.scalars(select(Tenant).order_by(Tenant.id)))


def tenant(scope: Scope) -> Tenant:
    """The company of a scope."""
    with scope.reads() as session:
        return session.get_one(Tenant, scope.tenant_id)


def find_tenant(stores: Stores, reference: str) -> Tenant:
    """A company by id or by name, ignoring case; a number is always an id. Raises NotFound."""
    reference = reference.strip()
    if reference.isdecimal():
        chosen = cast(Tenant.id, Text) == reference
    else:
        chosen = func.lower(Tenant.name) == func.lower(reference)
    with stores.records.session() as session:
        tenant = session.scalar(select(Tenant).where(chosen))
    if tenant is None:
        raise NotFound(f"There is no tenant {reference!r}: `rapport tenant list` shows them.")
    return tenant


def has_data(scope: Scope) -> bool:
    """Whether the tenant has loaded anything, so that its days are cut by its time zone."""
    sql = """
        SELECT count() FROM system.tables
        WHERE database = currentDatabase() AND name != 'schema_history' AND total_rows > 0
    """
    return scope.data_date() is not None or bool(scope.warehouse.value(sql))


def publish_data_date(scope: Scope, data_date: date) -> None:
    """Make a date the tenant's newest data date; an older one than the present changes nothing."""
    older = Tenant.last_data_date.is_(None) | (Tenant.last_data_date < data_date)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id, older).values(last_data_date=data_date))


def update_tenant(scope: Scope, changes: dict[str, Any], check: CheckChange | None = None) -> Scope:
    """Change name, time_zone, currency or settings; the tenant as it is then.

    Settings are changed as a JSON Merge Patch (RFC 7396): what is left out stays, None takes away, a list is one value.
    check refuses by raising, before anything is written: it is given what is stored and what would be, while nobody
    else can change either.

    Raises Invalid for an unknown zone or currency, Conflict for a used name or a zone once data are there.
    """
    zone = changes.get("time_zone")
    _check(changes.get("name", "-"), zone or str(scope.time_zone), changes.get("currency", scope.currency))
    is_fixed = zone is not None and has_data(scope)
    with scope.records() as session:
        own = session.get_one(Tenant, scope.tenant_id, with_for_update=True)
        stored = scope_from(scope.stores, own, scope.actor)
        if is_fixed and zone != own.time_zone:
            raise Conflict("time_zone cannot be changed once data are loaded: it decides where days begin.")
        own.settings = _merged(own.settings, changes.get("settings", {}))
        own.time_zone = zone or own.time_zone
        own.currency = changes.get("currency", own.currency).upper()
        with _unsaid(changes.get("name", "")):
            own.name = changes.get("name", own.name).strip()
            session.flush()
        changed = scope_from(scope.stores, own, scope.actor)
        if check is not None:
            check(stored, changed, session)
        scope.audit(session, "change", f"tenant {scope.tenant_id}", **changes)
    return changed


def _merged(stored: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    present = stored if isinstance(stored, dict) else {}
    merged = present | {name: _merged(present.get(name), value) for name, value in changes.items()}
    return {name: value for name, value in merged.items() if value is not None}


@contextmanager
def _unsaid(name: str) -> Iterator[None]:
    """Refuse a name of another tenant without saying that there is one, which is the operator's business only."""
    try:
        with unique_name(UNIQUE_TENANT, "a tenant", name):
            yield
    except Conflict as error:
        raise Conflict("name is not available: choose another.") from error


def allow_sender_domain(scope: Scope, domain: str) -> list[str]:
    """Let mail of the server's own mail server come from a domain; all that are allowed. Raises Invalid."""
    return _change_sender_domains(scope, domain, allowed=True)


def disallow_sender_domain(scope: Scope, domain: str) -> list[str]:
    """Let no mail come from a domain any more, channels that send from it included; those that are left."""
    return _change_sender_domains(scope, domain, allowed=False)


def _change_sender_domains(scope: Scope, domain: str, allowed: bool) -> list[str]:
    domain = domain.strip().lower()
    if not DOMAIN.fullmatch(domain):
        raise Invalid("domain must be a domain such as shop.example.")
    with scope.records() as session:
        own = session.get_one(Tenant, scope.tenant_id, with_for_update=True)
        other_domains = set(own.sender_domains) - {domain}
        own.sender_domains = sorted(other_domains | {domain} if allowed else other_domains)
        action = "allow" if allowed else "disallow"
        scope.audit(session, action, f"sender domain {domain}")
    return own.sender_domains
