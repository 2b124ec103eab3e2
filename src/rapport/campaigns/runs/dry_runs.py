"""Whom a series would reach today, who would be kept out and why: counted, with nothing planned, written or sent."""

from dataclasses import dataclass
from datetime import date, datetime

from rapport.access.scope import Scope
from rapport.audiences import membership
from rapport.campaigns.definitions import series as get_series
from rapport.campaigns.measurement.planned import planned
from rapport.campaigns.measurement.power import Detectable
from rapport.campaigns.occurrences import imagined_run
from rapport.campaigns.runs.guard import objection
from rapport.campaigns.runs.processing import rehearse
from rapport.campaigns.states import SeriesStatus
from rapport.errors import Conflict


@dataclass(frozen=True)
class WouldReach:
    """Customers of a recipient group who would get a message on a channel."""

    recipient_group_id: int
    channel_id: int
    customers: int


@dataclass(frozen=True)
class WouldLeave:
    """How many of the customers would get the message in the hour that begins at hour (tenant wall-clock time)."""

    recipient_group_id: int
    channel_id: int
    hour: datetime
    customers: int


@dataclass(frozen=True)
class WouldNotReach:
    """Units without a message. channel_id is 0 for customers who are excluded or held back as control."""

    channel_id: int
    outcome: str
    reason: str
    units: int


@dataclass(frozen=True)
class DryRun:
    """What a run would do today with the data of data_date; objection is the reason why it would wait for a
    confirmation.

    detectable is the difference that the series can show with this number of customers per run.
    """

    series_id: int
    data_date: date
    execution_date: date
    targeted: int
    addressed: int
    control: int
    reached: list[WouldReach]
    leaving: list[WouldLeave]
    not_reached: list[WouldNotReach]
    objection: str
    detectable: Detectable


def dry_run(scope: Scope, series_id: int) -> DryRun:
    """Count a run of a series, active or paused, without having it.

    Groups and control are drawn by the number of the campaign, which it has not got yet: the sizes of groups are about
    right, and who is in them or in control is not known. Raises NotFound, and Conflict before the first data date or
    for an archived series.
    """
    series, data_date = get_series(scope, series_id), scope.data_date()
    if data_date is None:
        raise Conflict("There are no data yet: run a daily cycle first.")
    if series.status == SeriesStatus.ARCHIVED:
        raise Conflict(f"Series {series_id} is archived.")
    run = imagined_run(scope, series, scope.today())
    groups = {series.target_group_id, *series.rules.exclude_target_group_ids} - {0}
    membership.ensure_members(scope, groups, data_date)
    rehearsal = rehearse(scope, run, data_date)
    sizes = rehearsal.sizes
    return DryRun(
        series_id=series_id,
        data_date=data_date,
        execution_date=run.execution_date,
        targeted=sizes.units,
        addressed=sizes.addressed,
        control=sizes.control,
        reached=[WouldReach(group, channel, customers) for channel, group, customers in rehearsal.addressed],
        leaving=[
            WouldLeave(group, channel, datetime.fromisoformat(hour), customers)
            for channel, group, hour, customers in rehearsal.leaving
        ],
        not_reached=[WouldNotReach(*row) for row in rehearsal.kept_out],
        objection=objection(scope, run, sizes.addressed) if sizes.addressed else "",
        detectable=planned(scope, series, sizes.addressed + sizes.control),
    )
