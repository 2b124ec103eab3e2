"""The way in for events: an event is accepted when the transaction that stored it has committed.

One thread of a process commits for all of its requests: while one transaction is written to the disk
the next gathers, so that a commit is shared by as many events as come meanwhile.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import DataError

from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.errors import Invalid, RapportError, Unavailable
from rapport.realtime.eventlog import Thrift
from rapport.realtime.metrics import ACCEPTED, DUPLICATES, REJECTED
from rapport.realtime.models import ERROR, WARNING
from rapport.realtime.storing import MAX_EVENT, Accepted, Incoming, LogEntry, Store, Submission
from rapport.realtime.telling import tells
from rapport.stores import Stores
from rapport.stores.outages import outage
from rapport.stores.services import Service

__all__ = ["Accepted", "Incoming", "Intake", "LogEntry"]

log = structlog.get_logger("rapport.realtime")
MOST_AT_ONCE = 5_000  # events in a transaction
MOST_WAITING = 100_000


class Intake:
    """The intake of one process."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._store = Store(stores.records)
        self._thrift = Thrift()
        self._waiting: deque[Submission] = deque()
        self._events = 0
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    async def accept(
        self, scope: Scope, events: Sequence[Incoming], entries: Sequence[LogEntry] = (), recording: bool = False
    ) -> list[Accepted]:
        """Store events and entries of the log; what became of each event, once that has committed.

        Raises Unavailable when the records do not answer or too much waits for them: nothing was stored then.
        """
        return await asyncio.wrap_future(self._submit(scope, events, entries, recording).answer)

    def accept_now(self, scope: Scope, events: Sequence[Incoming], entries: Sequence[LogEntry] = ()) -> list[Accepted]:
        """The same for a caller without an event loop."""
        return self._submit(scope, events, entries, False).answer.result()

    def _submit(
        self, scope: Scope, events: Sequence[Incoming], entries: Sequence[LogEntry], recording: bool
    ) -> Submission:
        self._spare(scope.tenant_id, events, entries)
        one = Submission(scope.tenant_id, scope.clock.now(), scope.today(), events, entries, recording)
        size = len(events) + len(entries)
        with self._ready:
            if self._events + size > MOST_WAITING:
                raise Unavailable("Too many events wait to be stored: try again in a moment.")
            if self._thread is None:
                self._thread = Service("intake", self._run, threading.Event())
                self._thread.start()
            self._waiting.append(one)
            self._events += size
            self._ready.notify()
        return one

    def _spare(self, tenant_id: int, events: Sequence[Incoming], entries: Sequence[LogEntry]) -> None:
        """Leave out of the log what is in it often enough."""
        for event in events:
            if event.warnings:
                reason = "; ".join(event.warnings)
                event.logged = not self._thrift.spares(tenant_id, WARNING, event.event, reason)
        for entry in entries:
            entry.logged = not self._thrift.spares(tenant_id, entry.status, entry.event[:MAX_EVENT], entry.reason)

    def _run(self) -> None:
        while True:
            self._commit(self._gathered())

    def _gathered(self) -> list[Submission]:
        """Wait for submissions; as many as wait, up to the most that go into a transaction."""
        taken: list[Submission] = []
        size = 0
        with self._ready:
            while not self._waiting:
                self._ready.wait()
            while self._waiting and (not taken or size + len(self._waiting[0].events) <= MOST_AT_ONCE):
                one = self._waiting.popleft()
                self._events -= len(one.events) + len(one.entries)
                if one.answer.set_running_or_notify_cancel():  # the caller may have gone away
                    taken.append(one)
                    size += len(one.events)
        return taken

    def _commit(self, taken: list[Submission]) -> None:
        try:
            answers = self._store.keep(taken)
        except Exception as error:
            self._failed(taken, error)
            return
        for tenant_id in {one.tenant_id for one in taken if any(tells(each.event, each.origin) for each in one.events)}:
            customers.writer_of(self._stores).wake(tenant_id)
        for one, answer in zip(taken, answers, strict=True):
            one.answer.set_result(answer)
        _count(taken, answers)

    def _failed(self, taken: list[Submission], error: Exception) -> None:
        """One submission's fault is not the others': each is stored on its own, if none of them is yet for sure."""
        lost = outage(error) is not None
        if len(taken) > 1 and not lost:
            for one in taken:
                self._commit([one])
            return
        log.error("events cannot be stored", tenant_id=taken[0].tenant_id, error=str(error)[:300])
        for one in taken:
            one.answer.set_exception(_explained(error))


def _explained(error: Exception) -> RapportError:
    if isinstance(error, RapportError):
        return error
    if isinstance(error, DataError):
        return Invalid("An event holds a value that cannot be stored.")
    return outage(error) or Unavailable("Events cannot be stored now: try again in a moment.")


def _count(taken: Sequence[Submission], answers: Sequence[Sequence[Accepted]]) -> None:
    met = Counter(
        (event.origin, accepted.duplicate)
        for one, answer in zip(taken, answers, strict=True)
        for event, accepted in zip(one.events, answer, strict=True)
    )
    for (origin, duplicate), number in met.items():
        (DUPLICATES if duplicate else ACCEPTED).labels(origin).inc(number)
    for one in taken:
        for entry in one.entries:
            if entry.status == ERROR:
                REJECTED.labels(entry.origin, "invalid").inc()
