"""The day of a triggered campaign: one CampaignID a tenant day, of which every firing of the day is a member."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.costs import costs_of
from rapport.campaigns.definitions import codes_of
from rapport.campaigns.models import Occurrence, OccurrenceChannel, Series
from rapport.campaigns.occurrences import locked
from rapport.campaigns.plans import Plan
from rapport.campaigns.states import RunState, Split
from rapport.stores.records import next_id

OPEN = (RunState.EXECUTING,)
# Members of a triggered campaign that its plan has too.
PLANNED_MEMBERS = (
    "name",
    "control_share",
    "goal",
    "rules",
    "schedule",
    "trigger",
    "notes",
    "tags",
    "duration",
    "conditional",
    "campaign_type",
)


@dataclass(frozen=True)
class FiringTotals:
    """What some firings come to for their campaign: units, customers new to it, units by outcome, messages by place.

    places: messages by (recipient group, channel).
    """

    units: int
    tested: int
    held_back: int
    outcomes: Mapping[str, int]
    places: Mapping[tuple[int, int], int]


def occurrence_of_day(scope: Scope, series: Series, day: date) -> Occurrence:
    """The campaign of a triggered series on a tenant day, made with the first firing. Concurrent callers get the same.

    Its plan is the series as it is then; a series that was changed since gets a new run of the day.
    """
    plan = _plan(scope, series)
    while True:
        with scope.reads() as session:
            last: Occurrence | None = session.scalar(_newest(scope, series.id, day))
        if last is not None and last.plan == plan and last.state in OPEN:
            return last
        try:
            with scope.records() as session:
                return _begin(scope, session, series, day, plan, 0 if last is None else last.run + 1)
        except IntegrityError:
            continue


def _newest(scope: Scope, series_id: int, day: date) -> Any:
    query = select(Occurrence).where(
        Occurrence.tenant_id == scope.tenant_id, Occurrence.series_id == series_id, Occurrence.execution_date == day
    )
    return query.order_by(Occurrence.run.desc()).limit(1)


def _plan(scope: Scope, series: Series) -> Plan:
    """What of the series its firings need, with the promo codes of the actions as they are now."""
    groups = []
    for group in series.groups:
        groups.append(group.model_copy(update={"promo_codes": codes_of(scope, group)}))
    members = {name: getattr(series, name) for name in PLANNED_MEMBERS}
    constants = {"split": Split.FIXED, "priority": 0, "products": 0, "customer_list_id": None}
    costs = costs_of(scope, groups)
    return Plan(**members, **constants, **({"costs": tuple(costs)} if costs else {}), groups=tuple(groups))


def planned_day(scope: Scope, series: Series) -> Occurrence:
    """The campaign of today as it would be, without an id and not stored."""
    return _occurrence(scope, series, scope.today(), _plan(scope, series), 0, 0)


def _begin(scope: Scope, session: Session, series: Series, day: date, plan: Plan, run: int) -> Occurrence:
    campaign = _occurrence(scope, series, day, plan, run, next_id(session, scope.tenant_id, "campaign"))
    session.add(campaign)
    session.flush()
    session.add_all(_channel_rows(scope, campaign))
    return campaign


def _occurrence(scope: Scope, series: Series, day: date, plan: Plan, run: int, number: int) -> Occurrence:
    return Occurrence(
        tenant_id=scope.tenant_id,
        id=number,
        series_id=series.id,
        execution_date=day,
        run=run,
        state=RunState.EXECUTING,
        campaign_type=series.campaign_type,
        duration=series.duration,
        notes=series.notes,
        tags=series.tags,
        is_multi_channel=len(plan.channel_ids) > 1,
        is_recurrence=True,
        is_triggered=True,
        conditional=series.conditional,
        plan=plan,
        processed_at=scope.clock.now(),
        executed_at=scope.clock.now(),
    )


def _channel_rows(scope: Scope, campaign: Occurrence) -> list[OccurrenceChannel]:
    order = sorted(campaign.plan.channel_ids)
    return [
        OccurrenceChannel(
            tenant_id=scope.tenant_id,
            campaign_id=campaign.id,
            recipient_group_id=number,
            channel_id=channel.channel_id,
            template_id=channel.template_id,
            action_id=group.action_id,
            promo_code=",".join(group.promo_codes or ()),
            scheduled_time=scope.now_local(),
            send_id=f"{campaign.id}G{number}C{order.index(channel.channel_id) + 1}",
            state=RunState.EXECUTING,
        )
        for number, group in enumerate(campaign.plan.groups, start=1)
        for channel in group.channels
    ]


def add_to_day(scope: Scope, session: Session, campaign_id: int, totals: FiringTotals) -> None:
    """Count filed firings into their campaign, in the transaction that marks them as filed."""
    campaign = locked(scope, session, campaign_id)
    campaign.targeted += totals.units
    campaign.test_size += totals.tested
    campaign.control_size += totals.held_back
    campaign.counts = {
        name: campaign.counts.get(name, 0) + totals.outcomes.get(name, 0)
        for name in sorted({*campaign.counts, *totals.outcomes})
    }
    for (group, channel_id), messages in totals.places.items():
        session.execute(
            update(OccurrenceChannel)
            .where(
                OccurrenceChannel.tenant_id == scope.tenant_id,
                OccurrenceChannel.campaign_id == campaign_id,
                OccurrenceChannel.recipient_group_id == group,
                OccurrenceChannel.channel_id == channel_id,
            )
            .values(recipients=OccurrenceChannel.recipients + messages)
        )


def open_days(scope: Scope, before: date) -> list[int]:
    """The campaigns of triggers of days before a day that are not closed."""
    query = select(Occurrence.id).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.is_triggered,
        Occurrence.state == RunState.EXECUTING,
        Occurrence.execution_date < before,
    )
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Occurrence.id)))


def close_day(scope: Scope, session: Session, campaign_id: int, at: datetime) -> None:
    """End the campaign of a day, all of whose firings are filed."""
    campaign = locked(scope, session, campaign_id)
    if campaign.state != RunState.EXECUTING:
        return
    campaign.state, campaign.finished_at = RunState.SUCCESSFUL, at
    session.execute(
        update(OccurrenceChannel)
        .where(OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id)
        .values(state=RunState.SUCCESSFUL)
    )


def end_date(campaign: Occurrence) -> date:
    """The last day in which the results of a campaign's latest firing are measured."""
    return campaign.execution_date + timedelta(days=campaign.duration)


def occurrences_by_id(scope: Scope, campaign_ids: Sequence[int]) -> list[Occurrence]:
    """Campaigns by id."""
    query = select(Occurrence).where(Occurrence.tenant_id == scope.tenant_id, Occurrence.id.in_(campaign_ids))
    with scope.reads() as session:
        return list(session.scalars(query))
