"""Processing a run: from the members of its target group to who gets what, and why the others get nothing.

All in the warehouse; nothing is sent before every row is written. A repetition comes to the same
people, since splits go by hashes of campaign and customer, and replaces the rows of the run.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import membership
from rapport.campaigns.costs import costs_of
from rapport.campaigns.leases import lease
from rapport.campaigns.measurement.responses import past_responses
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import live_ids, locked, move, occurrence, running_ids
from rapport.campaigns.own_runs import own_days
from rapport.campaigns.runs import dry_run_queries, queries, variants
from rapport.campaigns.runs.clearance import ask_clearance
from rapport.campaigns.runs.explanations import nobody_left, reason_counts
from rapport.campaigns.runs.guard import objection
from rapport.campaigns.runs.own_times import OwnTimes
from rapport.campaigns.runs.places import Place, control_place, placement, places_of, scheduled_times
from rapport.campaigns.runs.splits import thompson_shares
from rapport.campaigns.runs.staging import StagePlan, drop_stage, fill_stage, plan_stage
from rapport.campaigns.schemas import FrequencyCap
from rapport.campaigns.states import FINAL_STATES, LIVE_STATES, RunState, Split
from rapport.channels import service as channels
from rapport.conditions.send_days import LONGEST_LEAD
from rapport.errors import RapportError
from rapport.messaging.contactability import kept_off as messaging_kept_off
from rapport.redemptions import targets

# The longest measurement window that a series may have, with its lead time.
LONGEST_RUN = timedelta(days=366 + LONGEST_LEAD)
UNPROCESSED = (RunState.PLANNED, RunState.PROCESSING)
# What the SQL of a stage binds where no cap is kept.
NO_CAP = FrequencyCap(messages=1, days=1)


@dataclass(frozen=True)
class Sizes:
    """What a processed run comes to: units in all, customers addressed and held back of each group."""

    units: int
    drawn: list[tuple[int, int]]

    @property
    def addressed(self) -> int:
        """Customers who are to get something."""
        return sum(addressed for addressed, _ in self.drawn)

    @property
    def control(self) -> int:
        """Customers who are held back."""
        return sum(control for _, control in self.drawn)


@dataclass(frozen=True)
class PreparedRun:
    """What of a run is ready before its turn comes: its places, the shares of its groups, how its stage is filled."""

    places: list[Place]
    shares: list[float]
    stage: StagePlan


@dataclass(frozen=True)
class ClaimedRun:
    """A run that nobody else can process until the block ends. prepared is None for one that is not to be processed."""

    campaign: Occurrence
    prepared: PreparedRun | None
    resources: ExitStack

    def __enter__(self) -> Self:
        """Nothing: the run is held since it was begun."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the tables aside and let go of the run."""
        self.resources.close()


def groups_needed(scope: Scope, campaign_id: int) -> list[int]:
    """The target groups whose members a run needs: its own and the ones it always excludes."""
    campaign = occurrence(scope, campaign_id)
    if campaign.state not in UNPROCESSED:
        return []
    groups = list(campaign.plan.rules.exclude_target_group_ids)
    return groups if campaign.is_one_time else [campaign.target_group_id, *groups]


def prepare_members(scope: Scope, campaign_id: int, data_date: date) -> None:
    """Compute the members of the target groups that a run needs."""
    for group_id in dict.fromkeys(groups_needed(scope, campaign_id)):
        membership.compute_members(scope, group_id, data_date)


def begin(scope: Scope, campaign_id: int, data_date: date) -> ClaimedRun:
    """Begin to process a run: hold it, and prepare what no other run of its day has a part in.

    Leave the block of what is given back, or close it, to let go of the run. Raises CodeNotValid for a promo code that
    is linked to other campaigns.
    """
    with ExitStack() as resources:
        resources.enter_context(lease(scope, f"process/{campaign_id}"))
        with scope.records() as session:
            campaign = locked(scope, session, campaign_id)
            was_begun = campaign.state == RunState.PROCESSING
            if campaign.state not in UNPROCESSED:
                return ClaimedRun(campaign, None, resources.pop_all())
            campaign.state = RunState.PROCESSING
        if was_begun:
            _forget_run(scope, campaign)
        resources.callback(drop_stage, scope, campaign_id)
        prepared = _prepared(scope, campaign, data_date)
        targets.require_linked(scope, {code for place in prepared.places for code in place.codes}, campaign_id)
        return ClaimedRun(campaign, prepared, resources.pop_all())


