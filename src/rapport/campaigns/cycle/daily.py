"""The daily cycle of a tenant as durable work: model, target groups, campaigns, events, sends."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from typing import Protocol, TypeVar

import structlog

from rapport.access import service
from rapport.access.scope import Scope, current_scope
from rapport.audiences import changing, membership, sizes
from rapport.campaigns.cycle import cycles
from rapport.campaigns.cycle.cycles import CycleResult
from rapport.campaigns.cycle.tasks import (
    dispatch_due,
    members_of_day,
    process_prepared,
    process_run,
    process_together,
)
from rapport.campaigns.delivery import engagements
from rapport.campaigns.faults import ATTEMPTS, FAULTS, told
from rapport.campaigns.occurrences import plan_day
from rapport.campaigns.runs import processing
from rapport.campaigns.triggered.definitions import groups_of_triggers
from rapport.customers.importing import load_checks
from rapport.customers.importing.load_checks import LoadCheckFailed
from rapport.errors import Away, Conflict, RapportError
from rapport.insight import service as insight
from rapport.insight import snapshot
from rapport.messaging.contactability import present_addresses, unsubscribed_attribute
from rapport.notifications import service as notifications
from rapport.stores.outages import outage
from rapport.stores.workflows import work

log = structlog.get_logger("rapport.campaigns")
RECOMMENDATIONS, PROFILES = "recommendations", "profiles"
T = TypeVar("T")


class StepTimer(Protocol):
    """Carries out a step and enters how long it took."""

    def __call__(self, name: str, step: Callable[[], T], /) -> T:
        """What the step gives."""


@work.step("cycle.load_checks")
def _check_loads(tenant_id: int, data_date: str) -> str:
    """Why the day must not be computed; empty when its loads are good."""
    try:
        load_checks.check_loads(current_scope(tenant_id), date.fromisoformat(data_date))
    except LoadCheckFailed as fault:
        return fault.message
    return ""


@work.step("cycle.model", ATTEMPTS)
def _model(tenant_id: int, data_date: str, name: str) -> None:
    scope = current_scope(tenant_id)
    if name == PROFILES:
        _renew_wishes(scope)
    dict(insight.MODEL_STEPS)[name](scope, date.fromisoformat(data_date))


def _renew_wishes(scope: Scope) -> None:
    """Bring what follows from suppressions up to date before the profiles are written, which then need no change.

    The attribute alone stops no day: whoever must not be reached is found without it.
    """
    present_addresses.keep_again(scope)
    try:
        unsubscribed_attribute.refresh(scope)
    except Exception as fault:  # of any write that was in line before, too
        if outage(fault) is not None:
            raise
        log.exception("attribute of who is unsubscribed not written", tenant_id=scope.tenant_id)


@work.step("cycle.whole_model", ATTEMPTS)
def _whole_model(tenant_id: int, data_date: str) -> dict[str, float]:
    """All steps of the model and its publication where there are few customers: seconds by step."""
    scope, day, seconds = current_scope(tenant_id), date.fromisoformat(data_date), dict[str, float]()

    def take(name: str, step: Callable[[Scope, date], None]) -> None:
        began = time.monotonic()
        step(scope, day)
        seconds[name] = round(time.monotonic() - began, 3)

    steps = dict(insight.MODEL_STEPS)
    with ThreadPoolExecutor(1, RECOMMENDATIONS) as beside:  # they need nothing of the other steps, nor these of them
        recommended = beside.submit(take, RECOMMENDATIONS, steps.pop(RECOMMENDATIONS))
        for name, step in steps.items():
            if name == PROFILES:
                _renew_wishes(scope)
            take(name, step)
        recommended.result()
    take("publish", service.publish_data_date)
    return {name: seconds[name] for name in (*dict(insight.MODEL_STEPS), "publish")}


@work.workflow("campaigns.recommend")
def _recommend(tenant_id: int, data_date: str) -> None:
    """The recommendations of a day beside the other steps of its model."""
    _model(tenant_id, data_date, RECOMMENDATIONS)


@work.step("cycle.is_small")
def _is_small(tenant_id: int) -> bool:
    return current_scope(tenant_id).warehouse.has_few_customers


@work.step("cycle.publish", ATTEMPTS)
def _publish(tenant_id: int, data_date: str) -> None:
    service.publish_data_date(current_scope(tenant_id), date.fromisoformat(data_date))


@work.step("cycle.plan", ATTEMPTS)
def _plan(tenant_id: int, data_date: str) -> list[int]:
    scope = current_scope(tenant_id)
    ids = plan_day(scope, cycles.execution_date(date.fromisoformat(data_date)))
    processing.reopen(scope, ids)
    return ids


@work.step("cycle.trigger_groups", ATTEMPTS)
def _trigger_groups(tenant_id: int, data_date: str) -> None:
    """Compute the target groups that triggers ask about; the fault of one is logged, its members stay as they were."""
    scope = current_scope(tenant_id)
    for group_id in groups_of_triggers(scope):
        try:
            membership.compute_members(scope, group_id, date.fromisoformat(data_date))
        except Away:
            raise
        except FAULTS:
            log.exception("target group of a trigger failed", tenant_id=tenant_id, target_group_id=group_id)


@work.step("cycle.announce", ATTEMPTS)
def _announce(tenant_id: int, data_date: str, event_type_id: int) -> None:
    """Events 2 and 3, once a day whatever is run again."""
    scope = current_scope(tenant_id)
    with scope.records() as session:
        notifications.notify(scope, session, event_type_id, {}, f"{event_type_id}:{data_date}")


@work.step("cycle.note", ATTEMPTS, bounded=False)
def _note(tenant_id: int, data_date: str, run: int, name: str, seconds: float) -> None:
    cycles.note(current_scope(tenant_id), date.fromisoformat(data_date), run, name, seconds)


@work.step("cycle.end", ATTEMPTS, bounded=False)
def _end(tenant_id: int, data_date: str, run: int, error: str) -> None:
    scope = current_scope(tenant_id)
    engagements.drop_old(scope)
    cycles.end(scope, date.fromisoformat(data_date), run, error)
    snapshot.clean_up(scope, date.fromisoformat(data_date), cycles.under_way(scope))


def _follow_groups(tenant_id: int, data_date: str, computed: list[int]) -> None:
    """Keep the sizes of all target groups, and tell who follows how they changed. A fault stops no day."""
    _note_sizes(tenant_id, data_date, computed)

    def tell() -> None:
        changing.follow_changes(current_scope(tenant_id), date.fromisoformat(data_date))

    try:
        work.waiting(tell, "cycle.changes")()
    except FAULTS:
        log.exception("changes of target groups not told", tenant_id=tenant_id, data_date=data_date)


def _note_sizes(tenant_id: int, data_date: str, computed: list[int]) -> None:
    """Keep the sizes of all target groups; computed are those of the day's campaigns. A fault stops no day."""
    scope = current_scope(tenant_id)
    try:
        sizes.note_sizes(scope, date.fromisoformat(data_date), [*computed, *groups_of_triggers(scope)])
    except FAULTS:
        log.exception("sizes of target groups not kept", tenant_id=tenant_id, data_date=data_date)


