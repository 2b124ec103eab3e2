"""Requests over HTTP/2, many at once on few connections, inside one event loop.

The rules of the protocol are h2's. Every request gets an answer or one of the errors below, which tell whether the
server may have carried it out.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from hpack import Encoder

Headers = Sequence[tuple[bytes, bytes]]

MOST_CONNECTIONS = 8
# A connection that could not be opened is not tried again for so long, and for so many times as long as the attempt
# took: whoever asks meanwhile is told so at once.
DOWN_SECONDS, TIMES_AS_LONG = 2.0, 3
LOOK_SECONDS, LEAVING_SECONDS = 1.0, 1.0
LARGEST_ANSWER = 64 * 1024
# Requests at once on a connection: at each new one the library counts those that are open.
MOST_STREAMS = 64


class NotReached(Exception):
    """No connection could be opened."""


class NotCarriedOut(Exception):
    """The server closed the connection before it looked at the request: it may be made again."""


class InDoubt(Exception):
    """The connection broke, or the answer took too long: nobody knows whether the request was carried out."""


@dataclass(slots=True)
class Response:
    """An answer; headers by name in lower case."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class _Exchange:
    headers: Headers
    body: bytes
    answer: "asyncio.Future[Response]"
    deadline: float
    response: Response = field(default_factory=Response)


class _PlainEncoder(Encoder):
    """Writes texts as they are: Huffman coding saves a few bytes, and would take most of the time of a request."""

    def encode(self, headers: Any, *_: Any, **__: Any) -> bytes:
        """The block of headers."""
        return super().encode(headers, huffman=False)