def process(scope: Scope, campaign_id: int, data_date: date, begun: ClaimedRun | None = None) -> str:
    """Process a run on the customers of a data date and give its new state; a processed run is left as it is.

    begun: what begin() gave of it, if somebody has begun it already. Runs of a day are processed in their order.
    """
    with begun or begin(scope, campaign_id, data_date) as run:
        if run.prepared is None:
            return run.campaign.state
        sizes = _write(scope, run.campaign, data_date, run.prepared)
        return _conclude(scope, run.campaign, run.prepared.places, sizes)


def fail(scope: Scope, campaign_id: int, reason: str) -> None:
    """End a run that could not be processed, with the reason."""
    with scope.records() as session:
        now = scope.clock.now()
        move(scope, session, campaign_id, UNPROCESSED, state=RunState.FAILED, error=reason, finished_at=now)


def reopen(scope: Scope, campaign_ids: Sequence[int]) -> None:
    """Let those of some runs that failed before they were processed be processed again."""
    query = select(Occurrence).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.id.in_(campaign_ids),
        Occurrence.state == RunState.FAILED,
        Occurrence.processed_at.is_(None),
    )
    with scope.reads() as session:
        failed = list(session.scalars(query.order_by(Occurrence.id)))
    for campaign in failed:
        _forget_run(scope, campaign)
        with scope.records() as session:
            move(scope, session, campaign.id, (RunState.FAILED,), state=RunState.PLANNED, error="", finished_at=None)


def _prepared(scope: Scope, campaign: Occurrence, data_date: date) -> PreparedRun:
    shares, places = _shares(scope, campaign), places_of(scope, campaign)
    return PreparedRun(places, shares, plan_stage(scope, campaign, data_date, places, shares))


def _filled(scope: Scope, campaign: Occurrence, prepared: PreparedRun) -> str:
    """Fill the stage of a run, whose turn has come; SQL of its rows."""
    parameters = _parameters(scope, campaign)
    return fill_stage(scope, campaign, prepared.stage, prepared.places, prepared.shares, parameters)


def _write(scope: Scope, campaign: Occurrence, data_date: date, prepared: PreparedRun) -> Sizes:
    places, stage = prepared.places, _filled(scope, campaign, prepared)
    common: dict[str, Any] = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    all_places = [control_place(places), *places]
    _add_recipients(scope, campaign, all_places, stage, prepared.stage.own_times)
    _add_outcomes(scope, all_places, stage, common)
    if campaign.plan.products:
        for part in scope.warehouse.customer_slices("product_recommendations", "campaign_recipients"):
            part.execute(queries.ADD_PRODUCTS, data_date=data_date, products=campaign.plan.products, **common)
    sizes = _sizes(scope, stage, places)
    kept_off, costs = prepared.stage.kept_off, costs_of(scope, campaign.plan.groups)
    plan = campaign.plan.processed(prepared.shares, sizes.drawn, data_date, kept_off, costs)
    with scope.records() as session:
        move(scope, session, campaign.id, (RunState.PROCESSING,), plan=plan)
    return sizes


@dataclass(frozen=True)
class Rehearsal:
    """What a run would come to: its sizes; customers by channel and group; the same by the hour (tenant wall clock) at
    which they get it; units that get nothing by channel, outcome and reason.
    """

    sizes: Sizes
    addressed: list[tuple[int, int, int]]
    leaving: list[tuple[int, int, str, int]]
    kept_out: list[tuple[int, str, str, int]]


