"""How long a warehouse may take; connections to one by URL: none waits without end, and nothing is written twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs, urlsplit

import clickhouse_connect
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from rapport.errors import Unavailable

CONNECT_SECONDS = 5
# Seconds that a server may take to say who it is, which it does before the first statement.
GREETING_SECONDS = 30.0
# Seconds until a server is given up that says nothing for so long.
ANSWER_SECONDS = 600.0

_seconds: ContextVar[float] = ContextVar("answer_seconds", default=ANSWER_SECONDS)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Give a server so long to say something to each statement of the block; it then counts as away."""
    before = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(before)


def seconds_of_query() -> int:
    """How long a SELECT of the present block may take in the engine, so that it ends before it is given up; 0: as it
    takes, where nobody waits for it."""
    seconds = _seconds.get()
    return max(1, int(seconds) - 1) if seconds < ANSWER_SECONDS else 0


def checked(url: str) -> str:
    """An address as it was given. Raises Unavailable when it is none."""
    with suppress(ValueError):
        address = urlsplit(url)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            return url
    raise Unavailable("RAPPORT_WAREHOUSE_URL is not an address: write http://user@host:port.")


def client(url: str, database: str, settings: dict[str, Any]) -> Any:
    """A client of a server, for one thread at a time. Raises ClickHouseError.

    It has no session: settings go with every statement, and a session would refuse a statement while one that was
    cut off still runs.
    """
    new_client = clickhouse_connect.get_client(
        dsn=url,
        database=database,
        settings=settings,
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=min(GREETING_SECONDS, _seconds.get()),
        autogenerate_session_id=False,
    )
    _send_inserts_once(new_client.http)
    return new_client


def be_patient(server_client: Any) -> None:
    """Let a client wait for as long as the block allows that it is used in."""
    server_client.timeout = Timeout(connect=CONNECT_SECONDS, read=_seconds.get())


def _send_inserts_once(connections: Any) -> None:
    """Let a pool of connections, which clients share, send no insert a second time.

    The driver sends one again whose connection was cut off. It may have been carried out: that is for the caller to
    find out, who knows how to repeat it.
    """
    if "request" in vars(connections):
        return
    send, last = connections.request, threading.local()

    def request(method: str, url: str, **options: Any) -> Any:
        body = options.get("body")
        if body is not None and not (isinstance(body, bytes) and not body.startswith(b"INSERT")):
            number = parse_qs(urlsplit(url).query)["query_id"]
            if number == getattr(last, "number", None):
                raise HTTPError("an insert was cut off")
            last.number = number
        return send(method, url, **options)

    connections.request = request
