"""A real SMS centre on loopback: SMPP 3.4 over asyncio, its PDUs put together by hand.

Numbers end as they are treated: 99 do not exist, 50 are refused once for now, 58 are throttled twice.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

BIND_TRANSCEIVER, SUBMIT, DELIVER, UNBIND, ENQUIRE, NACK = 0x09, 0x04, 0x05, 0x06, 0x15, 0x80000000
RESPONSE = 0x80000000
OK, INVALID_PASSWORD, SYSTEM_ERROR, INVALID_NUMBER, THROTTLED = 0x00, 0x0E, 0x08, 0x0B, 0x58


@dataclass
class Submission:
    source: tuple[int, int, str]
    to: str
    esm_class: int
    registered: int
    coding: int
    octets: bytes
    given_id: str

    @property
    def text(self) -> str:
        octets = self.octets[self.octets[0] + 1 :] if self.esm_class & 0x40 else self.octets
        return octets.decode("utf-16-be") if self.coding == 8 else octets.decode("latin-1")


@dataclass
class SmsCentre:
    port: int = 0
    password: str = "pass"
    submissions: list[Submission] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    binds: int = 0
    bound: int = 0
    enquiries: int = 0
    most_unanswered: int = 0
    answers: list[tuple[int, int]] = field(default_factory=list)  # to deliver_sm: sequence, status
    held: bool = False  # nothing is answered
    hold_after: int = 0  # submissions that are answered before nothing is
    hang_up_after: int = 0  # submissions that are taken and not answered before the connection ends
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def to(self) -> Counter[str]:
        return Counter(each.to for each in self.submissions)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = 0
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = struct.unpack(">L", await reader.readexactly(4))[0]
                command, status, sequence = struct.unpack(">LLL", await reader.readexactly(12))
                body = await reader.readexactly(length - 16)
                waiting += 1
                self.most_unanswered = max(self.most_unanswered, waiting)
                await self.take(writer, command, status, sequence, body)
                if not self.held:
                    waiting = 0
        if writer in self.writers:
            self.writers.remove(writer)
            self.bound -= 1
        writer.close()

    async def take(self, writer: asyncio.StreamWriter, command: int, status: int, sequence: int, body: bytes) -> None:
        if command == BIND_TRANSCEIVER:
            self.binds += 1
            password = body.split(b"\0")[1]
            refused = password.decode() != self.password
            self.reply(writer, command, sequence, INVALID_PASSWORD if refused else OK, b"centre\0")
            if not refused:
                self.writers.append(writer)
                self.bound += 1
        elif command == SUBMIT:
            result, given_id = self.submitted(body)
            if self.hang_up_after and len(self.submissions) >= self.hang_up_after:
                self.hang_up_after = 0
                raise ConnectionError
            if self.hold_after and len(self.submissions) >= self.hold_after:
                self.held = True
            while self.held and not writer.transport.is_closing():
                await asyncio.sleep(0.01)
            self.reply(writer, command, sequence, result, given_id.encode() + b"\0" if given_id else b"")
        elif command == ENQUIRE:
            self.enquiries += 1
            if not self.held:
                self.reply(writer, command, sequence, OK)
        elif command == DELIVER | RESPONSE:
            self.answers.append((sequence, status))
        elif command == UNBIND:
            self.reply(writer, command, sequence, OK)
            raise ConnectionError
        await writer.drain()

    def reply(self, writer: asyncio.StreamWriter, command: int, sequence: int, status: int, body: bytes = b"") -> None:
        writer.write(struct.pack(">LLLL", 16 + len(body), command | RESPONSE, status, sequence) + body)

    def submitted(self, body: bytes) -> tuple[int, str]:
        _, rest = body.split(b"\0", 1)  # service type
        source_ton, source_npi = rest[0], rest[1]
        source, rest = rest[2:].split(b"\0", 1)
        number, rest = rest[2:].split(b"\0", 1)
        esm_class, rest = rest[0], rest[3:]
        _, _, rest = rest.split(b"\0", 2)  # schedule, validity
        registered, _, coding, _, length = rest[:5]
        to = number.decode()
        self.asked[to] += 1
        if to.endswith("99"):
            return INVALID_NUMBER, ""
        if to.endswith("50") and self.asked[to] == 1:
            return SYSTEM_ERROR, ""
        if to.endswith("58") and self.asked[to] <= 2:
            return THROTTLED, ""
        given_id = f"c{len(self.submissions):04d}"
        from_ = (source_ton, source_npi, source.decode())
        self.submissions.append(Submission(from_, to, esm_class, registered, coding, rest[5 : 5 + length], given_id))
        return OK, given_id

    def deliver(self, sequence: int, source: str, to: str, text: bytes, esm_class: int = 0, tlvs: bytes = b"") -> None:
        """Deliver something over the newest bind."""
        body = b"\0" + bytes([1, 1]) + source.encode() + b"\0" + bytes([0, 1]) + to.encode() + b"\0"
        body += bytes([esm_class, 0, 0]) + b"\0\0" + bytes([0, 0, 0, 0, len(text)]) + text + tlvs
        pdu = struct.pack(">LLLL", 16 + len(body), DELIVER, 0, sequence) + body
        self.loop.call_soon_threadsafe(lambda: self.writers[-1].write(pdu))

    def report(self, sequence: int, given_id: str, state: str, by_tlv: bool = False) -> None:
        """Deliver a receipt, by its text or by parameters."""
        written = f"id:{given_id} sub:001 dlvrd:001 submit date:2603100830 done date:2603100831 stat:{state} err:000"
        states = {"DELIVRD": 2, "EXPIRED": 3, "UNDELIV": 5, "REJECTD": 8}
        known = given_id.encode() + b"\0"
        tlvs = struct.pack(">HHB", 0x0427, 1, states[state]) + struct.pack(">HH", 0x001E, len(known)) + known
        self.deliver(
            sequence, "491713920001", "Northwind", b"" if by_tlv else written.encode(), 0x04, tlvs if by_tlv else b""
        )

    def hang_up(self) -> None:
        def end() -> None:
            for writer in self.writers:
                writer.transport.abort()

        self.loop.call_soon_threadsafe(end)


@contextmanager
def sms_centre(port: int = 0) -> Iterator[SmsCentre]:
    centre = SmsCentre()
    started = threading.Event()
    servers: list[Any] = []

    async def begin() -> None:
        servers.append(await asyncio.start_server(centre.serve, "127.0.0.1", port))
        centre.port = servers[0].sockets[0].getsockname()[1]
        started.set()

    async def end() -> None:
        servers[0].close()
        for writer in centre.writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        centre.loop.call_soon(centre.loop.stop)

    def run() -> None:
        asyncio.set_event_loop(centre.loop)
        centre.loop.create_task(begin())
        centre.loop.run_forever()
        centre.loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield centre
    finally:
        asyncio.run_coroutine_threadsafe(end(), centre.loop)
        thread.join(10)
