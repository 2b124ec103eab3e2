"""One bind to an SMS centre (SMPP 3.4) as transceiver: what is submitted has a window, and whoever waits is told.

A thread of its own reads. It answers what the centre asks, sends what waits as soon as the window has room, and ends
the bind when the centre does not answer in time.
"""

import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from smpplib import consts, smpp
from smpplib.client import Client
from smpplib.exceptions import ConnectionError as Disconnected
from smpplib.exceptions import PDUError, UnknownCommandError

from rapport.channels.sms.settings import SmsChannelSettings

MORE = 65536
SMALLEST_PDU, LARGEST_PDU = 16, 70_000
HEADER = struct.Struct(">LLLL")
SUBMIT = 0x00000004
ANSWERS = frozenset({0x80000004, 0x80000000})  # submit_sm_resp, generic_nack
# How long the reader waits for the centre at most, and at least where the rate is limited.
TICK_SECONDS, SHORTEST_TICK = 0.25, 0.01
# A centre that wants less at a time is left alone for so long, each time twice as long as the time before.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
THROTTLED = frozenset({consts.SMPP_ESME_RTHROTTLED, consts.SMPP_ESME_RMSGQFUL})
# Instead of a status: the bind ended before the centre answered, or before it was asked.
UNANSWERED, NOT_SENT = -1, -2
FAULTS = (Disconnected, PDUError, UnknownCommandError, OSError, ValueError)

# Handles a deliver_sm and answers with its status.
Handler = Callable[[Any], int]
# Is told the status of what was submitted, and the centre's id of it.
Answered = Callable[[int, str], None]


@dataclass(slots=True)
class Submitted:
    """The body of a submit_sm that is sent, or waits for that, and whoever is told of the answer.

    sequence and since, by the monotonic clock, are those of the first time that it was sent; 0 before.
    """

    body: bytes
    answered: Answered
    sequence: int = 0
    since: float = 0.0