def rehearse(scope: Scope, campaign: Occurrence, data_date: date) -> Rehearsal:
    """What a run that is not kept (its id is 0) comes to; the members of its groups are computed before."""
    with lease(scope, "rehearse"):
        try:
            prepared = _prepared(scope, campaign, data_date)
            places, stage = prepared.places, _filled(scope, campaign, prepared)
            all_places = [control_place(places), *places]
            where = placement(all_places)
            parts, drawn = variants.drawing(scope, campaign, all_places, stage, prepared.stage.own_times)
            addressed = scope.warehouse.rows(dry_run_queries.WOULD_BE_ADDRESSED.format(stage=stage), **where)
            kept_out = scope.warehouse.rows(
                dry_run_queries.WOULD_NOT_BE_ADDRESSED.format(stage=stage), **_faults(), **where
            )
            leaving = scope.warehouse.rows(
                dry_run_queries.WOULD_LEAVE.format(stage=stage, **parts),
                campaign=campaign.id,
                scheduled_times=scheduled_times(all_places),
                **where,
                **drawn,
            )
            return Rehearsal(
                _sizes(scope, stage, places),
                *([(*row,) for row in rows] for rows in (addressed, leaving, kept_out)),
            )
        finally:
            drop_stage(scope, campaign.id)


def _faults() -> dict[str, Any]:
    return {
        "outcomes": [outcome for outcome, _ in messaging_kept_off.faults()],
        "reasons": [reason for _, reason in messaging_kept_off.faults()],
    }


def _sizes(scope: Scope, stage: str, places: Sequence[Place]) -> Sizes:
    groups = max(place.group for place in places)
    widths = [sum(place.group == group for place in places) for group in range(1, groups + 1)]
    rows = scope.warehouse.rows(queries.STAGE_SIZES.format(stage=stage), widths=widths)
    drawn = {group: (int(addressed), int(control)) for group, _, addressed, control in rows}
    return Sizes(sum(int(row[1]) for row in rows), [drawn.get(group, (0, 0)) for group in range(1, groups + 1)])


def _shares(scope: Scope, campaign: Occurrence) -> list[float]:
    plan = campaign.plan
    if plan.split != Split.THOMPSON:
        return [group.share for group in plan.groups]
    return thompson_shares(campaign.id, past_responses(scope, campaign), len(plan.groups), plan.rules.min_share)


def _parameters(scope: Scope, campaign: Occurrence) -> dict[str, Any]:
    """The values of the stage's SQL that the run itself and other runs decide on."""
    cap = campaign.plan.rules.frequency_cap or NO_CAP
    day = campaign.execution_date
    since, cap_since = day - LONGEST_RUN, day - timedelta(days=cap.days - 1)
    return {
        "campaign": campaign.id,
        "execution_date": day,
        "since": since,
        "running": running_beside(scope, campaign),
        "cap": cap.messages,
        "cap_since": cap_since,
        "cap_campaigns": live_ids(scope, LIVE_STATES, cap_since, day, excluded_id=campaign.id),
    }


def running_beside(scope: Scope, run: Occurrence) -> list[int]:
    """Ids of the campaigns whose customers a run does not take unless it includes all."""
    own_run_days = own_days(run.plan.days, run.plan.rules, run.duration)
    return running_ids(scope, run.send_date, run.duration, run, own_run_days)


def _forget_run(scope: Scope, campaign: Occurrence) -> None:
    """Delete what an attempt wrote that was interrupted or failed."""
    common: dict[str, Any] = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    tables = ("campaign_recipients", "campaign_outcomes", "campaign_products")
    counts = " UNION ALL ".join(queries.COUNT_RUN.format(table=table) for table in tables)
    for table, count in scope.warehouse.rows(counts, **common):
        if count:
            scope.warehouse.execute(queries.DELETE_RUN.format(table=table), **common)


