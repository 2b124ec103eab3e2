"""Which processes there are: each holds locks of the records, for its name and every role, as long as it lives."""

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import psycopg
import structlog
from prometheus_client import Gauge

from rapport.errors import Unavailable
from rapport.stores.clock import OUTSIDE
from rapport.stores.opened import OpenStores
from rapport.stores.outages import refusal
from rapport.stores.records import Records, connecting, locks
from rapport.stores.records.locks import Lock
from rapport.stores.workers.base import Worker, Workers

log = structlog.get_logger("rapport.presence")
ROLES = {"api": 1, "worker": 2, "scheduler": 3, "console": 4}
LOOK_SECONDS = 5.0
# How long a process that starts waits for the one before it to be gone.
ENDING_SECONDS, AGAIN_SECONDS = 10.0, 0.25
# A machine that is gone without a word keeps the name of its process until the server has noticed.
NOTICED = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")
FAR_AHEAD, TOLD_SECONDS = timedelta(seconds=5), 3600.0  # told once in so long
KEEP_TIME = "run NTP: times of campaigns go by the clock of the process"
PROCESSES = Gauge("rapport_processes", "Running processes by role", ["role"])


class Presence(Worker):
    """This process under its name, which no other may have; it is entered again when the records were away.

    api_processes: how many processes have the role api, as of a few seconds ago; 1 at least.
    """

    name = "presence"

    def __init__(self, workers: Workers, records: Records, name: str) -> None:
        super().__init__(workers)
        self.api_processes = 1
        self._records, self._process = records, name
        self._roles: frozenset[str] = frozenset()
        self._connection: connecting.Connection | None = None
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Take the name. Raises Unavailable when a process that lives has it, or the records do not answer."""
        deadline = time.monotonic() + ENDING_SECONDS
        while self._connection is None:
            try:
                self._connection = self._entered()
            except psycopg.Error as error:
                raise Unavailable(refusal(str(error))) from error
            except Unavailable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(AGAIN_SECONDS)
        self.start()

    def play(self, roles: frozenset[str]) -> None:
        """Be counted under these roles from now on, and no others."""
        with self._lock:
            left, taken, self._roles = self._roles - roles, roles - self._roles, roles
            with suppress(psycopg.Error):  # it is entered again with its roles
                if self._connection is not None:
                    for role in left:
                        locks.release_shared(self._connection, Lock.ROLES, ROLES[role])
                    _take(self._connection, taken)

    def dispose(self) -> None:
        """Release the locks."""
        with suppress(psycopg.Error):  # the server notices the end of a connection a moment later
            if self._connection is not None:
                locks.release_all(self._connection)
        self._leave()

    def _entered(self) -> connecting.Connection:
        """A connection that holds the locks of this process. Raises Unavailable when another one has its name."""
        connection = self._records.listening()
        try:
            for setting in NOTICED:
                connection.execute(f"SET {setting}")
            if not locks.take_name_if_free(connection, Lock.PROCESS_NAMES, self._process):
                raise Unavailable(
                    f"A process named {self._process} already works on this records database: give each process a "
                    "unique name that stays the same after a restart, in RAPPORT_PROCESS_NAME."
                )
            _take(connection, self._roles)
        except BaseException:
            connection.close()
            raise
        return connection

    def work(self) -> None:
        """Stay entered, and keep the clock with that of the records."""
        tell_at = 0.0
        while not self.stopping:
            try:
                with self._lock:
                    self._connection = self._connection or self._entered()
                while not self._stopping.wait(LOOK_SECONDS):
                    self.api_processes = max(1, processes(self._connection)["api"])
                    ahead = OUTSIDE.keep_with(partial(_time, self._connection))
                    if abs(ahead) > FAR_AHEAD and time.monotonic() >= tell_at:
                        log.warning("clocks differ", seconds=round(ahead.total_seconds(), 1), advice=KEEP_TIME)
                        tell_at = time.monotonic() + TOLD_SECONDS
            except psycopg.Error as error:
                log.warning("this process cannot be entered", reason=str(error).splitlines()[0])
                self._leave()
                self._stopping.wait(LOOK_SECONDS)
            except Unavailable as error:  # the name was taken while the records were away
                log.error("two processes of one name", reason=error.message)
                self._stopping.wait(LOOK_SECONDS)

    def _leave(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _take(connection: connecting.Connection, roles: frozenset[str]) -> None:
    for role in sorted(roles):
        locks.take_shared(connection, Lock.ROLES, ROLES[role])


def _time(connection: connecting.Connection) -> datetime:
    now: datetime = connection.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index]
    return now


def processes(connection: locks.Asked) -> dict[str, int]:
    """How many processes live, by role."""
    held = locks.holders(connection, Lock.ROLES)
    return {role: held.get(number, 0) for role, number in ROLES.items()}


def measure(stores: OpenStores) -> None:
    """Tell the metrics which processes there are."""
    with stores.records.reading() as connection:
        for role, number in processes(connection).items():
            PROCESSES.labels(role).set(number)
