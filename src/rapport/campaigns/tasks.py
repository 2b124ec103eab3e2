"""Durable workflows of campaigns: the daily cycle, a run by hand, the sending of a unit."""

import time
from collections.abc import Callable
from datetime import date
from functools import partial

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError

from rapport.access.scope import Scope, current_scope
from rapport.audiences import service as audiences
from rapport.campaigns import clearing, closing, cycles, engagements, handing_over, processing, sending
from rapport.campaigns.cycles import CycleResult
from rapport.campaigns.models import SCHEDULED
from rapport.campaigns.occurrences import occurrence, plan_day
from rapport.campaigns.settings import settings_of
from rapport.campaigns.triggered import groups_of_triggers
from rapport.campaigns.units import Unit, unit_of
from rapport.channels import service as channels
from rapport.customers import service as customers
from rapport.errors import Conflict, RapportError
from rapport.insight import service as insight
from rapport.messaging import service as messaging
from rapport.notifications import service as notifications
from rapport.stores import work

log = structlog.get_logger("rapport.campaigns")

FAULTS = (RapportError, work.StepFailed, SQLAlchemyError, ClickHouseError, OSError)
# Beginning of the keys of the sending of units.
SENDS = "send:"
# Engine faults that pass: a step is tried this often before its work is given up.
ATTEMPTS = 3


def sentence(error: BaseException) -> str:
    """What a person may read of a fault; the whole of it is in the log."""
    return error.message if isinstance(error, RapportError) else "An engine failed: see the log."


