"""Occurrences: the runs of a series, their states and how one becomes the next."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.campaigns.definitions import series as get_series
from rapport.campaigns.models import Occurrence, OccurrenceChannel, Series
from rapport.campaigns.plans import Plan, channels_in
from rapport.campaigns.schedule import runs_on
from rapport.campaigns.states import LIVE_STATES, RunState, SeriesStatus
from rapport.errors import NotFound
from rapport.stores.parts import Part, part
from rapport.stores.records import next_id

LOWEST_PRIORITY = 2**31


def occurrence(scope: Scope, campaign_id: int) -> Occurrence:
    """A campaign by id. Raises NotFound."""
    with scope.reads() as session:
        return locked(scope, session, campaign_id, lock=False)


def locked(scope: Scope, session: Session, campaign_id: int, *, lock: bool = True) -> Occurrence:
    """A campaign inside a transaction, held against other writers. Raises NotFound."""
    campaign = session.get(Occurrence, (scope.tenant_id, campaign_id), with_for_update=lock or None)
    if campaign is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    return campaign


def occurrences(
    scope: Scope,
    series_id: int | None = None,
    state: str | None = None,
    execution_date: date | None = None,
    limit: int = 100,
    offset: int = 0,
    first: date | None = None,
    last: date | None = None,
) -> Part[Occurrence]:
    """Campaigns, newest first, filtered by what is given."""
    query = select(Occurrence).where(Occurrence.tenant_id == scope.tenant_id)
    if series_id is not None:
        query = query.where(Occurrence.series_id == series_id)
    if state is not None:
        query = query.where(Occurrence.state == state)
    if execution_date is not None:
        query = query.where(Occurrence.execution_date == execution_date)
    if first is not None:
        query = query.where(Occurrence.execution_date >= first)
    if last is not None:
        query = query.where(Occurrence.execution_date <= last)
    with scope.reads() as session:
        return part(session, query.order_by(Occurrence.id.desc()), limit, offset)


def channel_rows(scope: Scope, campaign_id: int) -> list[OccurrenceChannel]:
    """What each group of a campaign gets on each channel, by channel and group."""
    query = select(OccurrenceChannel).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
    )
    order = (OccurrenceChannel.channel_id, OccurrenceChannel.recipient_group_id)
    with scope.reads() as session:
        return list(session.scalars(query.order_by(*order)))


def move(scope: Scope, session: Session, campaign_id: int, states: Sequence[str], **values: Any) -> bool:
    """Change a campaign if it is in one of the states; False when it is in another."""
    change = session.execute(
        update(Occurrence)
        .where(Occurrence.tenant_id == scope.tenant_id, Occurrence.id == campaign_id, Occurrence.state.in_(states))
        .values(**values)
    )
    return bool(change.rowcount)  # type: ignore[attr-defined]


def plan_of(series: Series) -> Plan:
    """What of a series a run needs, kept with the run so that later edits do not reach it."""
    names = (
        "name",
        "split",
        "control_share",
        "goal",
        "priority",
        "groups",
        "rules",
        "products",
        "schedule",
        "customer_list_id",
    )
    return Plan(**{name: getattr(series, name) for name in names}, version=series.version)


def plan_run(scope: Scope, series: Series, execution_date: date, run: int = 0) -> int | None:
    """Create a run of a series for a day; None when that run exists. Concurrent planners create one."""
    try:
        with scope.records() as session:
            campaign = _new(scope, session, series, execution_date, run)
            session.add(campaign)
            session.flush()
            return campaign.id
    except IntegrityError:
        return None


def imagined_run(scope: Scope, series: Series, execution_date: date) -> Occurrence:
    """A run of a series as it would be planned for a day, with the id 0 and in no transaction."""
    campaign = _run_of(scope, series, execution_date, 0, 0)
    campaign.send_date = execution_date + timedelta(days=series.lead_time)
    return campaign


def _new(scope: Scope, session: Session, series: Series, execution_date: date, run: int) -> Occurrence:
    return _run_of(scope, series, execution_date, run, next_id(session, scope.tenant_id, "campaign"))


def _run_of(scope: Scope, series: Series, execution_date: date, run: int, number: int) -> Occurrence:
    return Occurrence(
        tenant_id=scope.tenant_id,
        id=number,
        series_id=series.id,
        execution_date=execution_date,
        run=run,
        state=RunState.PLANNED,
        target_group_id=series.target_group_id,
        campaign_type=series.campaign_type,
        duration=series.duration,
        lead_time=series.lead_time,
        notes=series.notes,
        tags=series.tags,
        is_multi_channel=len(channels_in(series.groups)) > 1,
        is_recurrence=series.days.kind != "once",
        is_one_time=series.customer_list_id is not None,
        conditional=series.conditional,
        plan=plan_of(series),
    )


def plan_next_run(scope: Scope, series_id: int, execution_date: date) -> int:
    """Create one more run of a series for a day (run 1, 2, ...), besides the planned one. Raises NotFound."""
    series = get_series(scope, series_id)
    while True:
        with scope.reads() as session:
            last = session.scalar(
                select(func.max(Occurrence.run)).where(
                    Occurrence.tenant_id == scope.tenant_id,
                    Occurrence.series_id == series_id,
                    Occurrence.execution_date == execution_date,
                )
            )
        campaign_id = plan_run(scope, series, execution_date, (last or 0) + 1)
        if campaign_id is not None:
            return campaign_id


def plan_day(scope: Scope, execution_date: date) -> list[int]:
    """Create the runs that the active series have on a day, and list the day's planned runs in order of processing.

    Order: target group priority, series priority, id. Runs that were planned before are listed too.
    """
    with scope.reads() as session:
        query = select(Series).where(Series.tenant_id == scope.tenant_id, Series.status == SeriesStatus.ACTIVE)
        active_series = list(session.scalars(query.where(Series.trigger.is_(None)).order_by(Series.id)))
        planned_series_ids = set(session.scalars(_planned(scope, execution_date, Occurrence.series_id)))
    for series in active_series:
        if series.id not in planned_series_ids and runs_on(series.days, execution_date):
            plan_run(scope, series, execution_date)
    return in_order(scope, execution_date)


def _planned(scope: Scope, execution_date: date, column: Any) -> Any:
    return select(column).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.execution_date == execution_date,
        Occurrence.run == 0,
        Occurrence.is_triggered.is_(False),
    )


def in_order(scope: Scope, execution_date: date) -> list[int]:
    """The planned runs of a day in order of processing, whatever their state."""
    priorities = {group.id: _number(group.priority) for group in groups.target_groups(scope)}
    with scope.reads() as session:
        rows = list(session.scalars(_planned(scope, execution_date, Occurrence)))
    rows.sort(
        key=lambda row: (priorities.get(row.target_group_id, LOWEST_PRIORITY), _number(row.plan.priority), row.id)
    )
    return [row.id for row in rows]


def _number(priority: int | None) -> int:
    return LOWEST_PRIORITY if priority is None else priority


def running_ids(scope: Scope, first: date, days: int, run: Occurrence | None = None, own_days: int = 0) -> list[int]:
    """Ids of scheduled campaigns in whose window (duration days from the day of the send) one of some days lies.

    first is the first of these days. run is not among them, and runs of its series only when they were sent
    less than own_days before it or after it.
    """
    sent, length = Occurrence.send_date, Occurrence.duration
    query = select(Occurrence.id).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.state.in_(LIVE_STATES),
        Occurrence.is_triggered.is_(False),
        sent < first + timedelta(days=days),
        sent + length > first,
    )
    if run is not None:
        apart = and_(sent < first + timedelta(days=own_days), sent + own_days > first)
        query = query.where(Occurrence.id != run.id, or_(Occurrence.series_id != run.series_id, apart))
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Occurrence.id)))


def live_ids(
    scope: Scope, states: Iterable[str], first: date, last: date, excluded_id: int, *, triggered: bool = True
) -> list[int]:
    """Ids of campaigns in these states executed in a range of days, except one; triggered ones too unless told not."""
    query = select(Occurrence.id).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.state.in_(list(states)),
        Occurrence.execution_date.between(first, last),
        Occurrence.id != excluded_id,
    )
    if not triggered:
        query = query.where(Occurrence.is_triggered.is_(False))
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Occurrence.id)))
