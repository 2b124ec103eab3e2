"""The scheduler: starts what is due, whatever number of processes run one.

It starts the cycle of every tenant at its data readiness time, hands due sends to the channels, and raises an alarm
when something due has not begun. One thread looks at the agenda of all tenants and sleeps until something of it is
due, or a change wakes it; what is due is carried out by others, so that a slow tenant holds up none.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import psycopg
import structlog

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.cycle import cycles, daily, tasks
from rapport.campaigns.cycle.agenda import ALARM, CYCLE, DAY, SENDS, Agenda, agendas, ready_at
from rapport.campaigns.delivery.due_units import between_rounds, not_begun
from rapport.campaigns.delivery.lateness import late_by
from rapport.campaigns.runs.clearance_deadline import due_clearances
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import CycleState
from rapport.stores import Stores
from rapport.stores.holds import is_held
from rapport.stores.workers.listening import Topic
from rapport.stores.workers.rounds import RoundWorker

log = structlog.get_logger("rapport.scheduler")

# The longest sleep: what changed without a word (settings, the machine's clock) is seen after it.
LONGEST_SLEEP = 30.0
# Between two looks while something is being begun, after which more may be due; and while what goes out is held.
BUSY_SECONDS, HELD_SECONDS = 1.0, 3.0
THREADS = 8
# What was begun and is still due is looked at again after so long: a worker may have it, or none is there.
AGAIN_SECONDS, CYCLE_AGAIN_SECONDS, ALARM_SECONDS = 5.0, 60.0, 60.0
# A day without data is looked at again when a file was loaded; and after so long, should data come otherwise.
NO_DATA_SECONDS = 600.0
ALARM_AGAIN_SECONDS = 15 * 60.0

HAS_DATA = """
    SELECT (SELECT count() FROM customers LIMIT 1) > 0
        AND (
            SELECT count() FROM transactions
            WHERE transaction_time >= {begin:DateTime('UTC')} AND transaction_time < {end:DateTime('UTC')}
        ) > 0
"""
# What is carried out of which tenant.
Key = tuple[int, str]


def due_cycle(scope: Scope) -> date | None:
    """The data date whose cycle should begin now: yesterday, once its data are to be complete and it has data.

    One that is running is named too: it may have been noted but not handed to a worker before a kill.
    """
    data_date = scope.today() - DAY
    state = cycles.state_of(scope, data_date)
    if state == CycleState.RUNNING:
        return data_date
    if state or scope.clock.now() < ready_at(scope, data_date):
        return None
    begin = datetime(data_date.year, data_date.month, data_date.day)
    return data_date if scope.warehouse.value(HAS_DATA, begin=begin, end=begin + DAY) else None


def begin_cycle(scope: Scope) -> float:
    """Begin a tenant's cycle if it has data; in how many seconds to look again. Any number of callers begin one."""
    data_date = due_cycle(scope)
    if data_date is None:
        return NO_DATA_SECONDS
    daily.start_cycle(scope, data_date, again=False)
    return CYCLE_AGAIN_SECONDS


def overdue(scope: Scope) -> list[str]:
    """What is due for too long and has not begun, one sentence each."""
    now, patience = scope.clock.now(), timedelta(minutes=tenant_settings(scope, CampaignSettings).late_minutes)
    data_date = scope.today() - DAY
    sentences = []
    lives = scope.data_date() is not None  # a tenant that never had a cycle is still being set up
    if lives and now >= ready_at(scope, data_date) + patience and not cycles.state_of(scope, data_date):
        sentences.append(f"The daily cycle of {data_date} has not begun.")
    with scope.reads() as session:
        rows = session.execute(not_begun(scope.tenant_id)).all()
        resting = session.execute(between_rounds(scope.tenant_id)).all()
    for row, campaign in rows:
        if campaign.paused_at is None and late_by(scope, campaign, row) >= patience:
            sentences.append(f"Campaign {row.campaign_id} on channel {row.channel_id} has not begun to be sent.")
    for row, campaign in resting:
        if campaign.paused_at is None and row.waits_until and row.waits_until <= now - patience:
            sentences.append(f"Campaign {row.campaign_id} on channel {row.channel_id} has not continued to be sent.")
    undecided = due_clearances(scope, since=now - patience)
    return [*sentences, *(f"Campaign {number} waits for the decision on its clearance." for number in undecided)]


