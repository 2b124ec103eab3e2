"""Connections of the server: how much of a request's head is taken, how long is waited for it, how many there are.

The limits are in a protocol of uvicorn's that is parsed by httptools, which has none; h11, which limits the head only,
takes about twice the time for a request.
"""

import uuid
from asyncio import TimerHandle, Transport
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Self

import orjson
import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rapport.api.http.event_streams import end_stream
from rapport.api.http.protection import protected
from rapport.settings import Settings

MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
# Requests that a caller sends before those before them are answered: to begin each takes the event loop, and thousands
# fit into what is read at a time.
MOST_AHEAD = 32
# A body may come in so many pieces of any size; if in more, they must hold so many bytes on the average, as lines do.
MOST_PIECES, FEWEST_BYTES = 1000, 8
# Beyond the time that a body is waited for, it must come as fast as this (bytes a second).
SLOWEST = 1000
# What still comes after a refusal is read, and dropped, up to so many bytes.
MOST_DISCARDED = 1024 * 1024
GRACE_SECONDS = 10
# Longer than callers and load balancers keep a connection that nothing uses (a minute, as a rule): were the server the
# first to close it, a request that was sent at that moment would be lost.
KEEP_ALIVE_SECONDS = 75
log = structlog.get_logger("rapport.serve")


@dataclass(frozen=True)
class Limits:
    """Seconds until a head is whole, and without anything of a body; and how many connections there may be."""

    head_seconds: float
    body_seconds: float
    connections: int


class TooFarAhead(Exception):
    """More requests than are let wait on one connection."""


class TooManyPieces(Exception):
    """A body in thousands of pieces of a few bytes, each of which takes the event loop."""


class HeadTooLarge(Exception):
    """A head of too many bytes or headers."""


