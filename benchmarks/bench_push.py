"""Push messages: into the outbox, and out to a local stand-in for Apple's service, each beside its bare cost.

The stand-in is a process of its own that reads frames of HTTP/2 and keeps nothing, so that it is never what bounds the
rate. The bare client is h2 alone: one connection, the same headers and the same bytes again and again, no answer looked
at; as many requests at once as the service takes, or fewer, whichever is faster. Ours looks up the devices of each
customer, writes each payload, signs, and says of each message what became of it.

    python benchmarks/bench_push.py [--size N]
"""

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import shutil
import struct
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps import definitions
from rapport.channels.messages import Message, Origin
from rapport.channels.push.settings import PushSettings
from rapport.channels.push.transport import PushTransport
from rapport.delivery import outbox
from rapport.delivery.models import Source
from rapport.delivery.outbox import Entry
from rapport.settings import Settings
from rapport.stores import open_stores

LOWEST_A_SECOND, LOWEST_RATIO = 20_000, 0.5
STREAMS, FEW_STREAMS, TOGETHER = 1000, 100, 2000
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, ACK = 1, 1
PREFACE = 24
INSTALLS = """
    INSERT INTO installs (tenant_id, app_id, install_id, customer_id, person, token, token_type, token_key,
        is_production, bundle_id, package, os, device, time_zone, locale, app_version, sdk, badge, token_end_reason,
        created_at, seen_at)
    SELECT :tenant_id, :app_id, 'i' || number, 'C' || number, 'c' || number, md5(number::text) || md5('x' || number),
        1, md5(number::text), true, 'example.shop', '', '', '', '', '', '', '', 0, '', now(), now()
    FROM generate_series(1, :size) AS number
"""
PART = """
    SELECT CAST(json_agg(part) AS text) FROM (SELECT * FROM messages ORDER BY id LIMIT :most OFFSET :begin) AS part
"""
BARE = "INSERT INTO bare SELECT * FROM json_populate_recordset(CAST(NULL AS bare), CAST(:rows AS json))"


# --- the stand-in


def frame(kind: int, flags: int, stream_id: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream_id) + body


class Sink(asyncio.Protocol):
    """Answers each request with 200 when its last frame has come."""

    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer, self._greeted, self._octets = bytearray(), False, 0
        most = struct.pack(">HIHI", 3, STREAMS, 4, 2**20)
        transport.write(frame(SETTINGS, 0, 0, most) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30)))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._greeted:
            if len(self._buffer) < PREFACE:
                return
            del self._buffer[:PREFACE]
            self._greeted = True
        answers, at = [], 0
        while len(self._buffer) - at >= 9:
            length = int.from_bytes(self._buffer[at : at + 3], "big")
            if len(self._buffer) - at < 9 + length:
                break
            kind, flags = self._buffer[at + 3], self._buffer[at + 4]
            stream_id = int.from_bytes(self._buffer[at + 5 : at + 9], "big")
            if kind == SETTINGS and not flags & ACK:
                answers.append(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                answers.append(frame(PING, ACK, 0, bytes(self._buffer[at + 9 : at + 17])))
            elif kind in (DATA, HEADERS) and flags & END_STREAM:
                Sink.taken += 1
                answers.append(frame(HEADERS, END_STREAM | 4, stream_id, b"\x88"))
            if kind == DATA:
                self._octets += length
            at += 9 + length
        del self._buffer[:at]
        if self._octets > 2**28:
            answers.append(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._octets)))
            self._octets = 0
        if answers:
            self._transport.write(b"".join(answers))  # type: ignore[attr-defined]


