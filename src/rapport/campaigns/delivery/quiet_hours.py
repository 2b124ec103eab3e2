"""Quiet hours: by a wall clock, so that they begin and end at the same hour all year. It is the tenant's, or that of a
customer whose message has a time of its own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.plans import PlannedGroup, PlannedRules
from rapport.campaigns.schedule import send_time
from rapport.campaigns.schemas import Schedule
from rapport.campaigns.settings import CampaignSettings, Hours
from rapport.campaigns.states import RunState
from rapport.channels import service as channels
from rapport.stores.clock import instant_of

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def quiet_until(scope: Scope, hours: Hours | None, now: datetime) -> datetime | None:
    """The instant at which the tenant's quiet hours that now lies in end; None when it lies in none."""
    return quiet_until_in(scope.time_zone, hours, now)


def quiet_until_in(zone: tzinfo, hours: Hours | None, now: datetime) -> datetime | None:
    """The instant at which the quiet hours of a zone that now lies in end; None when it lies in none.

    Of an end that the clocks skip the moment of the skip counts, of one that comes twice the first that is ahead.
    """
    if hours is None:
        return None
    start, end = _times(hours)
    local_now = now.astimezone(zone).replace(tzinfo=None)
    if not _inside(local_now.time(), start, end):
        return None
    day = local_now.date() if local_now.time() < end else local_now.date() + DAY
    quiet_end = datetime.combine(day, end)
    first = instant_of(quiet_end, zone)
    if first.astimezone(zone).replace(tzinfo=None) != quiet_end:
        return _skipped(zone, quiet_end, start, end)
    return first if first > now else quiet_end.replace(tzinfo=zone, fold=1).astimezone(UTC)


def awake(scope: Scope, hours: Hours | None, since: datetime) -> timedelta:
    """How much of the time from an instant to now was not quiet for the tenant; negative for an instant to come."""
    return awake_in(scope.time_zone, hours, since, scope.clock.now())


def awake_in(zone: tzinfo, hours: Hours | None, since: datetime, now: datetime) -> timedelta:
    """How much of the time between two instants was not quiet in a zone; negative when the first is the later one."""
    elapsed = now - since
    if hours is None or now <= since:
        return elapsed
    day, start = since.astimezone(zone).date() - DAY, _times(hours)[0]
    while (begins := instant_of(datetime.combine(day, start), zone)) < now:
        ends = quiet_until_in(zone, hours, begins) or begins
        elapsed -= max(min(ends, now) - max(begins, since), timedelta())
        day += DAY
    return elapsed


def awake_since(zone: tzinfo, hours: Hours | None, length: timedelta, now: datetime) -> datetime:
    """The last instant from which on so much of the time to now was not quiet in a zone."""
    since = now - length
    while (missing := length - awake_in(zone, hours, since, now)) > timedelta():
        since -= missing
    return since


def hours_of(scope: Scope, campaign: Occurrence, channel_id: int) -> Hours | None:
    """The quiet hours that a scheduled campaign keeps on a channel: none where an outside system pulls its lists."""
    hours = None if campaign.plan.rules.any_hour else tenant_settings(scope, CampaignSettings).quiet_hours
    return None if hours is None or channels.is_pulled(scope, channel_id) else hours


def is_held(scope: Scope, campaign: Occurrence, channel_id: int) -> bool:
    """Whether what is due of a scheduled campaign on a channel waits for the end of quiet hours now."""
    return quiet_until(scope, hours_of(scope, campaign, channel_id), scope.clock.now()) is not None


def held_until(scope: Scope, campaigns: Sequence[Occurrence]) -> dict[int, datetime]:
    """Which of some campaigns have messages that quiet hours hold back now, by id, and the instant of their end."""
    now = scope.clock.now()
    until = quiet_until(scope, tenant_settings(scope, CampaignSettings).quiet_hours, now)
    quiet_ids = {
        campaign.id for campaign in campaigns if not campaign.is_triggered and not campaign.plan.rules.any_hour
    }
    if until is None or not quiet_ids:
        return {}
    query = select(OccurrenceChannel).where(
        OccurrenceChannel.tenant_id == scope.tenant_id,
        OccurrenceChannel.campaign_id.in_(
            [campaign.id for campaign in campaigns if campaign.state in (RunState.SCHEDULED, RunState.EXECUTING)]
        ),
        OccurrenceChannel.state.in_([RunState.SCHEDULED, RunState.EXECUTING]),
        OccurrenceChannel.own_times.is_(False),  # those keep the quiet hours of each customer
    )
    with scope.reads() as session:
        units = list(session.scalars(query))
    due_units = [
        unit for unit in units if unit.state == RunState.EXECUTING or scope.instant(unit.scheduled_time) <= now
    ]
    pulled = {
        channel_id: channels.is_pulled(scope, channel_id) for channel_id in {unit.channel_id for unit in due_units}
    }
    return {
        unit.campaign_id: until for unit in due_units if unit.campaign_id in quiet_ids and not pulled[unit.channel_id]
    }


def warnings(scope: Scope, schedule: Schedule, rules: PlannedRules, groups: Sequence[PlannedGroup]) -> list[str]:
    """What may not be meant about the send times of a series, in sentences."""
    settings = tenant_settings(scope, CampaignSettings)
    if settings.quiet_hours is None or rules.any_hour:
        return []
    quiet_times = set()
    for channel in (channel for group in groups for channel in group.channels):
        at = send_time(schedule, channel.send_time, settings.default_send_time)
        if is_inside(at, settings.quiet_hours) and not channels.is_pulled(scope, channel.channel_id):
            quiet_times.add(at)
    return [
        f"{at:%H:%M} is in the quiet hours: messages of that time leave at {settings.quiet_hours.end}. "
        "rules.any_hour lets them leave at their time."
        for at in sorted(quiet_times)
    ]


def _times(hours: Hours) -> tuple[time, time]:
    return time.fromisoformat(hours.start), time.fromisoformat(hours.end)


def is_inside(at: time, hours: Hours | None) -> bool:
    """Whether a time of day is in quiet hours."""
    return hours is not None and _inside(at, *_times(hours))


def _inside(at: time, start: time, end: time) -> bool:
    return start <= at < end if start < end else at >= start or at < end


def _skipped(zone: tzinfo, quiet_end: datetime, start: time, end: time) -> datetime:
    """The first minute that is not quiet around an end that no clock shows."""
    # As far before the skip as it is long, at most.
    at = quiet_end.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while _inside(at.astimezone(zone).time(), start, end):
        at += MINUTE
    return at