def _note_all(tenant_id: int, data_date: str, run: int, seconds: Mapping[str, float]) -> None:
    """Enter the times of steps; times that cannot be entered stop no day."""

    def enter() -> None:
        cycles.note_all(current_scope(tenant_id), date.fromisoformat(data_date), run, seconds)

    try:
        work.waiting(enter, "cycle.note")()
    except FAULTS:
        log.exception("times of steps not entered", tenant_id=tenant_id, data_date=data_date, steps=list(seconds))


@work.workflow("campaigns.daily_cycle")
def daily_cycle(tenant_id: int, data_date: str, run: int = 0, as_before: bool = True, together: bool = False) -> None:
    """The whole day of a tenant for a data date: model, target groups, campaigns, events, sends.

    A failed load check or model stops the day: its campaigns are not processed, the cycle's state
    and the log say why. as_before, and not together: of cycles that earlier releases began, which are carried on in
    their steps.
    """

    def timed(name: str, step: Callable[[], T], /) -> T:
        began = time.monotonic()
        result = step()
        seconds = round(time.monotonic() - began, 3)
        if as_before:
            _note(tenant_id, data_date, run, name, seconds)
        else:
            _note_all(tenant_id, data_date, run, {name: seconds})
        return result

    try:
        if together and _is_small(tenant_id):
            _small_day(tenant_id, data_date, run, timed)
        else:
            (_day_as_before if as_before else _day)(tenant_id, data_date, timed)
    except FAULTS as fault:
        _end(tenant_id, data_date, run, told("cycle failed", fault, tenant_id=tenant_id, data_date=data_date))
        return
    _end(tenant_id, data_date, run, "")


