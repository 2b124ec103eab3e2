"""A stand-in for Apple's push service that speaks HTTP/2, whose answers a test decides. It also runs by itself."""

import asyncio
import contextlib
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes

OK = (200, {}, "")
# Instead of an answer: the request is refused before it is looked at, or the connection breaks.
REFUSED, BROKEN = (1, {}, ""), (2, {}, "")


@dataclass
class Taken:
    """A request: its headers by name, and its payload."""

    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def token(self) -> str:
        return self.headers[":path"].removeprefix("/3/device/")


@dataclass
class ApnsServer:
    """answer gives status, headers and Apple's word for a token. None: the request gets no answer.

    streams is how many requests it takes at once on a connection, per_connection after how many it says goodbye.
    """

    answer: Callable[[Taken], tuple[int, dict[str, str], str] | None] = lambda taken: OK
    streams: int = 1000
    per_connection: int = 10**9
    keeps: bool = True
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open: set[asyncio.Transport] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def by_token(self) -> dict[str, list[Taken]]:
        tokens: dict[str, list[Taken]] = {}
        for taken in self.taken:
            tokens.setdefault(taken.token, []).append(taken)
        return tokens


class Protocol(asyncio.Protocol):
    def __init__(self, server: ApnsServer) -> None:
        self._server = server
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1
        self._server.open.add(transport)
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._server.streams})
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._served >= self._server.per_connection:
            return  # it came after the goodbye: the client leaves
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._requests[event.stream_id] = dict(event.headers), bytearray()
            elif isinstance(event, DataReceived):
                self._requests[event.stream_id][1].extend(event.data)
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._serve(event.stream_id)
                if self._served >= self._server.per_connection:
                    break
            elif isinstance(event, ConnectionTerminated):
                self._transport.close()
                return
        self._flush()

    def _serve(self, stream_id: int) -> None:
        headers, body = self._requests.pop(stream_id)
        self._served += 1
        taken = Taken(headers, json.loads(body) if self._server.keeps else {})
        if self._server.keeps:
            self._server.taken.append(taken)
        answered = self._server.answer(taken)
        if answered == REFUSED:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        elif answered == BROKEN:
            self._flush()
            self._transport.abort()
        elif answered is not None:
            status, more, word = answered
            content = json.dumps({"reason": word}).encode() if word else b""
            named = [(":status", str(status)), ("apns-id", headers.get("apns-id", "")), *more.items()]
            self._h2.send_headers(stream_id, named, end_stream=not content)
            if content:
                self._h2.send_data(stream_id, content, end_stream=True)
        if self._served == self._server.per_connection:
            self._h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=stream_id)

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())


async def _serve(server: ApnsServer, tls: ssl.SSLContext | None, started: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Protocol(server), "127.0.0.1", server.port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    started()
    try:
        async with listening:
            await listening.serve_forever()
    finally:
        for transport in list(server.open):
            transport.abort()
        while server.open:
            await asyncio.sleep(0.001)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, **members: Any) -> Iterator[ApnsServer]:
    server, ready, loop = ApnsServer(**members), threading.Event(), asyncio.new_event_loop()
    task = loop.create_task(_serve(server, tls, ready.set))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        loop.close()


if __name__ == "__main__":
    alone = ApnsServer(keeps=False)
    asyncio.run(_serve(alone, None, lambda: print(alone.port, flush=True)))
    sys.exit()
