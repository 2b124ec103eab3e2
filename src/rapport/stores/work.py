"""Durable work: workflows and queues that survive a kill, on the records database (DBOS).

A step is a batch (hundreds of rows), never one message; it may run again after a kill, so it
must come to the same result when it does. Paths under a second do not go through queues.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID
from dbos._error import DBOSMaxStepRetriesExceeded as StepFailed
from sqlalchemy import text

from rapport.errors import RapportError, Unavailable
from rapport.stores.records import Records

__all__ = [
    "SENDS",
    "StepFailed",
    "enqueue",
    "enqueue_of_tenant",
    "exists",
    "forget_results",
    "run",
    "run_all",
    "sleep",
    "start",
    "step",
    "stop",
    "wait",
    "workflow",
]

# Only what has ended: work under way reads its steps' results when it is resumed.
FORGET_RESULTS = text("""
    DELETE FROM dbos.operation_outputs USING dbos.workflow_status AS ended
    WHERE operation_outputs.workflow_uuid = ended.workflow_uuid AND starts_with(ended.workflow_uuid, :prefix)
      AND ended.status IN ('SUCCESS', 'ERROR')
""")

P = ParamSpec("P")
R = TypeVar("R")
# A workflow and its arguments.
Work = tuple[Callable[..., Any], *tuple[Any, ...]]

# Work begun under another version is not resumed, so this changes only when running
# workflows can no longer be carried on by the new code.
WORK_VERSION = "rapport-1"
QUEUES: dict[str, int] = {"cycles": 2, "campaigns": 4, "sends": 8, "jobs": 4, "erasures": 4}
# What waits for far ends of a tenant: how much of it runs in a process, and of one tenant. A far end that does not
# answer holds up its tenant only. (Sends that an earlier release queued are in a queue of all tenants.)
SENDS = "sends of tenants"
SHARED_QUEUES: dict[str, tuple[int, int]] = {SENDS: (64, 8)}
# Seconds until work is found on a queue, and until its end is seen by whoever waits for it.
POLL_SECONDS, WAIT_SECONDS = 0.5, 0.1
# Workflows that run_all() carries out at once.
AT_ONCE = 4


def workflow(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a durable workflow under a name that later versions keep. Arguments must be JSON-like."""
    return DBOS.workflow(name=name)


def step(name: str, attempts: int = 1) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a step: its result is kept once it ends, and a kill before that runs it again.

    With attempts a fault is tried again after a pause and ends as StepFailed; errors of the domain
    are raised at once as they are, since they would only repeat.
    """
    return DBOS.step(
        name=name,
        retries_allowed=attempts > 1,
        max_attempts=attempts,
        should_retry=lambda error: not isinstance(error, RapportError) or isinstance(error, Unavailable),
    )


def start(records_url: str, process: str = "rapport", listening: bool = True) -> None:
    """Launch the engine of durable work; what an earlier run of this process left under way is resumed at once.

    process names the process, the same after a restart and no two at a time. Without listening it
    only puts work on queues, for others to carry out.
    """
    logging.getLogger("dbos").setLevel(logging.WARNING)
    config = DBOSConfig(
        name="rapport",
        system_database_url=records_url,
        application_version=WORK_VERSION,
        executor_id=process,
        log_level="WARNING",
    )
    DBOS(config=config)
    if not listening:
        DBOS.listen_queues([])
    DBOS.launch()
    for name, concurrency in QUEUES.items():
        DBOS.register_queue(name, worker_concurrency=concurrency, polling_interval_sec=POLL_SECONDS)
    for name, (concurrency, share) in SHARED_QUEUES.items():
        DBOS.register_queue(
            name,
            worker_concurrency=concurrency,
            partition_worker_concurrency=share,
            polling_interval_sec=POLL_SECONDS,
        )


def stop() -> None:
    """Stop taking work; what runs is resumed at the next start."""
    DBOS.destroy()


def enqueue(queue: str, key: str, function: Callable[..., Any], *arguments: Any) -> str:
    """Put a workflow on a queue under a key. A key that was used before names the same work: nothing is repeated."""
    with SetWorkflowID(key):
        return DBOS.enqueue_workflow(queue, function, *arguments).workflow_id


def enqueue_of_tenant(queue: str, tenant_id: int, key: str, function: Callable[..., Any], *arguments: Any) -> str:
    """The same on one of SHARED_QUEUES, in the tenant's share of it."""
    with SetEnqueueOptions(queue_partition_key=str(tenant_id)):
        return enqueue(queue, key, function, *arguments)


def run(key: str, function: Callable[..., R], *arguments: Any) -> R:
    """Run a workflow under a key and wait for its result; a key used before gives the first run's result."""
    with SetWorkflowID(key):
        return DBOS.start_workflow(function, *arguments).get_result(polling_interval_sec=WAIT_SECONDS)


def run_all(works: Mapping[str, Work]) -> None:
    """Run workflows by key in this process, some at once, and wait for all of them; raises what the first raised.

    Nobody has to find them on a queue first. Work under a key that is queued or under way elsewhere is waited for.
    """
    with ThreadPoolExecutor(AT_ONCE, "runs") as threads:
        for ended in [threads.submit(_run_once, key, work) for key, work in works.items()]:
            ended.result()


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


def forget_results(records: Records, prefix: str) -> None:
    """Drop what the steps of ended work returned, by the beginning of its key; that it was done stays known."""
    with records.session() as session:
        session.execute(FORGET_RESULTS, {"prefix": prefix})
