"""A scope: everything a rule needs, bound to one tenant. No query is made without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.models import AuditEntry, Tenant
from rapport.errors import NotFound
from rapport.stores import Stores, current
from rapport.stores.clock import Clock, instant_of
from rapport.stores.warehouse import Database


def database_name(tenant_id: int) -> str:
    """The name of a tenant's warehouse database."""
    return f"rapport_{tenant_id}"


@dataclass(frozen=True)
class Scope:
    """One tenant's view of the stores. actor is who acts, for the audit log."""

    stores: Stores
    tenant_id: int
    time_zone: ZoneInfo
    currency: str
    settings: dict[str, Any]
    actor: str = "system"

    @property
    def warehouse(self) -> Database:
        """The tenant's warehouse database."""
        return self.stores.warehouse.database(database_name(self.tenant_id))

    @property
    def clock(self) -> Clock:
        """The one clock."""
        return self.stores.clock

    @contextmanager
    def records(self) -> Iterator[Session]:
        """A records transaction; every statement in it must filter by self.tenant_id."""
        with self.stores.records.session() as session:
            yield session

    @contextmanager
    def reads(self) -> Iterator[Session]:
        """A session for single SELECTs of the records, each on its own; every one filters by self.tenant_id."""
        with self.stores.records.reads() as session:
            yield session

    def records_json(self, sql: str, parameters: dict[str, Any], *, omit_nulls: bool = False) -> bytes:
        """A records SELECT as JSON rows; :tenant_id is bound to this tenant whatever the parameters say."""
        return self.stores.records.json_rows(sql, {**parameters, "tenant_id": self.tenant_id}, omit_nulls=omit_nulls)

    def today(self) -> date:
        """The tenant's present calendar day."""
        return self.clock.today(self.time_zone)

    def now_local(self) -> datetime:
        """The tenant's present wall-clock time, naive."""
        return self.clock.local(self.time_zone)

    def instant(self, wall: datetime) -> datetime:
        """The UTC instant of one of the tenant's wall-clock times."""
        return instant_of(wall, self.time_zone)

    def data_date(self) -> date | None:
        """The newest data date whose daily process has finished; None before the first."""
        with self.stores.records.reading() as connection:
            return connection.scalar(select(Tenant.last_data_date).where(Tenant.id == self.tenant_id))

    def audit(self, session: Session, action: str, what: str, **details: Any) -> None:
        """Leave an audit row in the transaction of the write it tells of."""
        session.add(
            AuditEntry(
                tenant_id=self.tenant_id,
                at=self.clock.now(),
                actor=self.actor,
                action=action,
                object=what,
                details=details,
            )
        )


def scope_of(stores: Stores, tenant_id: int, actor: str = "system") -> Scope:
    """The scope of a tenant by id. Raises NotFound."""
    with stores.records.reads() as session:
        tenant = session.get(Tenant, tenant_id)
    if tenant is None:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return scope_from(stores, tenant, actor)


def scope_from(stores: Stores, tenant: Any, actor: str = "system") -> Scope:
    """The scope of a tenant whose row was read: id, time_zone, currency, settings. Raises ZoneInfoNotFoundError."""
    return Scope(stores, tenant.id, ZoneInfo(tenant.time_zone), tenant.currency, tenant.settings, actor)


def current_scope(tenant_id: int) -> Scope:
    """The scope of a tenant in this process's stores, for durable work."""
    return scope_of(current(), tenant_id)
