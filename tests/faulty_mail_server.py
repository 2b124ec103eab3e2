"""A mail server that misbehaves on order: at any point of the dialogue, in any way, at the turns that a test plans."""

import re
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Point(StrEnum):
    """Where in the dialogue the server answers. CONTENT is after the final dot, TLS the handshake."""

    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    TLS = "TLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    RSET = "RSET"
    QUIT = "QUIT"


class Fault(StrEnum):
    """What it does there instead of answering, or besides."""

    ENDED = "ends the connection"
    RESET = "resets the connection"
    HALF = "ends the connection in the middle of a reply"
    CLOSING = "says 421 and ends the connection"
    BUSY = "says 421 and stays"
    DEFERRED = "says 451"
    REFUSED = "says 554"
    GARBAGE = "answers with bytes that are no reply"
    NOISE = "sends bytes that are no reply before its reply"
    TWICE = "answers twice"
    SILENT = "says nothing"
    LONG_LINE = "answers with a line of 9,000 bytes"
    ENDLESS = "answers with lines that do not end"
    PIECES = "answers byte by byte"
    LINES = "answers in many lines"
    OTHER_CODE = "answers with a code of success that has no meaning of its own"


# After these the client knows that its message was taken, or is not to be.
HARMLESS = (Fault.PIECES, Fault.LINES, Fault.OTHER_CODE)
HEARD = (*HARMLESS, Fault.TWICE)
NOT_TAKEN = (Fault.CLOSING, Fault.BUSY, Fault.DEFERRED, Fault.REFUSED)
REPLIES = {
    Fault.CLOSING: b"421 4.3.2 closing\r\n",
    Fault.BUSY: b"421 4.3.2 too busy\r\n",
    Fault.DEFERRED: b"451 4.3.0 later\r\n",
    Fault.REFUSED: b"554 5.7.1 not this\r\n",
}
NOISE = b"\xff\x00\x80 what?\r\n"
LETTER_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)
LONGEST_SECONDS = 20


def faults_at(point: Point) -> list[Fault]:
    """What can go wrong at a point."""
    if point is Point.TLS:
        return [Fault.ENDED, Fault.RESET, Fault.GARBAGE, Fault.SILENT]
    without_other_codes = (Point.GREETING, Point.EHLO, Point.STARTTLS, Point.AUTH, Point.DATA)
    return [fault for fault in Fault if fault is not Fault.OTHER_CODE or point not in without_other_codes]


class Ended(Exception):
    """The server has left, or is to leave, the connection."""


