"""What is put in order from time to time: days of triggered campaigns that are over, states that nobody needs."""

from datetime import timedelta

import structlog
from sqlalchemy import select, text

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.triggered import runs
from rapport.customers.writes import attribute_times
from rapport.delivery import once
from rapport.realtime.models import Firing
from rapport.realtime.states import FiringState
from rapport.stores import Stores

log = structlog.get_logger("rapport.realtime")
# Longer than any window of a trigger and any lateness of an event.
KEPT = timedelta(days=38)
AT_ONCE = 10_000
DROP_STATES = text("""
    DELETE FROM trigger_states WHERE (tenant_id, series_id, person) IN (
        SELECT tenant_id, series_id, person FROM trigger_states
        WHERE tenant_id = :tenant_id AND updated_at < :before AND deadline IS NULL LIMIT :most
    )
""")


def tidy(stores: Stores) -> None:
    """Put every tenant in order. A tenant's fault is logged and holds up no other."""
    with stores.records.session() as session:
        tenants = list(session.scalars(select(Tenant.id).order_by(Tenant.id)))
    for tenant_id in tenants:
        try:
            scope = scope_of(stores, tenant_id)
            close_days(scope)
            drop_states(scope)
            attribute_times.drop_old(scope)
        except Exception:
            log.exception("a tenant cannot be put in order", tenant_id=tenant_id)


def close_days(scope: Scope) -> None:
    """Close the campaigns of days that are over, once every firing of theirs is in the accounts."""
    past = runs.open_days(scope, scope.today())
    if not past:
        return
    open_firings = select(Firing.campaign_id).where(
        Firing.tenant_id == scope.tenant_id, Firing.state != FiringState.FILED
    )
    with scope.records() as session:
        busy = set(session.scalars(open_firings.distinct()))
        for campaign_id in past:
            if campaign_id not in busy:
                runs.close_day(scope, session, campaign_id, scope.clock.now())
                once.forget(scope, session, campaign_id)


def drop_states(scope: Scope) -> None:
    """Forget how far persons were in triggers that they have done nothing for in a long time."""
    parameters = {"tenant_id": scope.tenant_id, "before": scope.clock.now() - KEPT, "most": AT_ONCE}
    with scope.records() as session:
        session.execute(DROP_STATES, parameters)
