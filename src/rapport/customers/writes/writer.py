"""The writer: carries out accepted writes of customers, soon after they were accepted, many tenants side by side.

Every process that accepts some has one. A tenant whose tables another holds is come back to, and holds up nobody.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import structlog

from rapport.access.scope import scope_of
from rapport.customers.writes import locks, ordering
from rapport.errors import NotFound
from rapport.stores import Stores
from rapport.stores.workers.rounds import RoundWorker

log = structlog.get_logger("rapport.customers")
THREADS = 4
SWEEP_SECONDS = 5.0
HELD_SECONDS, RETRY_SECONDS = 0.1, 1.0
# After so many times in vain a tenant's writes are carried out one by one, to find the one that cannot be.
TRIES = 5


class Writer(RoundWorker):
    """The threads of one process. A tenant is written by one of them at a time."""

    name = "writer"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores
        self._threads = ThreadPoolExecutor(THREADS, "writer")
        self._lock = threading.Lock()
        self._due: dict[int, float] = {}  # tenants and when they are to be looked at, by the monotonic clock
        self._busy: set[int] = set()
        self._failed: dict[int, int] = {}  # times in a row, by tenant
        self._is_sweeping = False
        self._swept = float("-inf")

    def sweep(self) -> None:
        """Look for writes that were accepted before, or by a process that is gone, from now on."""
        self._is_sweeping = True
        self.start()
        self.wake()

    def carry_out(self, tenant_id: int) -> None:
        """Carry out what a tenant has in line. Call it once that has committed."""
        with self._lock:
            self._due[tenant_id] = time.monotonic()
        self.start()
        self.wake()

    def dispose(self) -> None:
        """End the threads, after what is under way."""
        self._threads.shutdown()

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """Have those written who are due."""
        if self._is_sweeping and time.monotonic() - self._swept >= SWEEP_SECONDS:
            self._sweep()
            self._swept = time.monotonic()
        with self._lock:
            for tenant_id in self._take():
                self._threads.submit(self._carry_out, tenant_id)
            return self._pause()

    def _sweep(self) -> None:
        try:
            waiting = ordering.tenants_waiting(self._stores)
        except Exception:
            log.exception("waiting writes cannot be looked for")
            return
        with self._lock:
            for tenant_id in waiting:
                self._due.setdefault(tenant_id, time.monotonic())

    def _take(self) -> list[int]:
        now = time.monotonic()
        due_tenants = [tenant for tenant, at in self._due.items() if at <= now and tenant not in self._busy]
        for tenant in due_tenants:
            del self._due[tenant]
            self._busy.add(tenant)
        return [] if self.stopping else due_tenants

    def _pause(self) -> float | None:
        """Seconds until somebody is due; None when only a call can bring something."""
        times = [at for tenant, at in self._due.items() if tenant not in self._busy]
        if self._is_sweeping:
            times.append(self._swept + SWEEP_SECONDS)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _carry_out(self, tenant_id: int) -> None:
        try:
            pause = self._round(tenant_id)
            self._failed.pop(tenant_id, None)
        except Exception:
            log.exception("writes cannot be carried out", tenant=tenant_id)
            self._failed[tenant_id] = self._failed.get(tenant_id, 0) + 1
            pause = RETRY_SECONDS
        with self._lock:
            self._busy.discard(tenant_id)
            if pause is not None:
                self._due.setdefault(tenant_id, time.monotonic() + pause)
        self.wake()

    def _round(self, tenant_id: int) -> float | None:
        """Carry out a tenant's oldest writes; in how many seconds to come again, None when none is left."""
        try:
            scope = scope_of(self._stores, tenant_id)
        except NotFound:
            log.warning("writes of a tenant that is gone are left", tenant=tenant_id)
            return None
        with locks.writing_if_free(scope) as free:
            if not free:
                return HELD_SECONDS
            return 0.0 if ordering.carry_out(scope, one_by_one=self._failed.get(tenant_id, 0) >= TRIES) else None


def writer_of(stores: Stores) -> Writer:
    """The writer of this process, which ends when its stores are closed."""
    return stores.workers.only(Writer, stores)
