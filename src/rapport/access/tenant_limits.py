"""What a tenant may use of a server that it shares with others. Only the operator changes it."""

from dataclasses import asdict, dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rapport.access.models import ApiKey, Tenant
from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid
from rapport.settings import Settings

KEYS = 100
APP_EVENTS = 20_000


@dataclass(frozen=True)
class TenantLimits:
    """Calls of all keys together in the window of rate limits, events of apps in 10 seconds, and keys; 0: no limit."""

    calls: int
    app_events: int
    keys: int


def limits_from(settings: Settings, tenant: Tenant) -> TenantLimits:
    """The limits of a tenant whose row was read."""

    def chosen(own: int | None, usual: int) -> int:
        return usual if own is None else own

    return TenantLimits(
        chosen(tenant.calls_limit, settings.tenant_calls),
        chosen(tenant.app_events_limit, APP_EVENTS),
        chosen(tenant.keys_limit, KEYS),
    )


def limits_of(scope: Scope) -> TenantLimits:
    """The limits of a tenant."""
    with scope.reads() as session:
        tenant = session.get_one(Tenant, scope.tenant_id)
    return limits_from(scope.stores.settings, tenant)


def change_limits(scope: Scope, changes: dict[str, int | None]) -> TenantLimits:
    """Set limits by the names of TenantLimits; None sets the usual one. What was made within others stays."""
    with scope.records() as session:
        tenant = session.get_one(Tenant, scope.tenant_id, with_for_update=True)
        for name, limit in changes.items():
            setattr(tenant, f"{name}_limit", limit)
        limits = limits_from(scope.stores.settings, tenant)
        if changes:
            scope.audit(session, "change", f"limits of tenant {scope.tenant_id}", **asdict(limits))
    return limits


def check_new_key(scope: Scope, session: Session, rate_limit: int | None) -> None:
    """Raises Invalid for a key with more calls than its tenant has, Conflict when the tenant has its keys already.

    Whoever asks at the same time waits until the session has ended.
    """
    tenant = session.get_one(Tenant, scope.tenant_id, with_for_update=True)
    limits = limits_from(scope.stores.settings, tenant)
    if limits.calls and rate_limit is not None and not 0 < rate_limit <= limits.calls:
        raise Invalid(
            f"rate_limit must be 1 to {limits.calls}, which is the limit of the tenant; only the operator can raise it."
        )
    number = session.scalar(select(func.count()).where(ApiKey.tenant_id == scope.tenant_id)) or 0
    if limits.keys and number >= limits.keys:
        raise Conflict(
            f"The tenant has {number} keys, and may have {limits.keys}: delete one that is not used; only the operator "
            "can raise the limit."
        )
