"""Durable work: workflows and queues that survive a kill, on the records database (DBOS).

A step is a batch (hundreds of rows), never one message; it may run again after a kill, so it
must come to the same result when it does. Paths under a second do not go through queues.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import structlog
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from dbos._dbos import _get_dbos_instance
from dbos._error import DBOSMaxStepRetriesExceeded as StepFailed
from dbos._utils import INTERNAL_QUEUE_NAME
from prometheus_client import Gauge
from sqlalchemy import Engine, make_url, text

from rapport.errors import RapportError
from rapport.stores.opened import OpenStores
from rapport.stores.outages import outage
from rapport.stores.records import Records, connecting
from rapport.stores.workflows.queue_looks import WaitingQueues, spare

__all__ = [
    "Queue",
    "StepFailed",
    "beside",
    "connections_in_use",
    "enqueue",
    "exists",
    "forget_results",
    "measure",
    "run",
    "run_all",
    "sleep",
    "start",
    "step",
    "stop",
    "wait",
    "waiting",
    "workflow",
]

# Only what has ended: work under way reads its steps' results when it is resumed.
FORGET_RESULTS = text("""
    DELETE FROM dbos.operation_outputs USING dbos.workflow_status AS ended
    WHERE operation_outputs.workflow_uuid = ended.workflow_uuid AND starts_with(ended.workflow_uuid, :prefix)
      AND ended.status IN ('SUCCESS', 'ERROR')
""")

# Pauses of a step that waits for an engine, in seconds, each twice the one before.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Each queue is looked at by a thread of its own, several at a time: with fewer, connections were opened all the time.
IDLE_CONNECTIONS = 6
FREE_SECONDS = 30.0

log = structlog.get_logger("rapport.work")
STATES = {"ENQUEUED": "waiting", "PENDING": "under way"}
WORKS = Gauge("rapport_work", "Unfinished durable work of all processes", ["state"])
OLDEST = Gauge("rapport_work_oldest_seconds", "Age of the oldest unfinished durable work", ["state"])
OPEN_WORK = text("""
    SELECT status, count(*), coalesce(extract(epoch FROM now()) - min(created_at) / 1000.0, 0)
    FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING') GROUP BY status
""")
P = ParamSpec("P")
R = TypeVar("R")
# A workflow and its arguments.
Work = tuple[Callable[..., Any], *tuple[Any, ...]]

# Work begun under another version is not resumed, so this changes only when running
# workflows can no longer be carried on by the new code.
WORK_VERSION = "rapport-1"


class Queue(StrEnum):
    """Queues, by the names that later versions keep."""

    CYCLES = "cycles of tenants"
    CAMPAIGNS = "campaigns of tenants"
    SENDS = "sends of tenants"
    JOBS = "jobs of tenants"
    ERASURES = "erasures of tenants"


# How much of a queue runs in a process: of all tenants, and of one, so that no tenant takes every place; and the
# seconds between two looks of its thread, most of which find out from those of others that nothing waits.
PLACES: dict[Queue, tuple[int, int, float]] = {
    Queue.CYCLES: (2, 1, 0.6),
    Queue.CAMPAIGNS: (8, 2, 0.1),
    Queue.SENDS: (64, 8, 0.1),
    Queue.JOBS: (4, 1, 0.1),
    Queue.ERASURES: (8, 2, 0.6),
}
# Queues without shares, on which nothing is put any more: they may hold what an earlier release queued.
EARLIER_QUEUES = {"cycles": 2, "campaigns": 4, "sends": 8, "jobs": 4, "erasures": 4}
# Seconds until work is found on those, and until the end of any work is seen by whoever waits for it.
EARLIER_POLL_SECONDS, WAIT_SECONDS = 5.0, 0.1
# Seconds between two looks for events to tell of, by default a hundredth of one: no workflow has any.
NOTICE_SECONDS = 0.25
# Workflows that run_all() carries out at once.
AT_ONCE = 4

_engine: Engine | None = None
_waiting_queues: WaitingQueues | None = None


def workflow(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a durable workflow under a name that later versions keep. Arguments must be JSON-like."""
    return DBOS.workflow(name=name)


