"""The scheduler: one thread that starts what is due, whatever number of processes run one.

It starts the cycle of every tenant at its data readiness time, hands due sends to the channels,
and raises an alarm when something due has not begun.
"""

import threading
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlalchemy import select

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import cycles, tasks
from rapport.campaigns.clearing import due_clearances
from rapport.campaigns.models import EXECUTING, SCHEDULED, Occurrence, OccurrenceChannel
from rapport.campaigns.settings import settings_of
from rapport.stores import Stores

log = structlog.get_logger("rapport.scheduler")

TICK_SECONDS = 1.0
DAY = timedelta(days=1)
ALARM_AGAIN = timedelta(minutes=15)

HAS_DATA = """
    SELECT (SELECT count() FROM customers LIMIT 1) > 0
        AND (
            SELECT count() FROM transactions
            WHERE transaction_time >= {begin:DateTime('UTC')} AND transaction_time < {end:DateTime('UTC')}
        ) > 0
"""


def due_cycle(scope: Scope) -> date | None:
    """The data date whose cycle should begin now: yesterday, once its data are to be complete and it has data.

    One that is running is named too: it may have been noted but not handed to a worker before a kill.
    """
    data_date = scope.today() - DAY
    state = cycles.state_of(scope, data_date)
    if state == cycles.RUNNING:
        return data_date
    if state or scope.clock.now() < ready_at(scope, data_date):
        return None
    begin = datetime.combine(data_date, time())
    return data_date if scope.warehouse.value(HAS_DATA, begin=begin, end=begin + DAY) else None


def ready_at(scope: Scope, data_date: date) -> datetime:
    """The instant at which a date's data are to be complete: the readiness time (UTC) after the date's end."""
    clock_time = time.fromisoformat(settings_of(scope).data_ready_time)
    end = scope.instant(datetime.combine(data_date + DAY, time()))
    found = datetime.combine(end.date(), clock_time, UTC)
    return found if found >= end else found + DAY


def tick(scope: Scope) -> None:
    """Start what is due for a tenant. Any number of schedulers at once start each thing once."""
    data_date = due_cycle(scope)
    if data_date is not None:
        tasks.start_cycle(scope, data_date, again=False)
    tasks.dispatch(scope)


def overdue(scope: Scope) -> list[str]:
    """What is due for too long and has not begun, one sentence each."""
    now, patience = scope.clock.now(), timedelta(minutes=settings_of(scope).late_minutes)
    data_date = scope.today() - DAY
    found = []
    lives = scope.data_date() is not None  # a tenant that never had a cycle is still being set up
    if lives and now >= ready_at(scope, data_date) + patience and not cycles.state_of(scope, data_date):
        found.append(f"The daily cycle of {data_date} has not begun.")
    for row in _unsent(scope, due=now - patience):
        found.append(f"Campaign {row.campaign_id} on channel {row.channel_id} has not begun to be sent.")
    undecided = due_clearances(scope, since=now - patience)
    return [*found, *(f"Campaign {number} waits for the decision on its clearance." for number in undecided)]


def _unsent(scope: Scope, due: datetime) -> list[OccurrenceChannel]:
    """What could be sent since an instant or longer and was not begun: not before its run was processed and cleared."""
    wanted = select(OccurrenceChannel, Occurrence).join(
        Occurrence,
        (Occurrence.tenant_id == OccurrenceChannel.tenant_id) & (Occurrence.id == OccurrenceChannel.campaign_id),
    )
    wanted = wanted.where(OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.state == SCHEDULED)
    with scope.records() as session:
        rows = session.execute(wanted.where(Occurrence.state.in_([SCHEDULED, EXECUTING]))).all()
    found = []
    for row, campaign in rows:
        times = (scope.instant(row.scheduled_time), campaign.processed_at, campaign.cleared_at)
        if max(at for at in times if at is not None) <= due:
            found.append(row)
    return found


class Scheduler:
    """The thread of one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._stopping = threading.Event()
        self._alarms: dict[str, datetime] = {}
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the round under way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            for tenant_id in self._tenants():
                self._round(tenant_id)

    def _tenants(self) -> list[int]:
        try:
            with self._stores.records.session() as session:
                return list(session.scalars(select(Tenant.id).order_by(Tenant.id)))
        except tasks.FAULTS:
            log.exception("tenants cannot be read")
            return []

    def _round(self, tenant_id: int) -> None:
        """One tenant; its fault is logged and holds up no other."""
        try:
            scope = scope_of(self._stores, tenant_id)
            tick(scope)
            self.alarm(scope)
        except tasks.FAULTS:
            log.exception("scheduler round failed", tenant_id=tenant_id)

    def alarm(self, scope: Scope) -> None:
        """Log what is overdue, each at most every quarter of an hour."""
        now = scope.clock.now()
        for sentence in overdue(scope):
            last = self._alarms.get(f"{scope.tenant_id} {sentence}")
            if last is None or now - last >= ALARM_AGAIN:
                self._alarms[f"{scope.tenant_id} {sentence}"] = now
                log.error("overdue", tenant_id=scope.tenant_id, what=sentence)


_running: Scheduler | None = None


def start_scheduler(stores: Stores) -> None:
    """Run the scheduler in this process."""
    global _running
    if _running is None:
        _running = Scheduler(stores)
        _running.start()


def stop() -> None:
    """Stop the scheduler of this process."""
    global _running
    if _running is not None:
        _running.stop()
        _running = None
