"""Workers that go in rounds: each does what is due and says when to come again, unless a word or a call comes first."""

import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
import structlog
from sqlalchemy import Row, TextClause

from rapport.stores.holds import is_held
from rapport.stores.opened import OpenStores
from rapport.stores.records.locks import Leadership
from rapport.stores.workers.base import Worker
from rapport.stores.workers.leader import Leader, LeadershipLost
from rapport.stores.workers.listening import Topic

log = structlog.get_logger("rapport.workers")
# For so long at most a worker that listens does not notice that it is to stop.
STOP_SECONDS = 0.5
# Until a worker that does not lead, or is held, looks whether it may work.
AGAIN_SECONDS = 1.0

Connection = psycopg.Connection[Any]


class RoundWorker(Worker):
    """A worker in rounds, which listens to topics and leads a deployment if it says so.

    gathers is for how many seconds more words gather after the first. A worker that pauses_while_held does nothing
    while what goes out is held. pause_after_fault is in seconds.
    """

    topics: ClassVar[Sequence[Topic]] = ()
    leadership: ClassVar[Leadership | None] = None
    pauses_while_held: ClassVar[bool] = False
    gathers: ClassVar[float] = 0.0
    pause_after_fault: ClassVar[float] = 1.0

    def __init__(self, stores: OpenStores) -> None:
        super().__init__(stores.workers)
        self._opened = stores
        self._woken = threading.Event()
        self.leader = Leader(stores.records, self.leadership) if self.leadership is not None else None

    @abstractmethod
    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """Do what is due, with the words that came; seconds until the next round, None when only a word brings it."""

    def begun(self) -> None:
        """Called before the first round, and each time that words may have been missed or another process led."""

    def leading(self, sql: TextClause, parameters: dict[str, Any] | None = None) -> list[Row[Any]]:
        """The rows of a SELECT, for a worker that leads. Raises LeadershipLost when it does not any more."""
        if self.leader is None:
            raise LeadershipLost
        return self.leader.ask(sql, parameters)

    def wake(self) -> None:
        """Begin the next round of a worker that listens to nothing."""
        self._woken.set()

    def work(self) -> None:
        """Go round until told to stop."""
        try:
            while not self.stopping:
                pause = AGAIN_SECONDS
                try:
                    if self._may_work() and (self.leader is None or self.leader.take()):
                        self._go_round()
                except LeadershipLost:
                    log.info("another process may lead", worker=self.name)
                except Exception:
                    log.exception("a worker begins again", worker=self.name)
                    pause = self.pause_after_fault
                self._stopping.wait(pause)
        finally:
            if self.leader is not None:
                self.leader.give_up()

    def _may_work(self) -> bool:
        return not (self.pauses_while_held and is_held(self._opened))

    def _go_round(self) -> None:
        with self._listening() as connection:
            self.begun()
            words: Sequence[psycopg.Notify] = ()
            while True:
                self._woken.clear()
                if self.stopping or not self._may_work():
                    return
                words = self._wait(connection, self.round(words))

    @contextmanager
    def _listening(self) -> Iterator[Connection | None]:
        if not self.topics:
            yield None
            return
        with self._opened.records.listening() as connection:
            for topic in self.topics:
                connection.execute(f"LISTEN {topic.value}".encode())
            yield connection

    def _wait(self, connection: Connection | None, seconds: float | None) -> Sequence[psycopg.Notify]:
        """Wait for a time or until a word comes."""
        if connection is None:
            self._woken.wait(seconds)
            return ()
        until = float("inf") if seconds is None else time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            words = list(connection.notifies(timeout=min(left, STOP_SECONDS), stop_after=1))
            if words:
                self._stopping.wait(self.gathers)
                return [*words, *connection.notifies(timeout=0)]
            if not left or self.stopping:
                return ()