class Stopped(BaseException):
    """The process ends while a step waits: nothing is noted of the step, which the next start carries out again."""


class Later(Exception):
    """What a step is about has to wait for its time: the step is called again until it has come."""


class _OutageWait:
    """How long steps of this process wait for an engine, and the end of waiting when the process stops."""

    def __init__(self) -> None:
        self.seconds = 24 * 3600.0
        self.stopping = threading.Event()

    def now(self) -> float:
        """Seconds of a clock that is never set back."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait; whether the process stops."""
        return self.stopping.wait(seconds)


_patience = _OutageWait()


def step(name: str, attempts: int = 1, *, bounded: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a step: its result is kept once it ends, and a kill before that runs it again.

    While an engine is away it waits with growing pauses and then runs again, for hours: what is not bounded (notes of
    how work ended) for as long as it takes. Before its time (Later) it runs again every minute. With attempts any other
    fault is tried again after a pause and ends as StepFailed; errors of the domain are raised at once as they are,
    since they would only repeat.
    """
    declare = DBOS.step(
        name=name,
        retries_allowed=attempts > 1,
        max_attempts=attempts,
        should_retry=lambda error: not isinstance(error, RapportError),
    )
    return lambda function: declare(waiting(function, name, bounded=bounded))


def waiting(function: Callable[P, R], name: str, *, bounded: bool = True) -> Callable[P, R]:
    """A function that is called again for as long as an engine that it needs is away, or its time has not come.

    Raises Away in the end.

    It need not be a step, but must be safe to repeat as steps are. name is for the log, bounded as of step().
    """

    @wraps(function)
    def until_done(*args: P.args, **kwargs: P.kwargs) -> R:
        began, pause = _patience.now(), FIRST_PAUSE
        while True:
            try:
                return function(*args, **kwargs)
            except Later:
                if _patience.wait(LONGEST_PAUSE):
                    raise Stopped from None
                began, pause = _patience.now(), FIRST_PAUSE
                continue
            except Exception as error:
                away = outage(error)
                if away is None:
                    raise
                if _patience.stopping.is_set():
                    raise Stopped from error
                if bounded and _patience.now() - began + pause > _patience.seconds:
                    raise away from error
                log.warning("work waits", step=name, reason=away.message, seconds=round(pause, 1))
            if _patience.wait(pause):
                raise Stopped
            pause = min(2 * pause, LONGEST_PAUSE)

    return until_done


def start(
    records_url: str,
    process: str = "rapport",
    connections: int = 20,
    hours: float = 24.0,
    *,
    listening: bool = True,
    hurried: bool = False,
) -> None:
    """Launch the engine of durable work; what an earlier run of this process left under way is resumed at once.

    process names the process, the same after a restart and no two at a time. Without listening it
    only puts work on queues, for others to carry out. connections: at most so many to the records of its own;
    hours: how long a step waits for an engine that is away. hurried: no commit waits for the disk.
    """
    _patience.seconds = hours * 3600
    _patience.stopping.clear()
    dbos_log = logging.getLogger("dbos")
    dbos_log.setLevel(logging.WARNING)
    global _engine
    _engine = connecting.engine(make_url(records_url), connections, IDLE_CONNECTIONS, FREE_SECONDS, hurried=hurried)
    config = DBOSConfig(
        name="rapport",
        system_database_engine=_engine,
        application_version=WORK_VERSION,
        executor_id=process,
        log_level="WARNING",
        notification_coalesce_sec=NOTICE_SECONDS,
    )
    DBOS(config=config)
    if not listening:
        DBOS.listen_queues([])
    DBOS.launch()
    for queue, (places, share, seconds) in PLACES.items():
        DBOS.register_queue(
            queue.value,
            worker_concurrency=places,
            partition_worker_concurrency=share,
            polling_interval_sec=seconds,
        )
    for name, places in EARLIER_QUEUES.items():
        DBOS.register_queue(name, worker_concurrency=places, polling_interval_sec=EARLIER_POLL_SECONDS)
    global _waiting_queues
    _waiting_queues = spare(_get_dbos_instance()._sys_db, _engine, [*PLACES, *EARLIER_QUEUES, INTERNAL_QUEUE_NAME])


def stop() -> None:
    """Stop taking work; what runs is resumed at the next start."""
    global _waiting_queues
    _waiting_queues = None
    _patience.stopping.set()
    DBOS.destroy()
    if _engine is not None:
        _engine.dispose()


def enqueue(queue: Queue, key: str, function: Callable[..., Any], tenant_id: int, *arguments: Any) -> str:
    """Put a workflow on a queue under a key, in its tenant's share of the places; the tenant is its first argument.

    A key that was used before names the same work: nothing is repeated.
    """
    with SetWorkflowID(key), SetEnqueueOptions(queue_partition_key=str(tenant_id)):
        workflow_id = DBOS.enqueue_workflow(queue.value, function, tenant_id, *arguments).workflow_id
    if _waiting_queues is not None:
        _waiting_queues.put(queue.value)
    return workflow_id


def run(key: str, function: Callable[..., R], *arguments: Any) -> R:
    """Run a workflow under a key and wait for its result; a key used before gives the first run's result."""
    with SetWorkflowID(key):
        return DBOS.start_workflow(function, *arguments).get_result(polling_interval_sec=WAIT_SECONDS)


def beside(function: Callable[..., R], *arguments: Any) -> Callable[[], R]:
    """Start a workflow from within another one; what is given back waits for it and raises what it raised."""
    handle = DBOS.start_workflow(function, *arguments)
    return lambda: handle.get_result(polling_interval_sec=WAIT_SECONDS)


def run_all(works: Mapping[str, Work]) -> None:
    """Run workflows by key in this process, some at once, and wait for all of them; raises what the first raised.

    Nobody has to find them on a queue first. Work under a key that is queued or under way elsewhere is waited for.
    """
    threads = ThreadPoolExecutor(AT_ONCE, "runs")
    try:
        runs = [threads.submit(_run_once, key, work) for key, work in works.items()]
        futures.wait(runs)
    finally:  # an interrupted caller does not wait for what still runs
        threads.shutdown(wait=False, cancel_futures=True)
    for run_ended in runs:
        run_ended.result()


def _run_once(key: str, work: Work) -> None:
    function, *arguments = work
    if exists(key):  # begun again, queued work would be told of in a warning
        wait(key)
    else:
        run(key, function, *arguments)


def wait(key: str) -> Any:
    """The result of a workflow by key, waiting until it ends; raises what it raised."""
    return DBOS.retrieve_workflow(key).get_result(polling_interval_sec=WAIT_SECONDS)


def sleep(seconds: float) -> None:
    """Wait inside a workflow; after a kill only the rest of the time is waited."""
    DBOS.sleep(seconds)


def exists(key: str) -> bool:
    """Whether work was ever begun or queued under a key."""
    return DBOS.get_workflow_status(key) is not None


def connections_in_use() -> int:
    """How many connections to the records durable work has in this process now."""
    return connecting.in_use(_engine) if _engine is not None else 0


def measure(stores: OpenStores) -> None:
    """Tell the metrics how much durable work waits or is under way, and since when the oldest of it was begun."""
    with stores.records.reading() as connection:
        by_state = {state: (count, age) for state, count, age in connection.execute(OPEN_WORK)}
    for state in ("ENQUEUED", "PENDING"):
        count, age = by_state.get(state, (0, 0.0))
        WORKS.labels(STATES[state]).set(count)
        OLDEST.labels(STATES[state]).set(age)


def forget_results(records: Records, prefix: str) -> None:
    """Drop what the steps of ended work returned, by the beginning of its key; that it was done stays known."""
    with records.session() as session:
        session.execute(FORGET_RESULTS, {"prefix": prefix})
