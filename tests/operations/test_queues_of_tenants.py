"""Durable work in turn: a tenant whose work does not end takes its share of a queue and leaves the rest to others."""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from sqlalchemy import event

from rapport.stores import Stores
from rapport.stores.workflows import work

SILENT, NEIGHBOUR = 999_001, 999_002
BEGUN: dict[str, list[int]] = defaultdict(list)
GOING_ON = threading.Event()


@work.workflow("tests.wait_for_far_end")
def wait_for_far_end(tenant_id: int, run: str) -> None:
    BEGUN[run].append(tenant_id)
    if tenant_id == SILENT:
        GOING_ON.wait(60)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_tenant_whose_work_does_not_end_holds_up_no_other(stores: Stores) -> None:
    def enqueue(queue: work.Queue, tenant_id: int) -> str:
        return work.enqueue(queue, f"test-{uuid.uuid4()}", wait_for_far_end, tenant_id, queue)

    keys = [enqueue(queue, SILENT) for queue in work.Queue for _ in range(work.PLACES[queue][0] + 1)]
    shares = {queue: share for queue, (_, share, _) in work.PLACES.items()}
    try:
        until(lambda: all(len(BEGUN[queue]) >= share for queue, share in shares.items()))
        for key in [enqueue(queue, NEIGHBOUR) for queue in work.Queue]:
            work.wait(key)
        assert not GOING_ON.is_set()
        assert {queue: BEGUN[queue].count(SILENT) for queue in work.Queue} == shares
    finally:
        GOING_ON.set()
    for key in keys:
        work.wait(key)
    assert sum(len(BEGUN[queue]) for queue in work.Queue) == len(keys) + len(work.Queue)


def test_what_an_earlier_release_queued_is_carried_out(stores: Stores) -> None:
    """It is on queues of other names, and of no tenant."""
    run = str(uuid.uuid4())
    for queue in ("cycles", "campaigns", "sends", "jobs", "erasures"):
        with SetWorkflowID(f"test-{uuid.uuid4()}"):
            DBOS.enqueue_workflow(queue, wait_for_far_end, NEIGHBOUR, run)
    until(lambda: len(BEGUN[run]) == 5)
    assert BEGUN[run] == [NEIGHBOUR] * 5


def test_queues_without_work_ask_the_records_little(stores: Stores) -> None:
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    assert work._engine is not None
    event.listen(work._engine, "before_cursor_execute", note)
    try:
        time.sleep(3)
    finally:
        event.remove(work._engine, "before_cursor_execute", note)
    assert len(asked) <= 3 * 10, asked  # each queue's settings may be among it, which are read once a minute


def test_what_another_process_has_queued_is_found(stores: Stores) -> None:
    run = str(uuid.uuid4())
    with SetWorkflowID(f"test-{run}"), SetEnqueueOptions(queue_partition_key=str(NEIGHBOUR)):
        DBOS.enqueue_workflow(work.Queue.SENDS, wait_for_far_end, NEIGHBOUR, run)  # nobody here is told
    began = time.monotonic()
    until(lambda: len(BEGUN[run]) == 1)
    assert time.monotonic() - began < 5
