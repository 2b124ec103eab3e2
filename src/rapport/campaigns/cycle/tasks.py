"""Durable workflows of campaigns: handing over, processing, a run by hand."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import chain, pairwise
from types import TracebackType
from typing import Self

import structlog

from rapport.access.scope import Scope, current_scope
from rapport.audiences import membership
from rapport.campaigns.delivery import due_units, handing_over, winners
from rapport.campaigns.delivery.round_tasks import send_round
from rapport.campaigns.delivery.send_tasks import begin_unit, finish_unit, given_up, send_unit, unit_at
from rapport.campaigns.faults import ATTEMPTS, FAULTS, PAUSE_SECONDS, told
from rapport.campaigns.models import OccurrenceChannel
from rapport.campaigns.publishing import publisher
from rapport.campaigns.runs import clearance_deadline, processing
from rapport.campaigns.states import Portion, RunState
from rapport.errors import Away, RapportError
from rapport.stores.outages import outage
from rapport.stores.workflows import work

log = structlog.get_logger("rapport.campaigns")

# Beginning of the keys of the sending of units.
SENDS = "send:"


@work.step("campaigns.pulled_units", ATTEMPTS)
def _pulled(tenant_id: int, campaign_id: int) -> list[list[int]]:
    units = handing_over.pulled_units(current_scope(tenant_id), campaign_id)
    return [[tenant_id, campaign_id, unit.channel_id, unit.group] for unit in units]


@work.step("campaigns.prepare_unit", ATTEMPTS)
def _prepare(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> None:
    handing_over.prepare(*unit_at(tenant_id, campaign_id, channel_id, group, portion))


@work.step("campaigns.tell_handed_over", ATTEMPTS)
def _tell(tenant_id: int, campaign_id: int) -> None:
    handing_over.tell(current_scope(tenant_id), campaign_id)


@work.workflow("campaigns.hand_over")
def hand_over(tenant_id: int, campaign_id: int) -> None:
    """Hand over what outside systems pull of a campaign that waited after its processing; a unit may fail alone."""
    for arguments in _pulled(tenant_id, campaign_id):
        unit = (arguments[0], arguments[1], arguments[2], arguments[3], int(Portion.WHOLE))
        try:
            _prepare(*unit)
        except FAULTS as fault:
            if begin_unit(*unit):
                finish_unit(*unit, given_up(unit, fault))
    _tell(tenant_id, campaign_id)


@work.step("campaigns.publish_batch", ATTEMPTS)
def _publish_batch(tenant_id: int, campaign_id: int) -> bool:
    return publisher.publish_batch(current_scope(tenant_id), campaign_id)


@work.workflow("campaigns.publish")
def publish(tenant_id: int, campaign_id: int) -> None:
    """Have promotions decide about the customers of a campaign, a batch at a time."""
    while _publish_batch(tenant_id, campaign_id):
        pass


def _due(scope: Scope) -> list[list[int]]:
    """Units that are due by the clock, as arguments of send_unit; waits for approval that are over are ended.

    What waits for the winner of an A/B test is not due before somebody has looked whether it is known.
    """
    for campaign_id in clearance_deadline.due_clearances(scope):
        try:
            clearance_deadline.clear(scope, campaign_id)
        except Away:
            raise
        except FAULTS:  # tried again at the next round; nothing else waits for it
            log.exception("clearance failed", tenant_id=scope.tenant_id, campaign_id=campaign_id)
    due = [row for row in due_units.due(scope) if row.portion != Portion.REST or winners.is_to_be_chosen(scope, row)]
    return _arguments(due)


def _arguments(rows: list[OccurrenceChannel]) -> list[list[int]]:
    """What the work of units is called with: tenant, campaign, channel, group and portion, and the round if it has
    rounds. Only portions of an A/B test are named, so that the keys of other units are those of earlier releases.
    """
    return [[row.tenant_id, row.campaign_id, row.channel_id, row.recipient_group_id, *_part(row)] for row in rows]


def _part(row: OccurrenceChannel) -> list[int]:
    return [row.portion, row.round] if row.own_times else [*filter(None, [row.portion])]


def _sends(units: list[list[int]]) -> dict[str, work.Work]:
    """The sending of units, by the keys of the work: whoever finds a unit due, it is carried out once."""
    return {SENDS + ":".join(map(str, unit)): (send_round if len(unit) == 6 else send_unit, *unit) for unit in units}


def _works_due(scope: Scope) -> dict[str, work.Work]:
    """What is due by the clock, lists for vendors first, by the keys of the work."""
    units = _due(scope)  # ends clearances, after which there is more to hand over
    tenant_id = scope.tenant_id
    handovers: dict[str, work.Work] = {
        f"hand over:{tenant_id}:{campaign_id}": (hand_over, tenant_id, campaign_id)
        for campaign_id in handing_over.waiting(scope)
    }
    publications: dict[str, work.Work] = {
        f"publish:{tenant_id}:{campaign_id}": (publish, tenant_id, campaign_id)
        for campaign_id in publisher.waiting(scope)
    }
    return handovers | publications | _sends(units)


def _queue(works: dict[str, work.Work]) -> list[str]:
    return [work.enqueue(work.Queue.SENDS, key, *call) for key, call in works.items()]


def dispatch(scope: Scope) -> list[str]:
    """Queue what is due, lists for vendors too; the keys of the work. Any number of callers is as good as one."""
    return _queue(_works_due(scope))


def execute_due(scope: Scope) -> int:
    """Send what is due and wait until it is sent; how many units that were. For backfills, demos and tests.

    What others (the cycle's own dispatch, say) began to send is waited for too.
    """
    works = _works_due(scope)
    begun = _sends(_arguments(due_units.under_way(scope)))  # triggered ones among them, that no work sends
    work.run_all({key: send for key, send in begun.items() if work.exists(key)} | works)
    return sum(key.startswith(SENDS) for key in works)


@work.step("campaigns.groups", ATTEMPTS)
def _groups(tenant_id: int, campaign_id: int) -> list[int]:
    return processing.groups_needed(current_scope(tenant_id), campaign_id)


@work.step("campaigns.members", ATTEMPTS)
def _members(tenant_id: int, group_id: int, data_date: str) -> int:
    return membership.compute_members(current_scope(tenant_id), group_id, date.fromisoformat(data_date))


@work.step("campaigns.process", ATTEMPTS)
def _process(tenant_id: int, campaign_id: int, data_date: str) -> str:
    """Process a run; what outside systems pull of it is handed over before the next one, and before event 2."""
    scope = current_scope(tenant_id)
    state = processing.process(scope, campaign_id, date.fromisoformat(data_date))
    if state == RunState.SCHEDULED:
        handing_over.hand_over(scope, campaign_id)
    return state


@work.step("campaigns.fail", ATTEMPTS, bounded=False)
def _fail(tenant_id: int, campaign_id: int, reason: str) -> None:
    processing.fail(current_scope(tenant_id), campaign_id, reason)


@work.step("campaigns.due", ATTEMPTS)
def _due_now(tenant_id: int) -> list[list[int]]:
    return _due(current_scope(tenant_id))


def dispatch_due(tenant_id: int) -> None:
    """Dispatch from within a workflow: only the workflow itself, never a step of it, may queue other work."""
    _queue(_sends(_due_now(tenant_id)))


def process_run(tenant_id: int, campaign_id: int, data_date: str, problems: dict[int, str]) -> None:
    """Process one run; a fault fails it and no other. problems: groups already computed, with what went wrong."""
    try:
        for group_id in _groups(tenant_id, campaign_id):
            if group_id not in problems:
                problems[group_id] = _compute(tenant_id, group_id, data_date)
            if problems[group_id]:
                _fail(tenant_id, campaign_id, problems[group_id])
                return
    except FAULTS as fault:
        _failed(tenant_id, campaign_id, fault)
        return
    process_prepared(tenant_id, campaign_id, data_date, "")


def process_prepared(tenant_id: int, campaign_id: int, data_date: str, problem: str) -> None:
    """Process a run whose target groups are computed, or fail it for the problem that there was with one."""
    try:
        if problem:
            _fail(tenant_id, campaign_id, problem)
        else:
            _process(tenant_id, campaign_id, data_date)
    except FAULTS as fault:
        _failed(tenant_id, campaign_id, fault)


@work.step("campaigns.process_together", ATTEMPTS)
def process_together(
    tenant_id: int, campaign_ids: list[int], data_date: str, problems: dict[str, str]
) -> dict[str, float]:
    """Process the runs of a day, one after the other, of a tenant with few customers: seconds by run.

    While one is processed, the next is begun, and what outside systems pull of the one before is handed over. A fault
    fails a run and no other; problems: what there was with target groups, by run (a number in text). Raises Away.
    """
    scope, day, seconds = current_scope(tenant_id), date.fromisoformat(data_date), dict[str, float]()

    def take(campaign_id: int, part: Callable[[], str | None]) -> str | None:
        name, began = f"campaign {campaign_id}", time.monotonic()
        try:
            return _persistently(part)
        except FAULTS as fault:
            if outage(fault) is not None:
                raise
            _failed(tenant_id, campaign_id, fault)
            return None
        finally:
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - began, 3)

    following = dict(pairwise(campaign_id for campaign_id in campaign_ids if not problems.get(str(campaign_id))))
    with ThreadPoolExecutor(1, "handing over") as handovers, _RunPipeline(scope, day) as pipeline:
        handed_over = []
        for campaign_id in campaign_ids:
            if problem := problems.get(str(campaign_id)):
                take(campaign_id, partial(processing.fail, scope, campaign_id, problem))
                continue
            process = partial(pipeline.process, campaign_id, following.get(campaign_id))
            if take(campaign_id, process) == RunState.SCHEDULED:
                hand_over_run = partial(handing_over.hand_over, scope, campaign_id)
                handed_over.append(handovers.submit(take, campaign_id, hand_over_run))
        for handover in handed_over:
            handover.result()
    return seconds


class _RunPipeline:
    """Begins the next run of a day while the one before it is processed, which decides on some of its customers."""

    def __init__(self, scope: Scope, data_date: date) -> None:
        self._scope, self._data_date = scope, data_date
        self._thread = ThreadPoolExecutor(1, "next run")
        self._begun: dict[int, Future[processing.ClaimedRun]] = {}

    def __enter__(self) -> Self:
        """Nothing is begun yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of a run that was begun and whose turn has not come."""
        self._thread.shutdown()
        for begun in self._begun.values():
            if begun.exception() is None:
                begun.result().resources.close()

    def process(self, campaign_id: int, following: int | None) -> str:
        """Process a run; the following one is begun meanwhile. Tried again, it is begun anew."""
        begun = self._begun.pop(campaign_id, None)
        run = None if begun is None else begun.result()
        if following is not None and following not in self._begun:
            begin = partial(processing.begin, self._scope, following, self._data_date)
            self._begun[following] = self._thread.submit(begin)
        return processing.process(self._scope, campaign_id, self._data_date, run)


def _persistently(part: Callable[[], str | None]) -> str | None:
    """Carry out a part of a step, which is tried again as a step is; what is away the whole step waits for."""
    for _ in range(ATTEMPTS - 1):
        try:
            return part()
        except FAULTS as fault:
            if isinstance(fault, RapportError) or outage(fault) is not None:
                raise
            time.sleep(PAUSE_SECONDS)
    return part()


def _failed(tenant_id: int, campaign_id: int, fault: BaseException) -> None:
    _fail(tenant_id, campaign_id, told("run failed", fault, tenant_id=tenant_id, campaign_id=campaign_id))


def _compute(tenant_id: int, group_id: int, data_date: str) -> str:
    """Compute a target group once for all runs of the day; why that failed, or nothing."""
    try:
        _members(tenant_id, group_id, data_date)
    except FAULTS as fault:
        return _group_problem(tenant_id, group_id, fault)
    return ""


def _group_problem(tenant_id: int, group_id: int, fault: BaseException) -> str:
    reason = told("target group failed", fault, tenant_id=tenant_id, target_group_id=group_id)
    return f"Target group {group_id}: {reason}"


@work.step("campaigns.members_of_day", ATTEMPTS)
def members_of_day(tenant_id: int, campaign_ids: list[int], data_date: str) -> tuple[list[int], dict[str, str]]:
    """Compute the target groups of the runs of a day: the groups, and what went wrong by campaign (a number in text).

    Two are computed at once where there are few customers. Raises Away.
    """
    scope, day = current_scope(tenant_id), date.fromisoformat(data_date)

    def compute(group_id: int) -> str:
        try:
            membership.compute_members(scope, group_id, day)
        except FAULTS as fault:
            if outage(fault) is not None:
                raise
            return _group_problem(tenant_id, group_id, fault)
        return ""

    needed = {campaign_id: processing.groups_needed(scope, campaign_id) for campaign_id in campaign_ids}
    groups = list(dict.fromkeys(chain.from_iterable(needed.values())))
    with ThreadPoolExecutor(2 if scope.warehouse.has_few_customers else 1, "members") as threads:
        faults = dict(zip(groups, threads.map(compute, groups), strict=True))
    problems = {str(campaign_id): next(filter(None, map(faults.get, ids)), "") for campaign_id, ids in needed.items()}
    computed = [group for group in groups if not faults[group]]
    return computed, {campaign_id: problem for campaign_id, problem in problems.items() if problem}


@work.workflow("campaigns.run_campaign")
def run_campaign(tenant_id: int, campaign_id: int, data_date: str) -> None:
    """Process a run by hand and send what of it is due."""
    process_run(tenant_id, campaign_id, data_date, {})
    dispatch_due(tenant_id)