def _unit(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> tuple[Scope, Unit]:
    scope = current_scope(tenant_id)
    return scope, unit_of(scope, occurrence(scope, campaign_id), channel_id, group)


@work.step("campaigns.begin_unit", ATTEMPTS)
def _begin(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> str:
    """The kind of channel of a unit that begins; empty when there is nothing to send."""
    scope, unit = _unit(tenant_id, campaign_id, channel_id, group)
    return channels.channel(scope, channel_id).kind if sending.begin(scope, unit) else ""


@work.step("campaigns.list_unit", ATTEMPTS)
def _list(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> None:
    """At its time; a campaign that was processed later than that is handed over here."""
    scope, unit = _unit(tenant_id, campaign_id, channel_id, group)
    if unit.campaign.handed_over_at is None:
        handing_over.hand_over(scope, campaign_id)
    sending.list_unit(scope, unit)


@work.step("campaigns.plan_batches", ATTEMPTS)
def _plan_batches(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> list[str]:
    return sending.plan_batches(*_unit(tenant_id, campaign_id, channel_id, group))


@work.step("campaigns.send_batch", ATTEMPTS)
def _send(tenant_id: int, campaign_id: int, channel_id: int, group: int, number: int, low: str, high: str) -> bool:
    return sending.send_batch(*_unit(tenant_id, campaign_id, channel_id, group), number, low, high)


@work.step("campaigns.send_retries", ATTEMPTS)
def _retry(tenant_id: int, campaign_id: int, channel_id: int, group: int, number: int, attempt: int) -> int:
    return sending.send_retries(*_unit(tenant_id, campaign_id, channel_id, group), number, attempt)


@work.step("campaigns.retry_delays")
def _delays(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> list[float]:
    """Seconds before each round of retries; no round when nothing is to be tried again."""
    scope, unit = _unit(tenant_id, campaign_id, channel_id, group)
    return settings_of(scope).retry_delays if sending.waiting(scope, unit) else []


@work.step("campaigns.abandon_unit", ATTEMPTS)
def _abandon(tenant_id: int, campaign_id: int, channel_id: int, group: int, reason: str) -> None:
    sending.abandon(*_unit(tenant_id, campaign_id, channel_id, group), reason)


@work.step("campaigns.finish_unit", ATTEMPTS)
def _finish(tenant_id: int, campaign_id: int, channel_id: int, group: int, error: str) -> None:
    scope, unit = _unit(tenant_id, campaign_id, channel_id, group)
    closing.finish_unit(scope, unit, error)
    sending.forget(scope, unit)
    closing.finish_campaign(scope, campaign_id)


@work.workflow("campaigns.send_unit")
def send_unit(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> None:
    """Send what a group of a campaign gets on a channel, in durable batches."""
    unit = (tenant_id, campaign_id, channel_id, group)
    error = ""
    try:
        kind = _begin(*unit)
        if kind == "external":
            _list(*unit)
        elif kind:
            _send_all(unit)
    except FAULTS as fault:
        error = _given_up(unit, fault)
    _finish(*unit, error)


def _given_up(unit: tuple[int, int, int, int], fault: BaseException) -> str:
    """Abandon a unit that cannot be sent; why, in a sentence."""
    log.exception("unit abandoned", tenant_id=unit[0], campaign_id=unit[1], channel_id=unit[2])
    error = sentence(fault)
    _abandon(*unit, error)
    return error


@work.step("campaigns.pulled_units", ATTEMPTS)
def _pulled(tenant_id: int, campaign_id: int) -> list[list[int]]:
    units = handing_over.pulled_units(current_scope(tenant_id), campaign_id)
    return [[tenant_id, campaign_id, unit.channel_id, unit.group] for unit in units]


@work.step("campaigns.prepare_unit", ATTEMPTS)
def _prepare(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> None:
    handing_over.prepare(*_unit(tenant_id, campaign_id, channel_id, group))


@work.step("campaigns.tell_handed_over", ATTEMPTS)
def _tell(tenant_id: int, campaign_id: int) -> None:
    handing_over.tell(current_scope(tenant_id), campaign_id)


@work.workflow("campaigns.hand_over")
def hand_over(tenant_id: int, campaign_id: int) -> None:
    """Hand over what outside systems pull of a campaign that waited after its processing; a unit may fail alone."""
    for place in _pulled(tenant_id, campaign_id):
        unit = (place[0], place[1], place[2], place[3])
        try:
            _prepare(*unit)
        except FAULTS as fault:
            if _begin(*unit):
                _finish(*unit, _given_up(unit, fault))
    _tell(tenant_id, campaign_id)


def _send_all(unit: tuple[int, int, int, int]) -> None:
    low = ""
    for number, high in enumerate(_plan_batches(*unit), start=1):
        if not _send(*unit, number, low, high):
            return
        low = high
    number = 0
    for attempt, delay in enumerate(_delays(*unit), start=1):
        if _waiting(*unit):
            work.sleep(delay)
        while _retry(*unit, number + 1, attempt):
            number += 1


@work.step("campaigns.waiting", ATTEMPTS)
def _waiting(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> int:
    return sending.waiting(*_unit(tenant_id, campaign_id, channel_id, group))


def _due(scope: Scope) -> list[list[int]]:
    """Units that are due by the clock, as arguments of send_unit; waits for approval that are over are ended."""
    for campaign_id in clearing.due_clearances(scope):
        try:
            clearing.clear(scope, campaign_id)
        except FAULTS:  # tried again at the next round; nothing else waits for it
            log.exception("clearance failed", tenant_id=scope.tenant_id, campaign_id=campaign_id)
    return [[scope.tenant_id, row.campaign_id, row.channel_id, row.recipient_group_id] for row in sending.due(scope)]


def _sends(units: list[list[int]]) -> dict[str, work.Work]:
    """The sending of units, by the keys of the work: whoever finds a unit due, it is carried out once."""
    return {SENDS + ":".join(map(str, unit)): (send_unit, *unit) for unit in units}


def _works_due(scope: Scope) -> dict[str, work.Work]:
    """What is due by the clock, lists for vendors first, by the keys of the work."""
    units = _due(scope)  # ends clearances, after which there is more to hand over
    lists = [(scope.tenant_id, campaign_id) for campaign_id in handing_over.waiting(scope)]
    return {f"hand over:{one[0]}:{one[1]}": (hand_over, *one) for one in lists} | _sends(units)


def _queue(works: dict[str, work.Work]) -> list[str]:
    """Queue works, whose first argument is their tenant."""
    return [work.enqueue_of_tenant(work.SENDS, args[0], key, act, *args) for key, (act, *args) in works.items()]


def dispatch(scope: Scope) -> list[str]:
    """Queue what is due, lists for vendors too; the keys of the work. Any number of callers is as good as one."""
    return _queue(_works_due(scope))


def execute_due(scope: Scope) -> int:
    """Send what is due and wait until it is sent; how many units that were. For backfills, demos and tests."""
    works = _works_due(scope)
    work.run_all(works)
    return sum(key.startswith(SENDS) for key in works)


@work.step("campaigns.groups", ATTEMPTS)
def _groups(tenant_id: int, campaign_id: int) -> list[int]:
    return processing.groups_needed(current_scope(tenant_id), campaign_id)


@work.step("campaigns.members", ATTEMPTS)
def _members(tenant_id: int, group_id: int, data_date: str) -> int:
    return audiences.compute_members(current_scope(tenant_id), group_id, date.fromisoformat(data_date))


@work.step("campaigns.process", ATTEMPTS)
def _process(tenant_id: int, campaign_id: int, data_date: str) -> str:
    """Process a run; what outside systems pull of it is handed over before the next one, and before event 2."""
    scope = current_scope(tenant_id)
    state = processing.process(scope, campaign_id, date.fromisoformat(data_date))
    if state == SCHEDULED:
        handing_over.hand_over(scope, campaign_id)
    return state


@work.step("campaigns.fail", ATTEMPTS)
def _fail(tenant_id: int, campaign_id: int, reason: str) -> None:
    processing.fail(current_scope(tenant_id), campaign_id, reason)


@work.step("campaigns.due", ATTEMPTS)
def _due_now(tenant_id: int) -> list[list[int]]:
    return _due(current_scope(tenant_id))


def _dispatch(tenant_id: int) -> None:
    """Dispatch from within a workflow: only the workflow itself, never a step of it, may queue other work."""
    _queue(_sends(_due_now(tenant_id)))


def _run(tenant_id: int, campaign_id: int, data_date: str, known: dict[int, str]) -> None:
    """Process one run; a fault fails it and no other. known: groups already computed, with what went wrong."""
    try:
        for group_id in _groups(tenant_id, campaign_id):
            if group_id not in known:
                known[group_id] = _compute(tenant_id, group_id, data_date)
            if known[group_id]:
                _fail(tenant_id, campaign_id, known[group_id])
                return
        _process(tenant_id, campaign_id, data_date)
    except FAULTS as fault:
        log.exception("run failed", tenant_id=tenant_id, campaign_id=campaign_id)
        _fail(tenant_id, campaign_id, sentence(fault))


def _compute(tenant_id: int, group_id: int, data_date: str) -> str:
    """Compute a target group once for all runs of the day; why that failed, or nothing."""
    try:
        _members(tenant_id, group_id, data_date)
    except FAULTS as fault:
        log.exception("target group failed", tenant_id=tenant_id, target_group_id=group_id)
        return f"Target group {group_id}: {sentence(fault)}"
    return ""


@work.workflow("campaigns.run_campaign")
def run_campaign(tenant_id: int, campaign_id: int, data_date: str) -> None:
    """Process a run by hand and send what of it is due."""
    _run(tenant_id, campaign_id, data_date, {})
    _dispatch(tenant_id)


@work.step("cycle.load_checks")
def _check_loads(tenant_id: int, data_date: str) -> str:
    """Why the day must not be computed; empty when its loads are good."""
    try:
        customers.check_loads(current_scope(tenant_id), date.fromisoformat(data_date))
    except customers.LoadCheckFailed as fault:
        return fault.message
    return ""


@work.step("cycle.model", ATTEMPTS)
def _model(tenant_id: int, data_date: str, name: str) -> None:
    dict(insight.MODEL_STEPS)[name](current_scope(tenant_id), date.fromisoformat(data_date))


@work.step("cycle.publish", ATTEMPTS)
def _publish(tenant_id: int, data_date: str) -> None:
    insight.publish(current_scope(tenant_id), date.fromisoformat(data_date))


@work.step("cycle.plan", ATTEMPTS)
def _plan(tenant_id: int, data_date: str) -> list[int]:
    scope = current_scope(tenant_id)
    messaging.keep_again(scope)
    ids = plan_day(scope, cycles.execution_date(date.fromisoformat(data_date)))
    for campaign_id in ids:
        processing.reopen(scope, campaign_id)
    return ids


@work.step("cycle.trigger_groups", ATTEMPTS)
def _trigger_groups(tenant_id: int, data_date: str) -> None:
    """Compute the target groups that triggers ask about; the fault of one is logged, its members stay as they were."""
    scope = current_scope(tenant_id)
    for group_id in groups_of_triggers(scope):
        try:
            audiences.compute_members(scope, group_id, date.fromisoformat(data_date))
        except FAULTS:
            log.exception("target group of a trigger failed", tenant_id=tenant_id, target_group_id=group_id)


@work.step("cycle.announce", ATTEMPTS)
def _announce(tenant_id: int, data_date: str, event_type_id: int) -> None:
    """Events 2 and 3, once a day whatever is run again."""
    scope = current_scope(tenant_id)
    with scope.records() as session:
        notifications.notify(scope, session, event_type_id, {}, f"{event_type_id}:{data_date}")


@work.step("cycle.note", ATTEMPTS)
def _note(tenant_id: int, data_date: str, run: int, name: str, seconds: float) -> None:
    cycles.note(current_scope(tenant_id), date.fromisoformat(data_date), run, name, seconds)


@work.step("cycle.end", ATTEMPTS)
def _end(tenant_id: int, data_date: str, run: int, error: str) -> None:
    scope = current_scope(tenant_id)
    engagements.drop_old(scope)
    cycles.end(scope, date.fromisoformat(data_date), run, error)


@work.workflow("campaigns.daily_cycle")
def daily_cycle(tenant_id: int, data_date: str, run: int = 0) -> None:
    """The whole day of a tenant for a data date: model, target groups, campaigns, events, sends.

    A failed load check or model stops the day: its campaigns are not processed, the cycle's state
    and the log say why.
    """

    def timed(name: str, step: Callable[[], object]) -> object:
        began = time.monotonic()
        result = step()
        _note(tenant_id, data_date, run, name, round(time.monotonic() - began, 3))
        return result

    try:
        _day(tenant_id, data_date, timed)
    except FAULTS as fault:
        log.exception("cycle failed", tenant_id=tenant_id, data_date=data_date)
        _end(tenant_id, data_date, run, sentence(fault))
        return
    _end(tenant_id, data_date, run, "")


def _day(tenant_id: int, data_date: str, timed: Callable[[str, Callable[[], object]], object]) -> None:
    if problem := timed("load checks", partial(_check_loads, tenant_id, data_date)):
        raise Conflict(str(problem))
    for name, _ in insight.MODEL_STEPS:
        timed(name, partial(_model, tenant_id, data_date, name))
    timed("publish", partial(_publish, tenant_id, data_date))
    known: dict[int, str] = {}
    for campaign_id in _plan(tenant_id, data_date):
        timed(f"campaign {campaign_id}", partial(_run, tenant_id, campaign_id, data_date, known))
    timed("target groups of triggers", partial(_trigger_groups, tenant_id, data_date))
    for event_type_id in (2, 3):
        _announce(tenant_id, data_date, event_type_id)
    _dispatch(tenant_id)


def start_cycle(scope: Scope, data_date: date, again: bool = True) -> str:
    """Begin the cycle of a data date, or find the one that is under way; its key.

    A finished date is computed again, unless again is false: then its last run is found.
    """
    run = cycles.begin(scope, data_date, again)
    key = cycles.key(scope, data_date, run)
    if not work.exists(key):
        work.enqueue("cycles", key, daily_cycle, scope.tenant_id, data_date.isoformat(), run)
    return key


def run_cycle(scope: Scope, data_date: date) -> CycleResult:
    """Run the cycle of a data date and wait for it. Raises RapportError when it failed.

    A date that was finished before is computed again; campaigns already processed are kept.
    """
    run = cycles.begin(scope, data_date)
    work.run(cycles.key(scope, data_date, run), daily_cycle, scope.tenant_id, data_date.isoformat(), run)
    result = cycles.result(scope, data_date, run)
    if result.error:
        raise RapportError(result.error)
    return result
