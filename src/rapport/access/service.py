"""Rules of access: creating tenants and brands."""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rapport.access.models import AuditEntry, Brand, Tenant
from rapport.access.scope import Scope, database_name, scope_of
from rapport.access.secrets import tenant_secret
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores import Stores
from rapport.stores.migrations import migrate_warehouse
from rapport.stores.records import next_id

FIRST_TENANT_ID = 3001
CURRENCY_LENGTH = 3
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
    try:
        with stores.records.session() as session:
            tenant_id = next_id(session, 0, "tenant", FIRST_TENANT_ID)
            stores_database = stores.warehouse.create_database(database_name(tenant_id))
            migrate_warehouse(stores_database)
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
    except IntegrityError as error:
        raise Conflict(f"There is a tenant named {name!r} already.") from error
    scope = scope_of(stores, tenant_id)
    # Made now, so that a backup of any time has what later pseudonyms are made with.
    for purpose in KEPT_SECRETS:
        tenant_secret(scope, purpose)
    return scope


def _audit_creation(session: Session, stores: Stores, tenant_id: int, actor: str) -> None:
    entry = {"action": "create", "object": f"tenant {tenant_id}", "details": {}}
    session.add(AuditEntry(tenant_id=tenant_id, at=stores.clock.now(), actor=actor, **entry))


def audit_entries(scope: Scope, limit: int, offset: int) -> list[AuditEntry]:
    """The tenant's audit log, newest first."""
    newest = select(AuditEntry).where(AuditEntry.tenant_id == scope.tenant_id).order_by(AuditEntry.id.desc())
    with scope.records() as session:
        return list(session.scalars(newest.limit(limit).offset(offset)))


def tenants(stores: Stores) -> list[Tenant]:
    """Every company, by id."""
    with stores.records.session() as session:
        return list(session.scalars(select(Tenant).order_by(Tenant.id)))


def find_tenant(stores: Stores, reference: str) -> Tenant:
    """A company by id or by name, ignoring case. Raises NotFound."""
    for tenant in tenants(stores):
        if reference == str(tenant.id) or reference.lower() == tenant.name.lower():
            return tenant
    raise NotFound(f"There is no tenant {reference!r}.")


def has_data(scope: Scope) -> bool:
    """Whether the tenant has loaded anything, so that its days are cut by its time zone."""
    sql = """
        SELECT count() FROM system.tables
        WHERE database = currentDatabase() AND name != 'schema_history' AND total_rows > 0
    """
    return scope.data_date() is not None or bool(scope.warehouse.value(sql))


def update_tenant(scope: Scope, changes: dict[str, Any]) -> Scope:
    """Change name, time_zone, currency or sections of settings (None removes a section); the tenant as it is then.

    Raises Invalid for an unknown zone or currency, Conflict for a used name or a zone once data are there.
    """
    zone = changes.get("time_zone", str(scope.time_zone))
    _check(changes.get("name", "-"), zone, changes.get("currency", scope.currency))
    if zone != str(scope.time_zone) and has_data(scope):
        raise Conflict("time_zone cannot be changed once data are loaded: the days were cut by it.")
    try:
        with scope.records() as session:
            tenant = session.get_one(Tenant, scope.tenant_id, with_for_update=True)
            merged = tenant.settings | changes.get("settings", {})
            tenant.settings = {section: given for section, given in merged.items() if given is not None}
            tenant.name = changes.get("name", tenant.name).strip()
            tenant.time_zone = zone
            tenant.currency = changes.get("currency", tenant.currency).upper()
            scope.audit(session, "change", f"tenant {scope.tenant_id}", **changes)
    except IntegrityError as error:
        raise Conflict(f"There is a tenant named {changes['name']!r} already.") from error
    return scope_of(scope.stores, scope.tenant_id, scope.actor)


def create_brand(scope: Scope, name: str) -> Brand:
    """Add a brand. Raises Conflict for a used name."""
    try:
        with scope.records() as session:
            brand = Brand(tenant_id=scope.tenant_id, id=next_id(session, scope.tenant_id, "brand"), name=name)
            session.add(brand)
            session.flush()
            scope.audit(session, "create", f"brand {brand.id}", name=name)
    except IntegrityError as error:
        raise Conflict(f"There is a brand named {name!r} already.") from error
    return brand


def brands(scope: Scope) -> list[Brand]:
    """The tenant's brands, by id."""
    with scope.records() as session:
        return list(session.scalars(select(Brand).where(Brand.tenant_id == scope.tenant_id).order_by(Brand.id)))
