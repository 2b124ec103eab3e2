"""One bind to an SMS centre (SMPP 3.4) as transceiver: what is submitted has a window, and whoever waits is told.

A thread of its own reads. It answers what the centre asks, sends what the centre wants again, and ends the bind when
the centre does not answer in time.
"""

import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
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
HEADER = struct.Struct(">LLL")
ANSWERS = frozenset({0x80000004, 0x80000000})  # submit_sm_resp, generic_nack
TICK_SECONDS = 0.25
# A centre that wants less at a time is left alone for so long, each time twice as long as the time before.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
THROTTLED = frozenset({consts.SMPP_ESME_RTHROTTLED, consts.SMPP_ESME_RMSGQFUL})
# Instead of a status: the bind ended before the centre answered.
UNANSWERED = -1
FAULTS = (Disconnected, PDUError, UnknownCommandError, OSError, ValueError)

# Handles a deliver_sm and answers with its status.
Handler = Callable[[Any], int]


@dataclass
class Submitted:
    """A PDU that was sent and waits for its answer: whoever is told of the status and the centre's id of the message,
    and since when, by the monotonic clock."""

    pdu: Any
    answered: Callable[[int, str], None]
    since: float


class _Connection(Client):  # type: ignore[misc]
    """The library's client over a connection to an address that was checked before."""

    def __init__(self, settings: SmsChannelSettings, address: str, timeout: float) -> None:
        super().__init__(settings.host, settings.port, timeout=timeout, allow_unknown_opt_params=True)
        self._address, self._is_tls = address, settings.security == "tls"

    def connect(self) -> None:
        """Connect. Raises OSError."""
        raw = socket.create_connection((self._address, self.port), self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context() if self._is_tls else None
        self._socket = context.wrap_socket(raw, server_hostname=self.host) if context else raw
        self.state = consts.SMPP_CLIENT_STATE_OPEN

    def receive(self) -> bytes:
        """What has come; nothing if that is nothing for a while. Raises OSError at the end."""
        try:
            received: bytes = self._socket.recv(MORE)
        except TimeoutError:
            return b""
        if not received:
            raise Disconnected
        return received

    def send(self, pdu: Any) -> None:
        """Send a PDU. Raises OSError."""
        self._socket.sendall(pdu.generate())

    def leave(self) -> None:
        """Close the connection, whatever the state of the bind."""
        self.state = consts.SMPP_CLIENT_STATE_OPEN
        self.disconnect()

    def wait_at_most(self, seconds: float) -> None:
        """For how long reading waits."""
        self._socket.settimeout(seconds)


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
        self._client.wait_at_most(TICK_SECONDS)
        self._writing, self._changed = threading.Lock(), threading.Condition()
        self._waiting: dict[int, Submitted] = {}
        self._again: deque[Submitted] = deque()
        self._pause, self._paused_until = FIRST_PAUSE, 0.0
        self._heard = self._asked = time.monotonic()
        self._next_at = 0.0
        self.usable = True
        self._reader = threading.Thread(target=self._read, name="smpp read", daemon=True)
        self._reader.start()

    @property
    def client(self) -> Client:
        """What numbers PDUs."""
        return self._client

    def submit(self, pdu: Any, answered: Callable[[int, str], None]) -> bool:
        """Send a PDU as soon as there is room in the window; False where the bind ended before.

        Of what was sent answered is called once, whatever happens.
        """
        with self._changed:
            while self.usable and (len(self._waiting) + len(self._again) >= self._settings.window or self._is_paused()):
                self._changed.wait(TICK_SECONDS)
            self._keep_rate()
            if not self.usable:
                return False
            self._waiting[pdu.sequence] = Submitted(pdu, answered, time.monotonic())
        self._write(pdu)
        return True

    def _is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _keep_rate(self) -> None:
        """Wait until one more may be sent in the second; the lock is held."""
        if not self._settings.per_second:
            return
        due = max(self._next_at, time.monotonic())
        self._next_at = due + 1 / self._settings.per_second
        while self.usable and (seconds := due - time.monotonic()) > 0:
            self._changed.wait(seconds)

    def _write(self, pdu: Any) -> None:
        try:
            with self._writing:
                self._client.send(pdu)
        except FAULTS:
            self._hang_up()  # the reader tells those who wait

    def drain(self, seconds: float) -> None:
        """Wait until everything is answered, at most so long."""
        end = time.monotonic() + seconds
        with self._changed:
            while self.usable and (self._waiting or self._again) and time.monotonic() < end:
                self._changed.wait(TICK_SECONDS)

    def close(self) -> None:
        """Leave the centre; whoever still waits is told that there was no answer."""
        if self.usable:
            self._write(smpp.make_pdu("unbind", client=self._client))
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
                buffer += self._client.receive()
                while (frame := _next_frame(buffer)) is not None:
                    self._take_frame(frame)
                self._tick()
        except FAULTS:
            pass
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self.usable = False
            left = [*self._waiting.values(), *self._again]
            self._waiting.clear()
            self._again.clear()
            self._changed.notify_all()
        self._client.leave()
        for submitted in left:
            submitted.answered(UNANSWERED, "")

    def _take_frame(self, frame: bytes) -> None:
        """React to a PDU. Raises one of FAULTS at the end of the bind."""
        self._heard = time.monotonic()
        command, status, sequence = HEADER.unpack_from(frame, 4)
        if command in ANSWERS:  # by far most of what comes
            given_id = frame[SMALLEST_PDU:].partition(b"\0")[0].decode("latin-1")
            self._answered(sequence, status, given_id)
        else:
            self._take(smpp.parse_pdu(frame, client=self._client, allow_unknown_opt_params=True))

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
        self._write(reply)

    def _answered(self, sequence: int, status: int, given_id: str) -> None:
        with self._changed:
            submitted = self._waiting.pop(sequence, None)
            if submitted is None:
                return
            if status in THROTTLED and time.monotonic() - submitted.since < self._settings.timeout_seconds:
                self._again.append(submitted)
                self._paused_until = time.monotonic() + self._pause
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                return
            if status not in THROTTLED:
                self._pause = FIRST_PAUSE
            # Whoever submits is woken for several at once: each turn of a thread costs more than a PDU.
            if len(self._waiting) <= self._settings.window // 2:
                self._changed.notify_all()
        submitted.answered(status, given_id)

    def _tick(self) -> None:
        """What is due at times. Raises Disconnected for a centre that does not answer any more."""
        now = time.monotonic()
        with self._changed:
            due = list(self._again) if not self._is_paused() else []
            self._again = deque() if due else self._again
            for submitted in due:
                self._waiting[submitted.pdu.sequence] = submitted
            oldest = next(iter(self._waiting.values()), None)
        for submitted in due:
            self._write(submitted.pdu)
        silence = now - self._heard
        if oldest and now - oldest.since > self._settings.timeout_seconds < silence:
            raise Disconnected
        if silence > self._settings.enquire_seconds + self._settings.timeout_seconds:
            raise Disconnected
        if silence > self._settings.enquire_seconds < now - self._asked:
            self._asked = now
            self._write(smpp.make_pdu("enquire_link", client=self._client))


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
