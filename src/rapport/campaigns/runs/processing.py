"""Processing a run: from the members of its target group to who gets what, and why the others get nothing.

All in the warehouse; nothing is sent before every row is written. A repetition comes to the same
people, since splits go by hashes of campaign and customer, and replaces the rows of the run.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences import service as audiences
from rapport.campaigns.costs import costs_of
from rapport.campaigns.definitions import action
from rapport.campaigns.leases import lease
from rapport.campaigns.measurement.responses import past_responses
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import live_ids, locked, move, occurrence, running_ids
from rapport.campaigns.own_runs import own_days
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.asking import nobody_left, reason_counts
from rapport.campaigns.runs.clearance import ask_clearance
from rapport.campaigns.runs.guard import objection
from rapport.campaigns.runs.splits import thompson_shares
from rapport.campaigns.runs.staging import Place, StagePlan, drop_stage, fill_stage, plan_stage
from rapport.campaigns.schedule import send_time
from rapport.campaigns.schemas import FrequencyCap
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import FINAL_STATES, LIVE_STATES, RunState
from rapport.conditions.send_days import LONGEST_LEAD
from rapport.errors import RapportError
from rapport.messaging import service as messaging

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
class Prepared:
    """What of a run is ready before its turn comes: its places, the shares of its groups, how its stage is filled."""

    places: list[Place]
    shares: list[float]
    stage: StagePlan


@dataclass(frozen=True)
class Begun:
    """A run that nobody else can process until the block ends. prepared is None for one that is not to be processed."""

    found: Occurrence
    prepared: Prepared | None
    held: ExitStack

    def __enter__(self) -> Self:
        """Nothing: the run is held since it was begun."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the tables aside and let go of the run."""
        self.held.close()


def groups_needed(scope: Scope, campaign_id: int) -> list[int]:
    """The target groups whose members a run needs: its own and the ones it always excludes."""
    found = occurrence(scope, campaign_id)
    if found.state not in UNPROCESSED:
        return []
    groups = list(found.plan.rules.exclude_target_group_ids)
    return groups if found.is_one_time else [found.target_group_id, *groups]


def prepare_members(scope: Scope, campaign_id: int, data_date: date) -> None:
    """Compute the members of the target groups that a run needs."""
    for group_id in dict.fromkeys(groups_needed(scope, campaign_id)):
        audiences.compute_members(scope, group_id, data_date)


def begin(scope: Scope, campaign_id: int, data_date: date) -> Begun:
    """Begin to process a run: hold it, and prepare what no other run of its day has a part in.

    Leave the block of what is given back, or close it, to let go of the run.
    """
    with ExitStack() as held:
        held.enter_context(lease(scope, f"process/{campaign_id}"))
        with scope.records() as session:
            found = locked(scope, session, campaign_id)
            was_begun = found.state == RunState.PROCESSING
            if found.state not in UNPROCESSED:
                return Begun(found, None, held.pop_all())
            found.state = RunState.PROCESSING
        if was_begun:
            _forget_run(scope, found)
        held.callback(drop_stage, scope, campaign_id)
        return Begun(found, _prepared(scope, found, data_date), held.pop_all())


def process(scope: Scope, campaign_id: int, data_date: date, begun: Begun | None = None) -> str:
    """Process a run on the customers of a data date and give its new state; a processed run is left as it is.

    begun: what begin() gave of it, if somebody has begun it already. Runs of a day are processed in their order.
    """
    with begun or begin(scope, campaign_id, data_date) as run:
        if run.prepared is None:
            return run.found.state
        sizes = _write(scope, run.found, data_date, run.prepared)
        return _conclude(scope, run.found, run.prepared.places, sizes)


def fail(scope: Scope, campaign_id: int, reason: str) -> None:
    """End a run that could not be processed, with the reason."""
    with scope.records() as session:
        now = scope.clock.now()
        move(scope, session, campaign_id, UNPROCESSED, state=RunState.FAILED, error=reason, finished_at=now)


def reopen(scope: Scope, campaign_ids: Sequence[int]) -> None:
    """Let those of some runs that failed before they were processed be processed again."""
    wanted = select(Occurrence).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.id.in_(campaign_ids),
        Occurrence.state == RunState.FAILED,
        Occurrence.processed_at.is_(None),
    )
    with scope.reads() as session:
        failed = list(session.scalars(wanted.order_by(Occurrence.id)))
    for found in failed:
        _forget_run(scope, found)
        with scope.records() as session:
            move(scope, session, found.id, (RunState.FAILED,), state=RunState.PLANNED, error="", finished_at=None)


def _prepared(scope: Scope, found: Occurrence, data_date: date) -> Prepared:
    shares, places = _shares(scope, found), _places(scope, found)
    return Prepared(places, shares, plan_stage(scope, found, data_date, places, shares))