class FaultyMailServer:
    """Serves at a port of loopback, and keeps what arrived. It offers TLS and a login, and pipelining if it is to.

    plan has for each point what happens at its next turns, None for nothing; lasting what happens to a recipient
    whenever its turn comes. It takes as many messages on a connection as per_connection, has most_open connections at
    once, and takes most_in_all. content_seconds is how long it thinks about a message.
    """

    def __init__(self, *, pipelines: bool = False, has_tls: bool = False) -> None:
        self.pipelines, self.has_tls = pipelines, has_tls
        self.forget()
        self._lock = threading.Lock()
        self._open: set[Dialogue] = set()
        self._listening: socket.socket | None = None
        self.port = 0
        self.open()

    def forget(self) -> None:
        """Begin to count anew, without faults and limits."""
        self.plan: dict[Point, deque[Fault | None]] = defaultdict(deque)
        self.lasting: dict[str, tuple[Point, Fault]] = {}
        self.per_connection = self.most_open = self.most_in_all = 10**9
        self.content_seconds = 0.0
        self.shut_after = -1  # so many whole messages, the last of which is not answered; never when negative
        self.copies: dict[str, list[str]] = defaultdict(list)  # the Message-IDs of what arrived whole, by recipient
        self.acknowledged: Counter[str] = Counter()
        self.doubtful: Counter[str] = Counter()  # arrived whole, without an answer that can be read
        self.refused: set[str] = set()  # for good
        self.met: Counter[tuple[Point, Fault]] = Counter()
        self.tries: dict[str, list[float]] = defaultdict(list)  # when each recipient was named

    def order(self, point: Point, faults: Iterable[Fault], every: int = 2) -> None:
        """Let these happen at every so-manieth turn of a point."""
        for fault in faults:
            self.plan[point].extend([*[None] * (every - 1), fault])

    @property
    def is_shut(self) -> bool:
        """Whether connections are refused."""
        return self._listening is None

    def open(self) -> None:
        """Take connections, at the port of before if there was one."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        with self._lock:
            self._listening = None
            for dialogue in self._open:
                dialogue.end()

    def next_fault(self, point: Point, to: str) -> Fault | None:
        with self._lock:
            turns = self.plan[point]
            fault = turns.popleft() if turns else None
            at, lasting = self.lasting.get(to, (None, None))
            if at is point:
                fault = lasting
            if fault is not None:
                self.met[point, fault] += 1
            return fault

    def note_content(self, to: str, content: bytes, fault: Fault | None) -> Fault | None:
        """Note a whole message, and what its sender will know of it; what happens at last."""
        letter_id = LETTER_ID.search(content)
        assert letter_id is not None
        with self._lock:
            if fault is Fault.REFUSED:
                self.refused.add(to)
            if fault in NOT_TAKEN:
                return fault
            self.copies[to].append(letter_id[1].decode())
            self.shut_after -= 1
            is_last = self.shut_after == 0
            fault = Fault.ENDED if is_last else fault
            (self.acknowledged if fault is None or fault in HEARD else self.doubtful)[to] += 1
        if is_last:
            self.shut()
        return fault

    def note_unheard(self, to: str) -> None:
        """Note that the answer to a message was not heard."""
        with self._lock:
            if self.acknowledged[to]:
                del self.acknowledged[to]
                self.doubtful[to] += 1

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(LONGEST_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialogue = Dialogue(self, connection)
        with self._lock:
            if self.is_shut:  # meanwhile
                dialogue.leave()
                return
            self._open.add(dialogue)
            self.most_in_all -= 1
            too_many = len(self._open) > self.most_open or self.most_in_all < 0
        try:
            if too_many:
                connection.sendall(b"421 4.7.0 too many connections\r\n")
            else:
                dialogue.speak()
        except (Ended, OSError):
            pass
        finally:
            with self._lock:
                self._open.discard(dialogue)
            dialogue.leave()


class Dialogue:
    """One connection."""

    def __init__(self, server: FaultyMailServer, connection: socket.socket) -> None:
        self._server, self._connection = server, connection
        self._lines = connection.makefile("rb")
        self._to, self._has_sender, self._encrypted = "", False, False
        self._messages = 0
        self._was_ended = False
        self._answered = ""  # to whom the message was that was answered last, until another command comes

    def speak(self) -> None:
        """Answer until either side leaves."""
        self._say(Point.GREETING, b"220 faulty\r\n")
        answers: dict[str, Callable[[bytes], object]] = {
            "EHLO": self._hello,
            "HELO": lambda _: self._send(b"250 faulty\r\n"),
            "STARTTLS": self._start_tls,
            "AUTH": lambda _: self._say(Point.AUTH, b"235 2.7.0 welcome\r\n"),
            "MAIL": self._sender,
            "RCPT": self._recipient,
            "DATA": self._data,
            "RSET": self._reset,
            "QUIT": self._quit,
        }
        while line := self._lines.readline():
            self._answered = ""
            verb = line.split(b" ")[0].strip().decode("latin-1").upper()
            answers[verb](line)

    def end(self) -> None:
        """End the connection, from another thread."""
        self._was_ended = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close the connection. Whose sender left without a word, it had waited no longer."""
        if self._answered and not self._was_ended:
            self._server.note_unheard(self._answered)
        self._lines.close()
        self._connection.close()

    def _hello(self, _: bytes) -> None:
        offers = [b"8BITMIME", b"SMTPUTF8"]
        offers += [b"AUTH PLAIN"]
        offers += [b"PIPELINING"] if self._server.pipelines else []
        offers += [b"STARTTLS"] if self._server.has_tls and not self._encrypted else []
        lines = [b"250-faulty", *(b"250-" + offer for offer in offers[:-1]), b"250 " + offers[-1]]
        self._say(Point.EHLO, b"\r\n".join(lines) + b"\r\n")

    def _start_tls(self, _: bytes) -> None:
        if not self._say(Point.STARTTLS, b"220 2.0.0 go ahead\r\n"):
            return
        fault = self._server.next_fault(Point.TLS, "")
        if not self._connection.recv(1, socket.MSG_PEEK):  # a handshake that has begun
            raise Ended
        if fault is not None:
            self._misbehave(fault, NOISE)
            raise Ended
        self._lines.close()
        self._connection = certificate().wrap_socket(self._connection, server_side=True)
        self._lines = self._connection.makefile("rb")
        self._encrypted = True

    def _sender(self, _: bytes) -> None:
        self._to = ""
        if self._messages >= self._server.per_connection:
            self._send(b"421 4.7.0 enough on this connection\r\n")
            raise Ended
        self._has_sender = self._say(Point.MAIL, b"250 2.1.0 ok\r\n")

    def _recipient(self, line: bytes) -> None:
        if not self._has_sender:
            self._send(b"503 5.5.1 sender first\r\n")
            return
        to = line.partition(b"<")[2].partition(b">")[0].decode()
        self._server.tries[to].append(time.monotonic())
        self._to = to if self._say(Point.RCPT, b"250 2.1.5 ok\r\n", to) else ""

    def _data(self, _: bytes) -> None:
        if not self._to:
            self._send(b"554 5.5.1 no valid recipients\r\n")
            return
        if not self._say(Point.DATA, b"354 go ahead\r\n", self._to):
            return
        content = bytearray()
        while (line := self._lines.readline()) != b".\r\n":
            if not line:
                raise Ended
            content += line
        self._messages += 1
        time.sleep(self._server.content_seconds)
        to, self._to, self._has_sender = self._to, "", False
        fault = self._server.next_fault(Point.CONTENT, to)
        fault = self._server.note_content(to, bytes(content), fault)
        try:
            self._speak_with(fault, b"250 2.0.0 taken\r\n")
        except OSError:
            self._server.note_unheard(to)
            raise
        self._answered = to if fault in (None, *HARMLESS) else ""

    def _reset(self, _: bytes) -> None:
        self._to, self._has_sender = "", False
        self._say(Point.RSET, b"250 2.0.0 ok\r\n")

    def _quit(self, _: bytes) -> None:
        self._say(Point.QUIT, b"221 2.0.0 bye\r\n")
        raise Ended

    def _say(self, point: Point, reply: bytes, to: str = "") -> bool:
        """Answer, or misbehave; whether it was agreed to what was asked."""
        fault = self._server.next_fault(point, to)
        if fault is Fault.REFUSED and to:
            self._server.refused.add(to)
        self._speak_with(fault, reply)
        return fault not in (*NOT_TAKEN, Fault.GARBAGE)

    def _speak_with(self, fault: Fault | None, reply: bytes) -> None:
        if fault is None:
            self._send(reply)
        else:
            self._misbehave(fault, reply)

    def _misbehave(self, fault: Fault, reply: bytes) -> None:
        code, last = reply[:3], reply.splitlines(keepends=True)[-1]
        if fault in NOT_TAKEN:
            self._send(REPLIES[fault])
        elif fault is Fault.HALF:
            self._send(reply[: len(reply) // 2])
        elif fault is Fault.RESET:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault is Fault.SILENT:
            while self._lines.read(1):
                pass
        elif fault is Fault.PIECES:
            for octet in reply:
                self._send(bytes([octet]))
        elif fault is not Fault.ENDED:
            replies = {
                Fault.GARBAGE: NOISE,
                Fault.NOISE: NOISE + reply,
                Fault.TWICE: reply * 2,
                Fault.LONG_LINE: code + b" " + b"x" * 9000 + b"\r\n",
                Fault.ENDLESS: (code + b"-" + b"x" * 76 + b"\r\n") * 1000 + last,
                Fault.LINES: b"".join(code + b"-line %d\r\n" % number for number in range(40)) + reply,
                Fault.OTHER_CODE: reply.replace(code, code[:2] + b"9"),
            }
            self._send(replies[fault])
        if fault in (Fault.ENDED, Fault.RESET, Fault.HALF, Fault.CLOSING, Fault.SILENT):
            raise Ended

    def _send(self, octets: bytes) -> None:
        self._connection.sendall(octets)


@cache
def certificate() -> ssl.SSLContext:
    """A certificate that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(written + signed.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


@contextmanager
def faulty_mail_server(*, pipelines: bool = False, has_tls: bool = False) -> Iterator[FaultyMailServer]:
    """A server until the end of the block."""
    server = FaultyMailServer(pipelines=pipelines, has_tls=has_tls)
    try:
        yield server
    finally:
        server.shut()


def assert_true_sums(server: FaultyMailServer, outcomes: Mapping[str, str]) -> None:
    """The outcomes of all messages, by address, are those that the server knows of, and no message left needlessly."""
    failed = {to for to, outcome in outcomes.items() if outcome == "failed"}
    assert set(outcomes.values()) <= {"sent", "failed"}
    assert failed == server.refused, "who was refused for good, and nobody else"
    assert set(server.acknowledged) == set(outcomes) - failed, "nobody is lost"
    assert set(server.acknowledged.values()) <= {1}, "what was acknowledged does not leave again"
    assert {to: len(copies) for to, copies in server.copies.items()} == server.acknowledged + server.doubtful
    assert all(len(set(copies)) == 1 for copies in server.copies.values()), "each copy has the same Message-ID"
    assert len({copies[0] for copies in server.copies.values()}) == len(server.copies), "and no two messages have"
