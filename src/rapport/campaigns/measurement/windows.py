"""When the results of a run are measured: from its first send for its duration."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta

from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.campaigns.measurement.trigger_results import trigger_window
from rapport.campaigns.models import Occurrence, OccurrenceChannel


def window(scope: Scope, campaign: Occurrence) -> tuple[datetime, datetime]:
    """The measurement window in tenant wall-clock time: from the first send for the duration in days.

    A run that was processed, cleared or confirmed after its send day could not leave before: its window begins then.
    """
    return windows(scope, [campaign])[0]


def windows(scope: Scope, runs: Sequence[Occurrence]) -> list[tuple[datetime, datetime]]:
    """The same of several runs, in their order."""
    statement = select(OccurrenceChannel.campaign_id, func.min(OccurrenceChannel.scheduled_time)).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id.in_([run.id for run in runs])
    )
    with scope.reads() as session:
        first: dict[int, datetime] = dict(list(session.execute(statement.group_by("campaign_id"))))
    spans = []
    for run in runs:
        begin = _begun(scope, run, first.get(run.id) or datetime.combine(run.send_date, time()))
        end = begin + timedelta(days=run.duration)
        spans.append(trigger_window(run, begin) if run.is_triggered else (begin, end))
    return spans


def _begun(scope: Scope, run: Occurrence, scheduled: datetime) -> datetime:
    """When a run began in tenant wall-clock time, to the second: as scheduled, or when it was ready on a later day."""
    times = () if run.is_triggered else (run.processed_at, run.cleared_at, run.confirmed_at)
    instants = [at for at in times if at is not None]
    ready = max(
        (at.astimezone(scope.time_zone).replace(tzinfo=None, microsecond=0) for at in instants), default=scheduled
    )
    return ready if ready.date() > scheduled.date() else scheduled