def _add_recipients(
    scope: Scope, campaign: Occurrence, places: Sequence[Place], stage: str, own_times: OwnTimes
) -> None:
    drawing, drawn = variants.drawing(scope, campaign, places, stage, own_times)
    scope.warehouse.execute(
        queries.ADD_RECIPIENTS.format(stage=stage, **drawing),
        execution_date=campaign.execution_date,
        campaign=campaign.id,
        actions=[place.action_id for place in places],
        templates=[place.template_id for place in places],
        target_group=campaign.target_group_id,
        promo_codes=[place.promo_code for place in places],
        scheduled_times=scheduled_times(places),
        end_date=campaign.send_date + timedelta(days=campaign.duration),
        **placement(places),
        **drawn,
    )


def _add_outcomes(scope: Scope, places: Sequence[Place], stage: str, common: dict[str, Any]) -> None:
    scope.warehouse.execute(
        queries.NOT_ADDRESSED.format(stage=stage),
        **_faults(),
        at=scope.clock.now(),
        **placement(places),
        **common,
    )


def _conclude(scope: Scope, campaign: Occurrence, places: Sequence[Place], sizes: Sizes) -> str:
    """Check the sum, then make the run known in one transaction with its event."""
    common: dict[str, Any] = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    accounted = scope.warehouse.rows(queries.ACCOUNTED, **common)
    counts = {outcome: int(n) for outcome, *_, n in accounted if outcome}
    sent_to = {(channel, group, template): int(n) for _, channel, group, template, n in accounted if channel}
    waiting = sum(sent_to.values())
    if sum(counts.values()) + waiting != sizes.units:
        raise RapportError(
            f"Campaign {campaign.id} accounts for {sum(counts.values()) + waiting} of {sizes.units} units."
        )
    first_times = variants.times_of_portions(scope, places, common)
    state, error = _next_state(scope, campaign, sizes)
    now = scope.clock.now()
    values = {
        "state": state,
        "error": error,
        "targeted": sizes.units,
        "test_size": sizes.addressed,
        "control_size": sizes.control,
        "counts": counts,
        "processed_at": now,
        "finished_at": now if state in FINAL_STATES else None,
    }
    with scope.records() as session:
        _keep_channels(scope, session, campaign, places, sent_to, first_times)
        move(scope, session, campaign.id, (RunState.PROCESSING,), **values)
        if state == RunState.AWAITING_CLEARANCE:
            ask_clearance(scope, session, campaign.id)
    return state


def _next_state(scope: Scope, campaign: Occurrence, sizes: Sizes) -> tuple[str, str]:
    if sizes.units == 0:
        return RunState.NOT_RUN, "The target group has no members."
    if sizes.addressed == 0:
        return RunState.SUCCESSFUL, nobody_left(reason_counts(scope, campaign.id))
    if reason := objection(scope, campaign, sizes.addressed):
        return RunState.AWAITING_CONFIRMATION, reason
    return (RunState.AWAITING_CLEARANCE if campaign.conditional else RunState.SCHEDULED), ""


def _keep_channels(
    scope: Scope,
    session: Session,
    campaign: Occurrence,
    places: Sequence[Place],
    sent_to: Mapping[tuple[int, int, int], int],
    first_times: Mapping[variants.PlacePortion, datetime],
) -> None:
    """Enter what each group gets on each channel, also where an attempt that was interrupted did. sent_to: how many."""
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "campaign_id": campaign.id,
            "recipient_group_id": place.group,
            "channel_id": place.channel_id,
            "template_id": row.template_id,
            "portion": row.portion,
            "action_id": place.action_id,
            "promo_code": place.promo_code,
            "scheduled_time": first_times.get((place.channel_id, place.group, row.portion), row.scheduled_time),
            "own_times": place.timing is not None and not channels.is_pulled(scope, place.channel_id),
            "send_id": row.send_id,
            "recipients": recipients,
            "state": RunState.SCHEDULED if recipients else RunState.SUCCESSFUL,
        }
        for place in places
        for row in variants.rows_of(scope, campaign.id, place)
        for recipients in [sent_to.get((place.channel_id, place.group, row.template_id), 0)]
    ]
    statement = insert(OccurrenceChannel).values(rows)
    key = [column.name for column in inspect(OccurrenceChannel).primary_key]
    changes = {name: statement.excluded[name] for name in rows[0] if name not in key}
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=changes))
