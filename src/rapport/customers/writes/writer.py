"""The writer: carries out accepted writes of customers, soon after they were accepted, many tenants side by side.

Every process that accepts some has one. A tenant whose tables another holds is come back to, and holds up nobody.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from rapport.access.scope import scope_of
from rapport.customers.writes import locks, ordering
from rapport.stores import Stores
from rapport.stores.services import Service

log = structlog.get_logger("rapport.customers")
THREADS = 4
SWEEP_SECONDS = 5.0
HELD_SECONDS, RETRY_SECONDS = 0.1, 1.0
# After so many times in vain a tenant's writes are carried out one by one, to find the one that cannot be.
TRIES = 5


class Writer:
    """The threads of one process. A tenant is written by one of them at a time."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._threads = ThreadPoolExecutor(THREADS, "writer")
        self._changed = threading.Condition()
        self._due: dict[int, float] = {}  # tenants and when they are to be looked at, by the monotonic clock
        self._busy: set[int] = set()
        self._failed: dict[int, int] = {}  # times in a row, by tenant
        self._sweeping = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look for writes that were accepted before, or by a process that is gone, from now on."""
        with self._changed:
            self._sweeping = True
            self._run_once()

    def stop(self) -> None:
        """End, after what is under way."""
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._threads.shutdown()

    def wake(self, tenant_id: int) -> None:
        """Carry out what a tenant has in line. Call it once that has committed."""
        with self._changed:
            self._due[tenant_id] = time.monotonic()
            self._run_once()
            self._changed.notify()

    def _run_once(self) -> None:
        if self._thread is None:
            self._thread = Service("writer", self._run, self._stopping)
            self._thread.start()

    def _run(self) -> None:
        swept = float("-inf")
        while not self._stopping.is_set():
            if self._sweeping and time.monotonic() - swept >= SWEEP_SECONDS:
                self._sweep()
                swept = time.monotonic()
            with self._changed:
                for tenant_id in self._take():
                    self._threads.submit(self._carry_out, tenant_id)
                self._changed.wait(self._pause(swept))

    def _sweep(self) -> None:
        try:
            waiting = ordering.tenants_waiting(self._stores)
        except Exception:
            log.exception("waiting writes cannot be looked for")
            return
        with self._changed:
            for tenant_id in waiting:
                self._due.setdefault(tenant_id, time.monotonic())

    def _take(self) -> list[int]:
        now = time.monotonic()
        taken = [tenant for tenant, at in self._due.items() if at <= now and tenant not in self._busy]
        for tenant in taken:
            del self._due[tenant]
            self._busy.add(tenant)
        return [] if self._stopping.is_set() else taken

    def _pause(self, swept: float) -> float | None:
        """Seconds until somebody is due; None when only a call can bring something."""
        times = [at for tenant, at in self._due.items() if tenant not in self._busy]
        if self._sweeping:
            times.append(swept + SWEEP_SECONDS)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _carry_out(self, tenant_id: int) -> None:
        try:
            pause = self._round(tenant_id)
            self._failed.pop(tenant_id, None)
        except Exception:
            log.exception("writes cannot be carried out", tenant=tenant_id)
            self._failed[tenant_id] = self._failed.get(tenant_id, 0) + 1
            pause = RETRY_SECONDS
        with self._changed:
            self._busy.discard(tenant_id)
            if pause is not None:
                self._due.setdefault(tenant_id, time.monotonic() + pause)
            self._changed.notify()

    def _round(self, tenant_id: int) -> float | None:
        """Carry out a tenant's oldest writes; in how many seconds to come again, None when none is left."""
        scope = scope_of(self._stores, tenant_id)
        with locks.writing_if_free(scope) as free:
            if not free:
                return HELD_SECONDS
            return 0.0 if ordering.carry_out(scope, self._failed.get(tenant_id, 0) >= TRIES) else None


_writers: dict[int, Writer] = {}
_making = threading.Lock()


def writer_of(stores: Stores) -> Writer:
    """The writer of this process on these stores, made when it is first asked for; it ends when they are closed."""
    with _making:
        if id(stores) not in _writers:
            _writers[id(stores)] = Writer(stores)
            stores.closing.callback(_end, id(stores))
        return _writers[id(stores)]


def _end(key: int) -> None:
    _writers.pop(key).stop()
