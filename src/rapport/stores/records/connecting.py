"""Connections to the records database that wait for nothing without end."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy import Connection as Pooled
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

SETTINGS = {
    "timezone": "utc",
    # Queues are empty at one time and long at another: a plan kept from before would scan them row by row.
    "plan_cache_mode": "force_custom_plan",
    # The server lets go of the locks of a machine that is gone without a word, and of a process that was suspended.
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
    "idle_in_transaction_session_timeout": 3_600_000,
}
# Of work that is begun again from nothing when it is interrupted: no commit waits for the disk, so a machine that loses
# its power loses the last second. What is stored stays whole, and nothing is lost with a process.
HURRIED = {"synchronous_commit": "off"}
CONNECT_SECONDS = 5
# What durable work takes for a server that it has to wait for.
FAILED = "connection failed"
CANCEL_SECONDS = 2.0
# A far end that is gone without a word is noticed by the kernel.
KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
# Seconds that a statement may take. A lock that others hold for their work may be waited for much longer.
STATEMENT_SECONDS = 300.0
# Seconds after which the server ends a statement itself, whose process is gone or could not have it canceled.
SERVER_SECONDS = STATEMENT_SECONDS + 30
UNHURRIED = text("""
    SELECT set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)
""")
# A connection that was idle for so long is asked whether it still is one; to ask at every use doubles the work.
IDLE_SECONDS = 5.0
LOCK_SECONDS = 6 * 3600.0
LISTEN_SECONDS = 60.0

_seconds: ContextVar[float] = ContextVar("statement_seconds", default=STATEMENT_SECONDS)


@contextmanager
def statements_within(seconds: float) -> Iterator[None]:
    """Give each statement of the block so long; it then ends as an outage does, and its connection with it."""
    before = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(before)


class Connection(psycopg.Connection[Any]):
    """A connection whose statements end: a server that is hung keeps its connections open and says nothing."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer. Raises OperationalError when none comes in time."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, _seconds.get())
        except errors._WaitTimeout as error:
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_SECONDS)
            self.pgconn.finish()
            raise psycopg.OperationalError("timed out: a statement had no answer in time") from error

    def notifies(self, *, timeout: float | None = None, stop_after: int | None = None) -> Any:
        """What is told meanwhile; without a timeout it ends after a while, to be called again."""
        return super().notifies(timeout=LISTEN_SECONDS if timeout is None else timeout, stop_after=stop_after)


def unhurried(connection: Pooled) -> None:
    """Let the server end nothing of a connection by time, for what may take hours; it leaves the pool."""
    connection.detach()
    connection.execute(UNHURRIED)


def parameters(url: URL, *, hurried: bool = False) -> dict[str, Any]:
    """What every connection is opened with, unless the address says otherwise. hurried: see HURRIED."""
    settings = SETTINGS | (HURRIED if hurried else {})
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    own = {"options": options, "connect_timeout": CONNECT_SECONDS, "application_name": "rapport", **KEPT_ALIVE}
    return {name: value for name, value in own.items() if name not in url.query}


def conninfo(url: URL) -> str:
    """A connection string of libpq for connections outside a pool."""
    return make_conninfo(url.set(drivername="postgresql").render_as_string(hide_password=False), **parameters(url))


def listening(url: URL) -> Connection:
    """A connection of one's own that commits by itself, to hear what is told."""
    return Connection.connect(conninfo(url), autocommit=True)


def in_use(pooled: Engine) -> int:
    """How many connections of a pool somebody has now."""
    assert isinstance(pooled.pool, QueuePool)  # noqa: S101 - tells the type checker
    return pooled.pool.checkedout()


def engine(
    url: URL,
    connections: int,
    idle: int,
    wait: float,
    server_seconds: float | None = None,
    *,
    hurried: bool = False,
    **options: Any,
) -> Engine:
    """A pool of at most so many connections, of which so many stay open idle.

    wait: seconds until one is free. server_seconds: after how long the server ends a statement; None for never.
    hurried: see HURRIED.
    """
    arguments = parameters(url, hurried=hurried)
    if server_seconds is not None and "options" in arguments:
        arguments["options"] += f" -c statement_timeout={round(server_seconds * 1000)}"
    kept = min(idle, connections)
    pool = create_engine(
        url,
        connect_args=arguments,
        pool_size=kept,
        max_overflow=connections - kept,
        pool_timeout=wait,
        pool_use_lifo=True,
        hide_parameters=True,  # errors reach the log, and what was bound are persons and secrets
        **options,
    )

    @event.listens_for(pool, "do_connect")
    def connect(dialect: Any, record: Any, arguments: Any, keywords: Any) -> Connection:
        try:
            return Connection.connect(*arguments, **keywords)
        except psycopg.OperationalError as error:
            if FAILED in str(error):
                raise
            # Of a socket or a name that is not there the driver has other words; durable work knows these only.
            raise psycopg.OperationalError(f"{FAILED}: {error}") from error

    event.listen(pool, "checkin", _put_back)
    event.listen(pool, "checkout", _look_at)
    return pool


def _put_back(connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _look_at(connection: Any, record: Any, proxy: Any) -> None:
    """Ask a connection that was idle for long, which may have ended meanwhile."""
    if connection is None or time.monotonic() - record.info.get("idle_since", math.inf) < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error
