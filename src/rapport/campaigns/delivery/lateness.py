"""How late a run may still be sent: after an outage a message may have lost its sense."""

from datetime import datetime, timedelta

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.delivery.units import Unit, row_of
from rapport.campaigns.models import Lease, Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.time_zones import own_zone
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import RunState
from rapport.errors import Conflict
from rapport.stores.workflows import work

# A unit of which nothing was heard for so long was held up: less is the work itself.
HELD_UP = timedelta(minutes=10)


def late_by(scope: Scope, campaign: Occurrence, row: OccurrenceChannel) -> timedelta:
    """For how long a unit could have left, not before its run was processed, cleared, confirmed and resumed; quiet
    hours and a pause that goes on do not count.
    """
    if campaign.paused_at is not None:
        return timedelta()
    decided = (campaign.processed_at, campaign.cleared_at, campaign.confirmed_at, campaign.resumed_at)
    times = (scope.instant(row.scheduled_time), *decided)
    due = max(at for at in times if at is not None)
    # The own times of customers are none of their quiet hours.
    hours = None if row.own_times else quiet_hours.hours_of(scope, campaign, row.channel_id)
    return quiet_hours.awake(scope, hours, due)


def is_late(scope: Scope, unit: Unit) -> bool:
    """Whether the time of a unit is over by more hours than the tenant lets its messages be late."""
    with scope.reads() as session:
        campaign = locked(scope, session, unit.campaign.id, lock=False)
        row = row_of(scope, session, unit)
    return late_by(scope, campaign, row) > timedelta(hours=tenant_settings(scope, CampaignSettings).wait_hours)


def is_held_up(scope: Scope, unit: Unit) -> bool:
    """Whether nothing was heard of a unit for so long that it was held up; not of one that nobody has begun."""
    with scope.reads() as session:
        query = select(Lease.acquired_at).filter_by(tenant_id=scope.tenant_id, name=unit.lease_name)
        last_acquired: datetime | None = session.scalar(query)
    if last_acquired is None:
        return False
    hours = None if unit.has_own_times else quiet_hours.hours_of(scope, unit.campaign, unit.channel_id)
    return quiet_hours.awake(scope, hours, last_acquired) > HELD_UP


def late_before(scope: Scope, unit: Unit) -> datetime | None:
    """Before which instant a customer's own time must have been for the message to be too late now; None when none is.

    In each zone as much time must have passed that was not quiet. It does not count before the run could begin.
    """
    with scope.reads() as session:
        campaign = locked(scope, session, unit.campaign.id, lock=False)
    if campaign.paused_at is not None:
        return None
    wait = timedelta(hours=tenant_settings(scope, CampaignSettings).wait_hours)
    hours, now = quiet_hours.hours_of(scope, campaign, unit.channel_id), scope.clock.now()
    zones = [own_zone(scope, name) for (name,) in scope.warehouse.rows(queries.ZONES, **unit.bindings)]
    before = min((quiet_hours.awake_since(zone, hours, wait, now) for zone in zones), default=now - wait)
    decided = (campaign.processed_at, campaign.cleared_at, campaign.confirmed_at, campaign.resumed_at)
    return before if max(at for at in decided if at is not None) < before else None


def require_begun_in_time(scope: Scope, unit: Unit) -> None:
    """Raises Conflict when a unit begins too late."""
    if is_late(scope, unit):
        raise too_late(scope)


def require_in_time(scope: Scope, unit: Unit) -> None:
    """Raises Conflict when a unit was held up, and is too late by that: one that only takes long is not."""
    if is_held_up(scope, unit) and is_late(scope, unit):
        raise too_late(scope)


def require_no_quiet_hour(scope: Scope, unit: Unit) -> None:
    """Raises Later in the quiet hours that a unit keeps."""
    if quiet_hours.is_held(scope, unit.campaign, unit.channel_id):
        raise work.Later


def is_paused(scope: Scope, unit: Unit) -> bool:
    """Whether a person has paused the sending of a unit's run, and it has not been canceled since."""
    with scope.reads() as session:
        campaign = locked(scope, session, unit.campaign.id, lock=False)
    return campaign.paused_at is not None and campaign.state == RunState.EXECUTING


def require_not_paused(scope: Scope, unit: Unit) -> None:
    """Raises Later while the run is paused."""
    if is_paused(scope, unit):
        raise work.Later


def too_late(scope: Scope) -> Conflict:
    """What a unit fails with whose time is over."""
    hours = tenant_settings(scope, CampaignSettings).wait_hours
    return Conflict(f"Not sent: it could be sent only more than {hours:g} hours late.")