class Alarms:
    """What a process has told of what is overdue, and when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at: dict[int, dict[str, float]] = defaultdict(dict)

    def tell(self, scope: Scope) -> float:
        """Log what is overdue, each at most every quarter of an hour; in how many seconds to look again."""
        now, before = self._clock(), self._logged_at[scope.tenant_id]
        logged_at = {sentence: before.get(sentence, float("-inf")) for sentence in overdue(scope)}
        for sentence, last in logged_at.items():
            if now - last >= ALARM_AGAIN_SECONDS:
                logged_at[sentence] = now
                log.error("overdue", tenant_id=scope.tenant_id, what=sentence)
        self._logged_at[scope.tenant_id] = logged_at
        return ALARM_SECONDS


class Scheduler(RoundWorker):
    """The threads of one process."""

    name = "scheduler"
    topics = (Topic.SCHEDULE,)
    gathers = 0.2

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores
        self._acts: dict[str, Callable[[Scope], float]] = {CYCLE: begin_cycle, SENDS: send, ALARM: Alarms().tell}
        self._threads = ThreadPoolExecutor(THREADS, "scheduling")
        self._lock = threading.Lock()
        self._busy: set[Key] = set()
        self._again: set[Key] = set()  # of those that are busy
        # What was begun and is due by the same instant as then is left alone until a time of the monotonic clock.
        self._rests: dict[Key, tuple[datetime, float]] = {}

    def dispose(self) -> None:
        """End the threads, after what is being begun."""
        self._threads.shutdown()

    def begun(self) -> None:
        """Leave nobody alone any more: nobody knows what was told meanwhile."""
        with self._lock:
            self._rests.clear()

    def round(self, words: Sequence[psycopg.Notify]) -> float:
        """Look at those whom words tell of, whatever was found before, and at all whose time has come."""
        if words:
            self._look_again({int(word.payload) for word in words})
        return self.look()

    def look(self) -> float:
        """Begin what is due of every tenant; for how many seconds nothing more will be, unless a change tells."""
        if is_held(self._stores):
            return HELD_SECONDS
        now = self._stores.clock.now()
        pause = LONGEST_SLEEP
        for agenda in agendas(self._stores):
            for act, at in agenda.due.items():
                wait = max((at - now).total_seconds(), self._rest((agenda.scope.tenant_id, act), at))
                if wait <= 0:
                    self._begin(agenda, act)
                else:
                    pause = min(pause, wait)
        with self._lock:
            return min(pause, BUSY_SECONDS) if self._busy else pause

    def _rest(self, key: Key, at: datetime) -> float:
        """For how many seconds an act that is due by an instant is to be left alone."""
        with self._lock:
            due, until = self._rests.get(key, (None, 0.0))
            return until - time.monotonic() if due == at else 0.0

    def _begin(self, agenda: Agenda, act: str) -> None:
        key = (agenda.scope.tenant_id, act)
        with self._lock:
            if key in self._busy or self.stopping:
                return
            self._busy.add(key)
        self._threads.submit(self._carry_out, agenda.scope, key, agenda.due[act])

    def _carry_out(self, scope: Scope, key: Key, at: datetime) -> None:
        """One act of a tenant; its fault is logged and holds up no other."""
        pause = AGAIN_SECONDS
        try:
            pause = self._acts[key[1]](scope)
        except Exception:
            log.exception("scheduler round failed", tenant_id=scope.tenant_id, act=key[1])
        with self._lock:
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
            else:
                self._rests[key] = at, time.monotonic() + pause

    def _look_again(self, tenants: set[int]) -> None:
        with self._lock:
            self._again |= {key for key in self._busy if key[0] in tenants}
            self._rests = {key: rest for key, rest in self._rests.items() if key[0] not in tenants}


def send(scope: Scope) -> float:
    """Hand what is due of a tenant to the workers; in how many seconds to look again."""
    tasks.dispatch(scope)
    return AGAIN_SECONDS