class Connection(asyncio.Protocol):
    """One connection. It is usable until the server says that it takes no more on it, or it breaks."""

    def __init__(self, seconds: float) -> None:
        configuration = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self._h2 = H2Connection(configuration)
        self._h2.encoder = _PlainEncoder()
        self._most = self._largest = 0  # requests at once, and bytes of a body, as the server has said
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.usable = True
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._open: dict[int, _Exchange] = {}
        self._waiting: deque[_Exchange] = deque()
        self._flushing = False
        self._writable = True
        self._looking: asyncio.TimerHandle | None = None

    @property
    def load(self) -> int:
        """How many requests are under way or wait on it."""
        return len(self._open) + len(self._waiting)

    @property
    def room(self) -> int:
        """How many more requests could begin now."""
        return self._most - self.load if self.usable else 0

    async def request(self, headers: Headers, body: bytes) -> Response:
        """Make a request, whose body is small. Raises NotCarriedOut and InDoubt."""
        if not self.usable:
            raise NotCarriedOut
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._waiting.append(_Exchange(headers, body, answer, time.monotonic() + self._seconds))
        self._pump()
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        """Take what the server says."""
        try:
            events = self._h2.receive_data(data)
        except H2Error:
            self._flush()
            self._end()
            return
        for event in events:
            self._heard(event)
        self._pump()
        self._flush_soon()

    def pause_writing(self) -> None:
        """The server takes no more for the moment."""
        self._writable = False

    def resume_writing(self) -> None:
        """It does again."""
        self._writable = True
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """What is under way is in doubt; what waits is not carried out."""
        self.usable = False
        self._lost.set()
        if self._looking is not None:
            self._looking.cancel()
        if not self.ready.done():
            self.ready.set_exception(NotReached())
            self.ready.exception()
        for exchange in self._open.values():
            _fail(exchange, InDoubt())
        self._open.clear()
        self._refuse_waiting()

    def close(self) -> None:
        """Leave the server."""
        self.usable = False
        if self._transport is not None and not self._transport.is_closing():
            with suppress(H2Error):
                self._h2.close_connection()
                self._flush()
            self._transport.close()

    async def left(self) -> None:
        """Wait for the end of a connection that was closed: over TLS both sides say goodbye. Cuts off a slow server."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), LEAVING_SECONDS)
        if self._transport is not None and not self._lost.is_set():
            self._transport.abort()
            await asyncio.sleep(0)

    def _heard(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            if exchange := self._open.get(event.stream_id or 0):
                headers = dict(event.headers or ())
                exchange.response.status = int(headers.get(b":status", b"0"))
                exchange.response.headers = headers
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            exchange = self._open.get(event.stream_id or 0)
            if exchange and len(exchange.response.body) < LARGEST_ANSWER:
                exchange.response.body += event.data or b""
        elif isinstance(event, StreamEnded):
            exchange = self._open.pop(event.stream_id or 0, None)
            if exchange and not exchange.answer.done():
                exchange.answer.set_result(exchange.response)
        elif isinstance(event, StreamReset):
            if exchange := self._open.pop(event.stream_id or 0, None):
                refused = event.error_code == ErrorCodes.REFUSED_STREAM
                _fail(exchange, NotCarriedOut() if refused else InDoubt())
        elif isinstance(event, RemoteSettingsChanged):
            settings = self._h2.remote_settings
            self._most = min(int(settings.max_concurrent_streams), MOST_STREAMS)
            self._largest = int(settings.initial_window_size)
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, ConnectionTerminated):
            self._leave(event.last_stream_id or 0)
        elif isinstance(event, WindowUpdated):
            return

    def _leave(self, last_stream_id: int) -> None:
        """The server takes nothing after a stream: what came later was not looked at, the rest may be answered yet."""
        self.usable = False
        for stream_id in [number for number in self._open if number > last_stream_id]:
            _fail(self._open.pop(stream_id), NotCarriedOut())
        self._refuse_waiting()
        if not self._open:
            self._end()

    def _refuse_waiting(self) -> None:
        while self._waiting:
            _fail(self._waiting.popleft(), NotCarriedOut())

    def _pump(self) -> None:
        """Begin requests for which there is room: streams, and bytes that the server is willing to take."""
        while self._waiting and self._writable and self.usable and len(self._open) < self._most:
            body = self._waiting[0].body
            if len(body) > self._h2.outbound_flow_control_window:
                break
            if len(body) > self._largest:
                _fail(self._waiting.popleft(), InDoubt())
                continue
            exchange = self._waiting.popleft()
            if exchange.answer.done():
                continue
            try:
                stream_id = self._h2.get_next_available_stream_id()
                self._h2.send_headers(stream_id, exchange.headers)
                self._h2.send_data(stream_id, body, end_stream=True)
            except H2Error:  # its numbers have run out, or the server broke the rules
                self.usable = False
                _fail(exchange, NotCarriedOut())
                self._refuse_waiting()
                break
            self._open[stream_id] = exchange
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Write what was put together in this turn of the loop at once."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is not None and (data := self._h2.data_to_send()):
            self._transport.write(data)
        if not self.usable and not self._open and not self._waiting:
            self._end()

    def _look(self) -> None:
        """Give up what has waited too long; requests end in about the order in which they began."""
        now = time.monotonic()
        for stream_id, exchange in list(self._open.items()):
            if exchange.deadline > now:
                break
            del self._open[stream_id]
            with suppress(H2Error):
                self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
            _fail(exchange, InDoubt())
        while self._waiting and self._waiting[0].deadline <= now:
            _fail(self._waiting.popleft(), NotCarriedOut())
        self._flush_soon()
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)

    def _end(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.close()


def _fail(exchange: _Exchange, error: Exception) -> None:
    if not exchange.answer.done():
        exchange.answer.set_exception(error)


class Pool:
    """The connections to one server: another is opened only when those that there are have no room.

    A URL of http is spoken to without encryption (RFC 9113, 3.3).
    """

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self.authority, self.scheme = parts.netloc.encode(), parts.scheme.encode()
        self._seconds = seconds
        self._connections: list[Connection] = []
        self._opening = asyncio.Lock()
        self._down_until = 0.0

    async def request(self, headers: Headers, body: bytes) -> Response:
        """Make a request on a connection with room. Raises NotReached, NotCarriedOut and InDoubt."""
        connection = self._roomy() or await self._another()
        return await connection.request(headers, body)

    async def check(self) -> None:
        """Connect, unless a connection is open. Raises NotReached."""
        self._down_until = 0.0
        if self._roomy() is None:
            await self._another()

    async def close(self) -> None:
        """Leave the server."""
        for connection in self._connections:
            connection.close()
        await asyncio.gather(*(connection.left() for connection in self._connections))
        self._connections.clear()

    def _roomy(self) -> Connection | None:
        return next((connection for connection in self._connections if connection.room > 0), None)

    async def _another(self) -> Connection:
        async with self._opening:
            if (roomy := self._roomy()) is not None:
                return roomy
            self._connections = [connection for connection in self._connections if connection.usable]
            if len(self._connections) >= MOST_CONNECTIONS:
                return min(self._connections, key=lambda connection: connection.load)
            if time.monotonic() < self._down_until:
                if self._connections:
                    return min(self._connections, key=lambda connection: connection.load)
                raise NotReached
            return await self._opened()

    async def _opened(self) -> Connection:
        loop, context = asyncio.get_running_loop(), None
        if self._is_secure:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["h2"])
        began = time.monotonic()
        connection = Connection(self._seconds)
        try:
            opening = loop.create_connection(lambda: connection, self._host, self._port, ssl=context)
            await asyncio.wait_for(opening, self._seconds)
            await asyncio.wait_for(connection.ready, self._seconds)
        except (OSError, TimeoutError, NotReached) as error:
            connection.close()
            now = time.monotonic()
            self._down_until = now + max(DOWN_SECONDS, TIMES_AS_LONG * (now - began))
            raise NotReached from error
        self._connections.append(connection)
        return connection