def _filled(scope: Scope, found: Occurrence, prepared: Prepared) -> str:
    """Fill the stage of a run, whose turn has come; SQL of its rows."""
    bound = _bindings(scope, found)
    return fill_stage(scope, found, prepared.stage, prepared.places, prepared.shares, bound)


def _write(scope: Scope, found: Occurrence, data_date: date, prepared: Prepared) -> Sizes:
    places, stage = prepared.places, _filled(scope, found, prepared)
    common: dict[str, Any] = {"execution_date": found.execution_date, "campaign": found.id}
    control = _control_place(places)
    _add_recipients(scope, found, [control, *places], stage)
    _add_outcomes(scope, [control, *places], stage, common)
    if found.plan.products:
        for part in scope.warehouse.customer_slices("product_recommendations", "campaign_recipients"):
            part.execute(queries.ADD_PRODUCTS, data_date=data_date, products=found.plan.products, **common)
    sizes = _sizes(scope, stage, places)
    kept_off, costs = prepared.stage.kept_off, costs_of(scope, found.plan.groups)
    plan = found.plan.processed(prepared.shares, sizes.drawn, data_date, kept_off, costs)
    with scope.records() as session:
        move(scope, session, found.id, (RunState.PROCESSING,), plan=plan)
    return sizes


def rehearse(
    scope: Scope, found: Occurrence, data_date: date
) -> tuple[Sizes, list[tuple[int, int, int]], list[tuple[int, str, str, int]]]:
    """What a run that is not kept (its id is 0) comes to; the members of its groups are computed before.

    Its sizes, customers by channel and group, and units that get nothing by channel, outcome and reason.
    """
    with lease(scope, "rehearse"):
        try:
            prepared = _prepared(scope, found, data_date)
            places, stage = prepared.places, _filled(scope, found, prepared)
            whole = _where([_control_place(places), *places])
            addressed = scope.warehouse.rows(queries.WOULD_BE_ADDRESSED.format(stage=stage), **whole)
            kept_out = scope.warehouse.rows(queries.WOULD_NOT_BE_ADDRESSED.format(stage=stage), **_faults(), **whole)
            return _sizes(scope, stage, places), [(*row,) for row in addressed], [(*row,) for row in kept_out]
        finally:
            drop_stage(scope, found.id)


def _control_place(places: Sequence[Place]) -> Place:
    """Where the control group stands among the places of a run."""
    return Place(0, 0, 0, 0, CONTROL_ACTION_ID, "", min(place.scheduled_time for place in places))


def _faults() -> dict[str, Any]:
    return {"outcomes": [one for one, _ in messaging.faults()], "reasons": [reason for _, reason in messaging.faults()]}


def _sizes(scope: Scope, stage: str, places: Sequence[Place]) -> Sizes:
    groups = max(place.group for place in places)
    widths = [sum(place.group == group for place in places) for group in range(1, groups + 1)]
    rows = scope.warehouse.rows(queries.STAGE_SIZES.format(stage=stage), widths=widths)
    drawn = {group: (int(addressed), int(control)) for group, _, addressed, control in rows}
    return Sizes(sum(int(row[1]) for row in rows), [drawn.get(group, (0, 0)) for group in range(1, groups + 1)])


def _shares(scope: Scope, found: Occurrence) -> list[float]:
    plan = found.plan
    if plan.split != "thompson":
        return [group.share for group in plan.groups]
    return thompson_shares(found.id, past_responses(scope, found), len(plan.groups), plan.rules.min_share)


def _places(scope: Scope, found: Occurrence) -> list[Place]:
    """Every group and channel of a run, with what is sent there and when (tenant wall clock)."""
    schedule = found.plan.days
    default = tenant_settings(scope, CampaignSettings).default_send_time
    channel_ids = sorted(found.plan.channel_ids)
    places = []
    for number, group in enumerate(found.plan.groups, start=1):
        codes = action(scope, group.action_id).promo_codes if group.promo_codes is None else group.promo_codes
        for one in group.channels:
            at = datetime.combine(found.send_date, send_time(schedule, one.send_time, default))
            position = channel_ids.index(one.channel_id) + 1
            place = (number, one.channel_id, position, one.template_id, group.action_id, ",".join(codes), at)
            places.append(Place(*place))
    return places


def _bindings(scope: Scope, found: Occurrence) -> dict[str, Any]:
    """The values of the stage's SQL that the run itself and other runs decide on."""
    cap = found.plan.rules.frequency_cap or NO_CAP
    day = found.execution_date
    since, cap_since = day - LONGEST_RUN, day - timedelta(days=cap.days - 1)
    return {
        "campaign": found.id,
        "execution_date": day,
        "since": since,
        "running": running_beside(scope, found),
        "cap": cap.messages,
        "cap_since": cap_since,
        "cap_campaigns": live_ids(scope, LIVE_STATES, cap_since, day, excluded_id=found.id),
    }


