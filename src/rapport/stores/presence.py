"""Which processes there are: each holds locks of the records, for its name and every role, as long as it lives."""

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import psycopg
import structlog
from prometheus_client import Gauge
from sqlalchemy import Connection, text

from rapport.errors import Unavailable
from rapport.stores import connecting
from rapport.stores.clock import OUTSIDE
from rapport.stores.opened import Opened
from rapport.stores.outages import refusal
from rapport.stores.records import Records
from rapport.stores.services import Service

log = structlog.get_logger("rapport.presence")
LOCKS, NAMES = 7300, 7301
ROLES = {"api": 1, "worker": 2, "scheduler": 3, "console": 4}
LOOK_SECONDS = 5.0
# How long a process that starts waits for the one before it to be gone.
ENDING_SECONDS, AGAIN_SECONDS = 10.0, 0.25
# A machine that is gone without a word keeps the name of its process until the server has noticed.
NOTICED = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")
FAR_AHEAD, TOLD_SECONDS = timedelta(seconds=5), 3600.0  # told once in so long
KEEP_TIME = "run NTP: times of campaigns go by the clock of the process"
PROCESSES = Gauge("rapport_processes", "Processes that live, by role", ["role"])
# The locks of this database that are held, for both ways of binding.
OF_HERE = """
    locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
HELD = text(f"SELECT objid, count(*) AS processes FROM pg_locks WHERE classid = :locks AND {OF_HERE} GROUP BY objid")  # noqa: S608 - of constants
HELD_BY_DRIVER = f"SELECT count(*) FROM pg_locks WHERE classid = %s AND objid = %s AND {OF_HERE}"  # noqa: S608 - of constants


class Presence:
    """This process under its name, which no other may have; it is entered again when the records were away.

    api_processes: how many processes have the role api, as of a few seconds ago; 1 at least.
    """

    def __init__(self, records: Records, name: str) -> None:
        self.api_processes = 1
        self._records, self._name = records, name
        self._roles: frozenset[str] = frozenset()
        self._connection: connecting.Connection | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = Service("presence", self._run, self._stopping)

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
        self._thread.start()

    def play(self, roles: frozenset[str]) -> None:
        """Be counted under these roles from now on, and no others."""
        with self._lock:
            left, taken, self._roles = self._roles - roles, roles - self._roles, roles
            with suppress(psycopg.Error):  # it is entered again with its roles
                if self._connection is not None:
                    for role in left:
                        self._connection.execute("SELECT pg_advisory_unlock_shared(%s, %s)", (LOCKS, ROLES[role]))
                    _take(self._connection, taken)

    def stop(self) -> None:
        """End; the locks are let go of."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(psycopg.Error):  # the server notices the end of a connection a moment later
            if self._connection is not None:
                self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._leave()

    def _entered(self) -> connecting.Connection:
        """A connection that holds the locks of this process. Raises Unavailable when another one has its name."""
        connection = self._records.listening()
        try:
            for setting in NOTICED:
                connection.execute(f"SET {setting}")
            row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (NAMES, self._name)).fetchone()
            if not (row and row[0]):
                raise Unavailable(
                    f"A process of the name {self._name} works on these records already: give each one a name of its "
                    "own, the same after every restart, in RAPPORT_PROCESS_NAME."
                )
            _take(connection, self._roles)
        except BaseException:
            connection.close()
            raise
        return connection

    def _run(self) -> None:
        tell_at = 0.0
        while not self._stopping.is_set():
            try:
                with self._lock:
                    self._connection = self._connection or self._entered()
                while not self._stopping.wait(LOOK_SECONDS):
                    self.api_processes = max(1, _counted(self._connection, "api"))
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
        connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (LOCKS, ROLES[role]))


def _counted(connection: connecting.Connection, role: str) -> int:
    row = connection.execute(HELD_BY_DRIVER, (LOCKS, ROLES[role])).fetchone()
    return int(row[0]) if row else 0


def _time(connection: connecting.Connection) -> datetime:
    found: datetime = connection.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index]
    return found


def processes(connection: Connection) -> dict[str, int]:
    """How many processes live, by role."""
    found = {row.objid: row.processes for row in connection.execute(HELD, {"locks": LOCKS})}
    return {role: int(found.get(number, 0)) for role, number in ROLES.items()}


def measure(stores: Opened) -> None:
    """Tell the metrics which processes there are."""
    with stores.records.reading() as connection:
        for role, number in processes(connection).items():
            PROCESSES.labels(role).set(number)