class LimitedConnection(HttpToolsProtocol):
    """A connection that is closed when what it waits for does not come.

    until: when that is, by the loop's clock; None while a request is worked on. idle_since: when the wait for a
    request began; None while there is one.
    """

    limits: ClassVar[Limits]
    until: float | None
    idle_since: float | None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request; where there are too many connections, the one that waits longest goes."""
        super().connection_made(transport)
        self._head = self._headers = self._unused = 0
        self._used = self._in_head = self._refused = False
        self._body_bytes, self._body_since = 0, 0.0
        self._pieces = self._pieces_bytes = 0
        self._blocked_since: float | None = None
        self.idle_since = self.loop.time()
        self.until = self.idle_since + self.limits.head_seconds
        self._watch: TimerHandle = self.loop.call_later(self.limits.head_seconds, self._look)
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._watch.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """A web socket has rules of its own."""
        self._watch.cancel()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what cannot be used yet: a header that never ends, say."""
        if self._refused:
            self._unused += len(data)
            if self._unused > MOST_DISCARDED:
                self.transport.abort()
            return
        self._used = False
        super().data_received(data)
        self._unused = 0 if self._used else self._unused + len(data)
        if self._unused > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The head has its time from here."""
        if len(self.pipeline) >= MOST_AHEAD:
            raise TooFarAhead
        super().on_message_begin()
        self._used = self._in_head = True
        self._head = self._headers = 0
        self.idle_since = self.loop.time()
        self.until = self.idle_since + self.limits.head_seconds

    def on_url(self, url: bytes) -> None:
        """Count a part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, of the head or behind a body."""
        self._headers += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._used = True
        self._head += size
        if self._head > MOST_HEAD_BYTES or self._headers > MOST_HEADERS:
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        """The body has its time from here."""
        self._used, self._body_bytes, self._body_since = True, 0, self.loop.time()
        self._in_head, self.idle_since = False, None
        self._pieces = self._pieces_bytes = 0
        self.until = self._body_since + self.limits.body_seconds
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """More of a body gives it more time, unless it is answered already."""
        self._used = True
        self._pieces += 1
        self._pieces_bytes += len(body)
        if self._pieces > MOST_PIECES and self._pieces_bytes < self._pieces * FEWEST_BYTES:
            raise TooManyPieces
        if self.cycle is not None and not self.cycle.response_complete:
            self._body_bytes += len(body)
            self.until = self._body_since + self.limits.body_seconds + self._body_bytes / SLOWEST
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A whole request is worked on for as long as that takes."""
        self._used = True
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_next()
        else:
            self.until = None

    def on_response_complete(self) -> None:
        """Wait for the next request; or for the rest of this one, which was answered before it was whole."""
        super().on_response_complete()
        if self._in_head or not self.cycle.response_complete:
            return  # another has come behind it
        if self.cycle.more_body:
            self.until = self.loop.time() + self.limits.body_seconds
        else:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        self.idle_since = self.loop.time()
        self.until = self.idle_since + self.timeout_keep_alive + self.limits.head_seconds

    def shutdown(self) -> None:
        """The server stops: an answer that is under way is written to its end, and a stream, which has none, ends."""
        if self.cycle is not None:
            end_stream(self.cycle.scope)
        super().shutdown()

    def pause_writing(self) -> None:
        """The caller does not take its answer as fast as it comes."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The caller takes its answer."""
        self._blocked_since = None
        super().resume_writing()

    def _look(self) -> None:
        """Close what has waited too long; look again when the next wait may be too long."""
        now = self.loop.time()
        if self._blocked_since is not None and now >= self._blocked_since + self.limits.body_seconds:
            self.transport.abort()
            return
        if self.flow.read_paused and self.until is not None:
            self.until = now + self.limits.body_seconds  # it is we who do not take more
        if self.until is not None and now >= self.until:
            self.transport.close()
            return
        shortest = min(self.limits.head_seconds, self.limits.body_seconds)
        pause = shortest if self.until is None else min(shortest, self.until - now)
        self._watch = self.loop.call_later(max(pause, 0.01), self._look)

    def _make_room(self) -> None:
        other_connections = [
            other for other in self.connections if isinstance(other, LimitedConnection) and other is not self
        ]
        idle = {
            other: other.idle_since for other in other_connections if other.idle_since is not None and other.is_free
        }
        if idle:
            min(idle, key=idle.__getitem__).transport.abort()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    @property
    def is_free(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refuses."""
        too_large = self._head > MOST_HEAD_BYTES or self._headers > MOST_HEADERS
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer something that is no request, and close the connection."""
        if not self.is_free:
            self.transport.abort()
            return
        request_id, body = uuid.uuid4().hex, orjson.dumps(SENTENCES[status])
        log.warning("no request", request_id=request_id, status=status.value)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
        ]
        lines = [name + b": " + value + b"\r\n" for name, value in protected("", headers)]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        # Were it closed at once, what is still to come would cut it off before the caller has read the answer.
        self.transport.write_eof()
        self._refused, self._unused, self.idle_since = True, 0, self.loop.time()
        self.until = self.idle_since + self.limits.body_seconds

    @classmethod
    def within(cls, limits: Limits) -> type[Self]:
        """The protocol of a server with these limits."""
        return type(cls.__name__, (cls,), {"limits": limits})


SENTENCES = {
    HTTPStatus.BAD_REQUEST: "This is not a valid HTTP request.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"The head of a request has at most {MOST_HEAD_BYTES} bytes and {MOST_HEADERS} headers."
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: "The server has as many connections as it takes: try again in a moment.",
}


def configured(app: FastAPI, settings: Settings, port: int = 8000) -> uvicorn.Config:
    """How an application is served: nothing tells what serves it, and no connection holds up another.

    port is for a server that is given no socket; 0 takes a free one.
    """
    limits = Limits(settings.head_seconds, settings.body_seconds, settings.max_connections)
    return uvicorn.Config(
        app,
        port=port,
        http=LimitedConnection.within(limits),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
