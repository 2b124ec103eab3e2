"""Workers that claim durable work in the records and carry it out, much of it at once.

It looks for work when a transaction that made some commits (LISTEN/NOTIFY), when work of its own has ended, and
every second, since some falls due by itself. Work is leased in the records by whoever claims it, so that any
number of processes may run one of these, and what a process that died had claimed is claimed again.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, TypeVar

import psycopg
import structlog

from rapport.stores import Stores
from rapport.stores.holds import is_held
from rapport.stores.outages import outage
from rapport.stores.workers.base import Worker
from rapport.stores.workers.leader import FAULTS
from rapport.stores.workers.listening import Topic

R = TypeVar("R")
log = structlog.get_logger("rapport.workers")
POLL_SECONDS = 1.0
# Pause of a note that the records could not take.
NOTE_SECONDS = 0.5


def is_timely(began: float, lease: timedelta) -> bool:
    """Whether leases that were asked for at an instant of the monotonic clock last for a while yet.

    A server that hung carries the statement out when it goes on: what it leased is anybody's by then, and is left.
    """
    return time.monotonic() - began < lease.total_seconds() / 2


class ClaimingWorker(Worker):
    """A thread with an event loop, and more for what blocks. topic is of new work.

    poll is after how many seconds it looks by itself; patience is how long work in flight may still take when it is
    told to stop, None waits for its end.
    """

    topic: ClassVar[Topic]
    patience: ClassVar[float | None] = None
    poll: ClassVar[float] = POLL_SECONDS

    def __init__(self, stores: Stores, threads: int) -> None:
        super().__init__(stores.workers)
        self.stores = stores
        self._threads = ThreadPoolExecutor(threads, self.name)
        self._behind: set[int] = set()  # threads that have something to note which the records could not take yet
        self._fell_behind = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    async def take(self) -> None:
        """Lease what there is room for, and begin() it. Faults of the records are told to the log."""

    async def caught_up(self) -> None:
        """After an outage, and before anything is taken: note what else has happened, whose lease may have run out."""
        return

    @abstractmethod
    async def opened(self) -> None:
        """Make what belongs to the event loop, before the first take."""

    @abstractmethod
    async def closed(self) -> None:
        """Give it back, after the last work has ended."""

    def work(self) -> None:
        """Take work until told to stop; what is in flight then ends."""
        asyncio.run(self._work())

    def wake(self) -> None:
        """Have it look for work at once."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._wake.set)

    def dispose(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def begin(self, work: Coroutine[Any, Any, None], *, makes_room: bool = True) -> None:
        """Carry work out beside the rest; when it ends more is taken, if that makes room for some."""
        running = asyncio.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._done)
        if makes_room:
            running.add_done_callback(lambda _: self._wake.set())

    def room(self, most: int) -> int:
        """How much more may be begun, of at most so much at once; what makes no room is counted too."""
        return max(most - len(self._running), 0)

    async def in_thread(self, function: Callable[..., R], *arguments: Any) -> R:
        """Call something that blocks, in one of the threads, which waits for no longer than this one."""
        call = partial(contextvars.copy_context().run, function, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def note(self, enter: Callable[..., R], *arguments: Any) -> R:
        """Enter in the records what has happened outside, waiting while they are away; it must be safe to repeat.

        Nothing is taken meanwhile: what happened would else be done again, since its lease may have run out. Raises
        what the records raise when it is told to stop.
        """
        me = threading.get_ident()
        try:
            while True:
                try:
                    return enter(*arguments)
                except FAULTS as error:
                    if outage(error) is None:
                        raise
                    self._behind.add(me)
                    self._fell_behind = True
                    log.warning("what was done cannot be noted yet", worker=self.name, reason=str(error)[:300])
                    if self._stopping.wait(NOTE_SECONDS):
                        raise
        finally:
            self._behind.discard(me)

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        await self.opened()
        listening = asyncio.create_task(self._listen())
        while not self.stopping:
            self._wake.clear()
            try:
                if not self._behind and not await self.in_thread(is_held, self.stores):
                    if self._fell_behind:
                        self._fell_behind = False
                        await self.caught_up()
                    await self.take()
            except Exception:  # of one tenant, or of the records: the next round may do better
                log.exception("work cannot be taken", worker=self.name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.poll)
        listening.cancel()
        await asyncio.gather(listening, self._all_done(), return_exceptions=True)
        await self.closed()

    async def _all_done(self) -> None:
        """Wait for work in flight, and for no longer than patience."""
        if self._running and self.patience is not None:
            await asyncio.wait(self._running, timeout=self.patience)
            for late in self._running:
                late.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _done(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled() and (fault := running.exception()) is not None:
            log.error("work failed; its lease will run out", worker=self.name, exc_info=fault)

    async def _listen(self) -> None:
        """Wake the loop whenever new work commits; connect again when the records were away."""
        url = self.stores.records.conninfo
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {self.topic.value}".encode())
                    self._wake.set()
                    async for _ in connection.notifies():
                        self._wake.set()
            except psycopg.Error:
                await asyncio.sleep(POLL_SECONDS)