def running_beside(scope: Scope, run: Occurrence) -> list[int]:
    """Ids of the campaigns whose customers a run does not take unless it includes all."""
    own = own_days(run.plan.days, run.plan.rules, run.duration)
    return running_ids(scope, run.send_date, run.duration, run, own)


def _forget_run(scope: Scope, found: Occurrence) -> None:
    """Delete what an attempt wrote that was interrupted or failed."""
    common: dict[str, Any] = {"execution_date": found.execution_date, "campaign": found.id}
    tables = ("campaign_recipients", "campaign_outcomes", "campaign_products")
    counts = " UNION ALL ".join(queries.COUNT_RUN.format(table=table) for table in tables)
    for table, count in scope.warehouse.rows(counts, **common):
        if count:
            scope.warehouse.execute(queries.DELETE_RUN.format(table=table), **common)


def _add_recipients(scope: Scope, found: Occurrence, places: Sequence[Place], stage: str) -> None:
    scope.warehouse.execute(
        queries.ADD_RECIPIENTS.format(stage=stage),
        execution_date=found.execution_date,
        campaign=found.id,
        actions=[place.action_id for place in places],
        templates=[place.template_id for place in places],
        target_group=found.target_group_id,
        promo_codes=[place.promo_code for place in places],
        scheduled_times=[int(place.scheduled_time.replace(tzinfo=UTC).timestamp()) for place in places],
        end_date=found.send_date + timedelta(days=found.duration),
        **_where(places),
    )


def _add_outcomes(scope: Scope, places: Sequence[Place], stage: str, common: dict[str, Any]) -> None:
    scope.warehouse.execute(
        queries.NOT_ADDRESSED.format(stage=stage),
        **_faults(),
        at=scope.clock.now(),
        **_where(places),
        **common,
    )


def _where(places: Sequence[Place]) -> dict[str, Any]:
    return {
        "channels": [place.channel_id for place in places],
        "groups": [place.group for place in places],
        "positions": [place.position for place in places],
    }


def _conclude(scope: Scope, found: Occurrence, places: Sequence[Place], sizes: Sizes) -> str:
    """Check the sum, then make the run known in one transaction with its event."""
    common: dict[str, Any] = {"execution_date": found.execution_date, "campaign": found.id}
    accounted = scope.warehouse.rows(queries.ACCOUNTED, **common)
    counts = {outcome: int(n) for outcome, _, _, n in accounted if outcome}
    sent_to = {(channel, group): int(n) for _, channel, group, n in accounted if channel}
    waiting = sum(sent_to.values())
    if sum(counts.values()) + waiting != sizes.units:
        raise RapportError(f"Campaign {found.id} accounts for {sum(counts.values()) + waiting} of {sizes.units} units.")
    state, error = _next_state(scope, found, sizes)
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
        _keep_channels(scope, session, found, places, sent_to)
        move(scope, session, found.id, (RunState.PROCESSING,), **values)
        if state == RunState.AWAITING_CLEARANCE:
            ask_clearance(scope, session, found.id)
    return state


def _next_state(scope: Scope, found: Occurrence, sizes: Sizes) -> tuple[str, str]:
    if sizes.units == 0:
        return RunState.NOT_RUN, "The target group has no members."
    if sizes.addressed == 0:
        return RunState.SUCCESSFUL, nobody_left(reason_counts(scope, found.id))
    if reason := objection(scope, found, sizes.addressed):
        return RunState.AWAITING_CONFIRMATION, reason
    return (RunState.AWAITING_CLEARANCE if found.conditional else RunState.SCHEDULED), ""


def _keep_channels(
    scope: Scope, session: Session, found: Occurrence, places: Sequence[Place], sent_to: Mapping[tuple[int, int], int]
) -> None:
    """Enter what each group gets on each channel, also where an attempt that was interrupted did. sent_to: how many."""
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "campaign_id": found.id,
            "recipient_group_id": place.group,
            "channel_id": place.channel_id,
            "template_id": place.template_id,
            "action_id": place.action_id,
            "promo_code": place.promo_code,
            "scheduled_time": place.scheduled_time,
            "send_id": f"{found.id}G{place.group}C{place.position}",
            "recipients": recipients,
            "state": RunState.SCHEDULED if recipients else RunState.SUCCESSFUL,
        }
        for place in places
        for recipients in [sent_to.get((place.channel_id, place.group), 0)]
    ]
    entered = insert(OccurrenceChannel).values(rows)
    key = [column.name for column in inspect(OccurrenceChannel).primary_key]
    changed = {name: entered.excluded[name] for name in rows[0] if name not in key}
    session.execute(entered.on_conflict_do_update(index_elements=key, set_=changed))