class _Connection(Client):  # type: ignore[misc]
    """The library's client over a connection to an address that was checked before."""

    def __init__(self, settings: SmsChannelSettings, address: str, timeout: float) -> None:
        super().__init__(settings.host, settings.port, timeout=timeout, allow_unknown_opt_params=True)
        self._address, self._is_tls = address, settings.security == "tls"
        # TLS lets no two threads at a connection at once.
        self._using = threading.Lock()

    def connect(self) -> None:
        """Connect. Raises OSError."""
        raw = socket.create_connection((self._address, self.port), self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context() if self._is_tls else None
        self._socket = context.wrap_socket(raw, server_hostname=self.host) if context else raw
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self.state = consts.SMPP_CLIENT_STATE_OPEN

    def receive(self, seconds: float) -> bytes:
        """What has come; nothing if that is nothing in so many seconds. Raises OSError at the end."""
        if not self._readable.poll(1000 * seconds):
            return b""
        with self._using:
            received: bytes = self._socket.recv(MORE)
        if not received:
            raise Disconnected
        return received

    def send(self, octets: bytes) -> None:
        """Send PDUs. Raises OSError, and Disconnected once the connection was left."""
        with self._using:
            if self._socket is None:
                raise Disconnected
            self._socket.sendall(octets)

    def leave(self) -> None:
        """Close the connection, whatever the state of the bind."""
        self.state = consts.SMPP_CLIENT_STATE_OPEN
        self.disconnect()


class Bind:
    """An open bind; see Submitted. Raises one of FAULTS where there can be none.

    handle is called for what the centre delivers, in the reading thread.
    """

    def __init__(self, settings: SmsChannelSettings, address: str, handle: Handler) -> None:
        self._settings, self._handle = settings, handle
        self._client = _Connection(settings, address, settings.timeout_seconds)
        self._client.connect()
        try:
            self._client.bind_transceiver(
                system_id=settings.system_id, password=settings.password, system_type=settings.system_type
            )
        except BaseException:
            self._client.leave()
            raise
        self._changed = threading.Condition()
        self._queued: deque[Submitted] = deque()
        self._waiting: dict[int, Submitted] = {}
        self._pause, self._paused_until = FIRST_PAUSE, 0.0
        self._heard = self._asked = time.monotonic()
        self._next_at = 0.0
        rate = settings.per_second
        self._tick_seconds = min(TICK_SECONDS, max(1 / rate, SHORTEST_TICK)) if rate else TICK_SECONDS
        self.usable = True
        self._reader = threading.Thread(target=self._read, name="smpp read", daemon=True)
        self._reader.start()

    def submit(self, submitted: Sequence[Submitted]) -> bool:
        """Have PDUs sent in this order as soon as the window has room; False, and nothing is, if the bind has ended.

        Otherwise answered of each is called once, whatever happens.
        """
        with self._changed:
            if not self.usable:
                return False
            if not self._queued:
                self._next_at = max(self._next_at, time.monotonic())
            self._queued += submitted
        self._send_queued()
        return True

    def _send_queued(self) -> None:
        """Send what there is room for."""
        with self._changed:
            octets = b"".join(self._drawn(time.monotonic()))
        if octets:
            self._write(octets)

    def _drawn(self, now: float) -> Iterator[bytes]:
        """The PDUs that may leave now; the lock is held."""
        room = min(self._settings.window - len(self._waiting), len(self._queued))
        if now < self._paused_until:
            return
        if rate := self._settings.per_second:
            # What a full window has held up is not made up for.
            self._next_at = max(self._next_at, now - self._tick_seconds)
            room = min(room, int((now - self._next_at) * rate) + 1 if now >= self._next_at else 0)
            self._next_at += max(room, 0) / rate
        for _ in range(room):
            submitted = self._queued.popleft()
            if not submitted.sequence:
                submitted.sequence, submitted.since = self._client.next_sequence(), now
            self._waiting[submitted.sequence] = submitted
            length = SMALLEST_PDU + len(submitted.body)
            yield HEADER.pack(length, SUBMIT, consts.SMPP_ESME_ROK, submitted.sequence) + submitted.body

    def _write(self, octets: bytes) -> None:
        try:
            self._client.send(octets)
        except FAULTS:
            self._hang_up()  # the reader tells those who wait

    def drain(self, seconds: float) -> None:
        """Wait until everything is answered, at most so long."""
        end = time.monotonic() + seconds
        with self._changed:
            while self.usable and (self._waiting or self._queued) and time.monotonic() < end:
                self._changed.wait(TICK_SECONDS)

    def close(self) -> None:
        """Leave the centre; whoever still waits is told that there was no answer."""
        if self.usable:
            self._write(smpp.make_pdu("unbind", client=self._client).generate())
        self._hang_up()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def _hang_up(self) -> None:
        connection = getattr(self._client, "_socket", None)
        with suppress(OSError):
            if connection is not None:
                connection.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        buffer = bytearray()
        try:
            while True:
                buffer += self._client.receive(self._tick_seconds)
                self._take_frames(buffer)
                self._send_queued()
                self._tick()
        except FAULTS:
            pass
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self.usable = False
            left = [*self._waiting.values(), *self._queued]
            self._waiting.clear()
            self._queued.clear()
            self._changed.notify_all()
        self._client.leave()
        for submitted in left:
            submitted.answered(UNANSWERED if submitted.sequence else NOT_SENT, "")

    def _take_frames(self, buffer: bytearray) -> None:
        """React to the PDUs that are whole. Raises one of FAULTS at the end of the bind."""
        answers: list[tuple[Submitted, int, str]] = []
        try:
            while (frame := _next_frame(buffer)) is not None:
                self._heard = time.monotonic()
                _, command, status, sequence = HEADER.unpack_from(frame)
                if command not in ANSWERS:
                    self._take(smpp.parse_pdu(frame, client=self._client, allow_unknown_opt_params=True))
                elif (submitted := self._answered(sequence, status)) is not None:
                    given_id = frame[SMALLEST_PDU:].partition(b"\0")[0].decode("latin-1")
                    answers.append((submitted, status, given_id))
        finally:
            for submitted, status, given_id in answers:
                submitted.answered(status, given_id)

    def _take(self, pdu: Any) -> None:
        if pdu.command == "deliver_sm":
            self._reply("deliver_sm_resp", pdu, self._handle(pdu))
        elif pdu.command == "enquire_link":
            self._reply("enquire_link_resp", pdu, consts.SMPP_ESME_ROK)
        elif pdu.command == "unbind":
            self._reply("unbind_resp", pdu, consts.SMPP_ESME_ROK)
            raise Disconnected

    def _reply(self, command: str, pdu: Any, status: int) -> None:
        reply = smpp.make_pdu(command, client=self._client, status=status)
        reply.sequence = pdu.sequence
        self._write(reply.generate())

    def _answered(self, sequence: int, status: int) -> Submitted | None:
        """What an answer is to; None if it is to nothing, or has that sent again."""
        with self._changed:
            submitted = self._waiting.pop(sequence, None)
            if submitted is None:
                return None
            if status in THROTTLED and time.monotonic() - submitted.since < self._settings.timeout_seconds:
                self._queued.appendleft(submitted)
                self._paused_until = time.monotonic() + self._pause
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                return None
            if status not in THROTTLED:
                self._pause = FIRST_PAUSE
            if not self._waiting and not self._queued:
                self._changed.notify_all()
        return submitted

    def _tick(self) -> None:
        """What is due at times. Raises Disconnected for a centre that does not answer any more."""
        now = time.monotonic()
        with self._changed:
            oldest = next(iter(self._waiting.values()), None)
        silence = now - self._heard
        if oldest and now - oldest.since > self._settings.timeout_seconds < silence:
            raise Disconnected
        if silence > self._settings.enquire_seconds + self._settings.timeout_seconds:
            raise Disconnected
        if silence > self._settings.enquire_seconds < now - self._asked:
            self._asked = now
            self._write(smpp.make_pdu("enquire_link", client=self._client).generate())


def _next_frame(buffer: bytearray) -> bytes | None:
    """The first whole PDU of a buffer, which is taken out of it. Raises ValueError for what is no PDU."""
    if len(buffer) < SMALLEST_PDU:
        return None
    length = int.from_bytes(buffer[:4], "big")
    if not SMALLEST_PDU <= length <= LARGEST_PDU:
        raise ValueError("no PDU")
    if len(buffer) < length:
        return None
    frame = bytes(buffer[:length])
    del buffer[:length]
    return frame