def sink(pipe: multiprocessing.connection.Connection) -> None:
    """The child: serves; each word on the pipe is answered with how many requests it has answered."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            pipe.send(Sink.taken)

    asyncio.run(run())


# --- the bare client


class Bare(asyncio.Protocol):
    """Keeps as many requests under way as it may, until so many were answered."""

    def __init__(self, size: int, streams: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._left, self._open, self._waited = size, 0, size
        self._headers, self._body, self._streams = headers, body, streams
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._h2.initiate_connection()
        transport.write(self._h2.data_to_send())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, StreamEnded):
                self._open -= 1
                self._waited -= 1
        most = min(self._h2.remote_settings.max_concurrent_streams, self._streams)
        while self._left and self._open < most and self._h2.outbound_flow_control_window > len(self._body):
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, self._headers)
            self._h2.send_data(stream_id, self._body, end_stream=True)
            self._left -= 1
            self._open += 1
        self._transport.write(self._h2.data_to_send())  # type: ignore[attr-defined]
        if not self._waited and not self.ended.done():
            self.ended.set_result(None)


async def bare(port: int, size: int, streams: int, body: bytes) -> float:
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", f"127.0.0.1:{port}"),
        (":path", "/3/device/" + "ab" * 32),
        ("authorization", "bearer " + "x" * 200),
        ("apns-topic", "example.shop"),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-id", "5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"),
        ("apns-expiration", "1767225600"),
        ("apns-collapse-id", "ab" * 20),
    ]
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    transport, client = await loop.create_connection(lambda: Bare(size, streams, headers, body), "127.0.0.1", port)
    await client.ended
    transport.close()
    return time.perf_counter() - began


# --- ours


def message(number: int) -> Message:
    details = {"url": f"https://shop.example/offers/{number}", "data": {"sku": number}, "sound": "ping"}
    return Message(
        f"{number:040x}",
        f"C{number}",
        f"C{number}",
        f"Hello, customer {number}",
        "Whoever orders by Sunday gets everything by Tuesday, at no cost.",
        details=details,
        origin=Origin(506, 3000, 1),
    )


def pushed(scope: Scope, size: int) -> float:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    settings = PushSettings(apns_key=key.decode(), apns_key_id="K", apns_team_id="T", apns_topic="example.shop")
    transport = PushTransport(scope, settings, float("inf"))
    transport.check()
    began = time.perf_counter()
    outcomes = [receipt.outcome for receipt in transport.send(map(message, range(1, size + 1)))]
    seconds = time.perf_counter() - began
    transport.close()
    assert outcomes == ["sent"] * size
    return seconds


def entered(scope: Scope, size: int) -> float:
    entries = [Entry(3000, 506, f"C{number}", 1, 1, 1, "") for number in range(size)]
    began = time.perf_counter()
    for batch, begin in enumerate(range(0, size, TOGETHER), start=1):
        with scope.records() as session:
            outbox.enter(scope, session, Source.RUN, entries[begin : begin + TOGETHER], batch)
    return time.perf_counter() - began


def entered_bare(scope: Scope, size: int) -> float:
    """The rows that are there now, once more into a table without indexes."""
    with scope.records() as session:
        session.execute(text("CREATE TABLE bare (LIKE messages)"))
        parts = [
            session.scalar(
                text(PART),
                {"most": TOGETHER, "begin": begin},
            )
            for begin in range(0, size, TOGETHER)
        ]
    began = time.perf_counter()
    for rows in parts:
        with scope.records() as session:
            session.execute(text(BARE), {"rows": rows})
    return time.perf_counter() - began


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--size", type=int, default=30_000)
    size = options.parse_args().size
    near, far = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=sink, args=(far,), daemon=True)
    child.start()
    port = near.recv()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder, apns_url=f"http://127.0.0.1:{port}"))
    try:
        stores.clock.set(datetime.now(UTC))
        scope = create_tenant(stores, "bench", "UTC")
        app_id = definitions.create_app(scope, "Shop", {}, for_web=False).app.id
        with scope.records() as session:
            session.execute(text(INSTALLS), {"tenant_id": scope.tenant_id, "app_id": app_id, "size": size})
            session.execute(text("ANALYZE installs"))
        a_second = size / entered(scope, size)
        bare_a_second = size / entered_bare(scope, size)
        body = b"x" * 330
        ours, alone = [], []
        for streams in (STREAMS, FEW_STREAMS):
            alone.append(size / asyncio.run(bare(port, size, streams, body)))
            ours.append(size / pushed(scope, size))
        ratio = max(ours) / max(alone)
        print(f"into the outbox: {a_second:,.0f} messages/s; the bare INSERT {bare_a_second:,.0f}/s")
        print(f"to the service:  {max(ours):,.0f} messages/s; h2 alone {max(alone):,.0f}/s; {ratio:.0%} of it")
        near.send("how many?")
        assert near.recv() == 4 * size
        return 0 if a_second >= LOWEST_A_SECOND and ratio >= LOWEST_RATIO else 1
    finally:
        child.kill()
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
