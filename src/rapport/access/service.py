"""Rules of access: creating tenants and brands."""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from rapport.access.models import Brand, Tenant
from rapport.access.scope import Scope, database_name, scope_of
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores import Stores
from rapport.stores.migrations import migrate_warehouse
from rapport.stores.records import next_id

FIRST_TENANT_ID = 3001
CURRENCY_LENGTH = 3


def create_tenant(
    stores: Stores,
    name: str,
    time_zone: str = "UTC",
    currency: str = "USD",
    settings: dict[str, Any] | None = None,
) -> Scope:
    """Create a company with its warehouse database. Raises Invalid for an unknown zone, Conflict for a used name."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"time_zone must be an IANA name such as Europe/Berlin, not {time_zone!r}.") from error
    if len(currency) != CURRENCY_LENGTH or not currency.isalpha():
        raise Invalid("currency must be a three-letter code such as EUR.")
    if not name.strip():
        raise Invalid("name must not be empty.")
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
    except IntegrityError as error:
        raise Conflict(f"There is a tenant named {name!r} already.") from error
    return scope_of(stores, tenant_id)


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
