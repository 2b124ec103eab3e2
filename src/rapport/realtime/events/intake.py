"""The way in for events: an event is accepted when the transaction that stored it has committed.

One thread of a process commits for all of its requests: while one transaction is written to the disk
the next gathers, so that a commit is shared by as many events as come meanwhile.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Sequence

import psycopg
import structlog
from sqlalchemy.exc import DataError

from rapport.access.scope import Scope
from rapport.customers.writes import writer
from rapport.errors import Invalid, RapportError, Unavailable
from rapport.realtime.events.event_log import LogQuota
from rapport.realtime.events.storing import MAX_EVENT, Accepted, Incoming, LogEntry, Store, Submission
from rapport.realtime.metrics import ACCEPTED, DUPLICATES, REJECTED
from rapport.realtime.recording.profile_queue import tells
from rapport.realtime.states import EventStatus
from rapport.stores import Stores
from rapport.stores.isolating import isolate
from rapport.stores.outages import outage
from rapport.stores.workers.rounds import RoundWorker

__all__ = ["Accepted", "Incoming", "Intake", "LogEntry"]

log = structlog.get_logger("rapport.realtime")
MOST_AT_ONCE = 5_000  # events and entries of the log in a transaction
MOST_WAITING = 100_000


class Intake(RoundWorker):
    """The intake of one process, which begins with its first event."""

    name = "intake"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores
        self._store = Store(stores.records)
        self._log_quota = LogQuota()
        self._waiting: dict[int, deque[Submission]] = {}  # by tenant, in the order of their turns
        self._events: Counter[int] = Counter()
        self._lock = threading.Lock()

    async def accept(
        self, scope: Scope, events: Sequence[Incoming], entries: Sequence[LogEntry] = (), *, recording: bool = False
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
        submission = Submission(scope.tenant_id, scope.clock.now(), scope.today(), events, entries, recording)
        with self._lock:
            # A tenant fills half of the room that others leave, so that there is some for whoever comes.
            if self.stopping:
                raise Unavailable("This process is being stopped.")
            if self._events[scope.tenant_id] + submission.size > MOST_WAITING - self._events.total():
                raise Unavailable("Too many events wait to be stored: try again in a moment.")
            self._waiting.setdefault(submission.tenant_id, deque()).append(submission)
            self._events[submission.tenant_id] += submission.size
        self.start()
        self.wake()
        return submission

    def _spare(self, tenant_id: int, events: Sequence[Incoming], entries: Sequence[LogEntry]) -> None:
        """Leave out of the log what is in it often enough."""
        for event in events:
            if event.warnings:
                reason = "; ".join(event.warnings)
                event.logged = not self._log_quota.is_exhausted(tenant_id, EventStatus.WARNING, event.event, reason)
        for entry in entries:
            entry.logged = not self._log_quota.is_exhausted(
                tenant_id, entry.status, entry.event[:MAX_EVENT], entry.reason
            )

    def dispose(self) -> None:
        """Give back the connection to the records."""
        self._store.close()

    def round(self, words: Sequence[psycopg.Notify]) -> None:
        """Store all that was submitted, in as many transactions as it takes."""
        while taken := self._gathered():
            self._commit(taken)

    def _gathered(self) -> list[Submission]:
        """Submissions of tenants in turn, up to the most that go into a transaction."""
        taken: list[Submission] = []
        size = 0
        with self._lock:
            while (submission := self._next(MOST_AT_ONCE - size if taken else None)) is not None:
                if submission.answer.set_running_or_notify_cancel():  # the caller may have gone away
                    taken.append(submission)
                    size += submission.size
        return taken

    def _next(self, room: int | None) -> Submission | None:
        """The oldest submission of the tenant whose turn it is, unless it is larger than there is room for."""
        tenant_id, line = next(iter(self._waiting.items()), (0, None))
        if line is None or (room is not None and line[0].size > room):
            return None
        submission = line.popleft()
        del self._waiting[tenant_id]
        if line:  # at the end of all
            self._waiting[tenant_id] = line
        self._events[tenant_id] -= submission.size
        return submission

    def _commit(self, taken: list[Submission]) -> None:
        """Store submissions and answer them. One's fault is not the others'; in an outage nobody knows what is kept."""
        try:
            isolate(taken, self._keep, _refuse, lambda error: outage(error) is not None)
        except Exception as error:
            log.error("events cannot be stored", error=str(error)[:300])
            for submission in taken:
                if not submission.answer.done():
                    submission.answer.set_exception(_explained(error))

    def _keep(self, taken: Sequence[Submission]) -> None:
        answers = self._store.keep(taken)
        for tenant_id in {
            submission.tenant_id
            for submission in taken
            if any(tells(event.event, event.origin) for event in submission.events)
        }:
            writer.writer_of(self._stores).carry_out(tenant_id)
        for submission, answer in zip(taken, answers, strict=True):
            submission.answer.set_result(answer)
        _count(taken, answers)


def _refuse(submission: Submission, error: Exception) -> None:
    log.error("events cannot be stored", tenant_id=submission.tenant_id, error=str(error)[:300])
    submission.answer.set_exception(_explained(error))


def _explained(error: Exception) -> RapportError:
    if isinstance(error, RapportError):
        return error
    if isinstance(error, DataError):
        return Invalid("An event contains a value that cannot be stored.")
    return outage(error) or Unavailable("Events cannot be stored now: try again in a moment.")


def _count(taken: Sequence[Submission], answers: Sequence[Sequence[Accepted]]) -> None:
    met = Counter(
        (event.origin, accepted.duplicate)
        for submission, answer in zip(taken, answers, strict=True)
        for event, accepted in zip(submission.events, answer, strict=True)
    )
    for (origin, duplicate), number in met.items():
        (DUPLICATES if duplicate else ACCEPTED).labels(origin).inc(number)
    for submission in taken:
        for entry in submission.entries:
            if entry.status == EventStatus.ERROR:
                REJECTED.labels(entry.origin, "invalid").inc()
