"""Work that waits for far ends: one tenant's that never answer leave room for the others."""

import threading
import time
import uuid

from rapport.stores import Stores, work

BEGUN: list[int] = []
GOING_ON = threading.Event()


@work.workflow("tests.wait_for_far_end")
def wait_for_far_end(tenant_id: int) -> None:
    BEGUN.append(tenant_id)
    if tenant_id != 2:
        GOING_ON.wait(60)


def test_a_tenant_whose_far_ends_do_not_answer_holds_up_no_other(stores: Stores) -> None:
    share = work.SHARED_QUEUES[work.SENDS][1]

    def enqueue(tenant_id: int) -> str:
        key = f"test-{uuid.uuid4()}"
        return work.enqueue_of_tenant(work.SENDS, tenant_id, key, wait_for_far_end, tenant_id)

    keys = [enqueue(tenant_id) for tenant_id in (1, 3) for _ in range(3 * share)]
    try:
        deadline = time.monotonic() + 60
        while len(BEGUN) < 2 * share and time.monotonic() < deadline:
            time.sleep(0.05)
        other = enqueue(2)
        work.wait(other)
        assert not GOING_ON.is_set()
        assert (BEGUN.count(1), BEGUN.count(3), BEGUN.count(2)) == (share, share, 1)
    finally:
        GOING_ON.set()
    for key in keys:
        work.wait(key)
    assert len(BEGUN) == 6 * share + 1