def _small_day(tenant_id: int, data_date: str, run: int, timed: StepTimer) -> None:
    """A day in few durable steps: each of its parts takes less time than to enter that it was done."""
    _require_good_loads(tenant_id, data_date, timed)
    _note_all(tenant_id, data_date, run, _whole_model(tenant_id, data_date))
    campaign_ids = _plan(tenant_id, data_date)
    groups, problems = timed("target groups", partial(members_of_day, tenant_id, campaign_ids, data_date))
    _note_all(tenant_id, data_date, run, process_together(tenant_id, campaign_ids, data_date, problems))
    _after_campaigns(tenant_id, data_date, timed, groups)


def _day(tenant_id: int, data_date: str, timed: StepTimer) -> None:
    _require_good_loads(tenant_id, data_date, timed)
    recommendations: Callable[[], None] = partial(_model, tenant_id, data_date, RECOMMENDATIONS)
    if _is_small(tenant_id):  # they need nothing of the other steps, nor these of them
        recommendations = work.beside(_recommend, tenant_id, data_date)
    for name, _ in insight.MODEL_STEPS:
        if name != RECOMMENDATIONS:
            timed(name, partial(_model, tenant_id, data_date, name))
    timed(RECOMMENDATIONS, recommendations)
    timed("publish", partial(_publish, tenant_id, data_date))
    campaign_ids = _plan(tenant_id, data_date)
    groups, problems = timed("target groups", partial(members_of_day, tenant_id, campaign_ids, data_date))
    for number in campaign_ids:
        problem = problems.get(str(number), "")
        timed(f"campaign {number}", partial(process_prepared, tenant_id, number, data_date, problem))
    _after_campaigns(tenant_id, data_date, timed, groups)


def _day_as_before(tenant_id: int, data_date: str, timed: StepTimer) -> None:
    _require_good_loads(tenant_id, data_date, timed)
    for name, _ in insight.MODEL_STEPS:
        timed(name, partial(_model, tenant_id, data_date, name))
    timed("publish", partial(_publish, tenant_id, data_date))
    problems: dict[int, str] = {}
    for campaign_id in _plan(tenant_id, data_date):
        timed(f"campaign {campaign_id}", partial(process_run, tenant_id, campaign_id, data_date, problems))
    _after_campaigns(tenant_id, data_date, timed, [group_id for group_id, problem in problems.items() if not problem])


def _require_good_loads(tenant_id: int, data_date: str, timed: StepTimer) -> None:
    if problem := timed("load checks", partial(_check_loads, tenant_id, data_date)):
        raise Conflict(str(problem))


def _after_campaigns(tenant_id: int, data_date: str, timed: StepTimer, computed: list[int]) -> None:
    timed("target groups of triggers", partial(_trigger_groups, tenant_id, data_date))
    timed("sizes of target groups", partial(_follow_groups, tenant_id, data_date, computed))
    for event_type_id in (2, 3):
        _announce(tenant_id, data_date, event_type_id)
    dispatch_due(tenant_id)


def start_cycle(scope: Scope, data_date: date, *, again: bool = True) -> str:
    """Begin the cycle of a data date, or find the one that is under way; its key.

    A finished date is computed again, unless again is false: then its last run is found.
    """
    run = cycles.begin(scope, data_date, again=again)
    key = cycles.key(scope, data_date, run)
    if not work.exists(key):
        work.enqueue(work.Queue.CYCLES, key, daily_cycle, scope.tenant_id, data_date.isoformat(), run, False, True)
    return key


def run_cycle(scope: Scope, data_date: date) -> CycleResult:
    """Run the cycle of a data date and wait for it. Raises RapportError when it failed.

    A date that was finished before is computed again; campaigns already processed are kept.
    """
    run = cycles.begin(scope, data_date)
    work.run(cycles.key(scope, data_date, run), daily_cycle, scope.tenant_id, data_date.isoformat(), run, False, True)
    result = cycles.result(scope, data_date, run)
    if result.error:
        raise RapportError(result.error)
    return result
