"""SMTP connections that go to the very address that was checked, and whose server gets a bounded time altogether."""

import contextlib
import smtplib
import socket
import ssl
import time

from rapport.channels.replies import PERMANENT
from rapport.channels.routes import Route
from rapport.hosts import public_addresses

# What a server gets altogether to open a connection, and again for each message, in its channel's timeout_seconds:
# each single wait may take one of these, as RFC 5321 has it, but not many of them one after the other.
WAITS = 3
# Of replies (RFC 5321, 4.2).
CODES = range(200, 600)
# A reply in all its lines; the longest that mail servers send list their extensions, in a few hundred bytes.
MAX_REPLY_BYTES = 16 * 1024
# What is sent in one go: each gets the time that is left.
PIECE_BYTES = 16 * 1024


class ReplyTooLong(OSError):
    """A server that goes on and on with a reply."""


class NoReply(OSError):
    """What came is no reply (RFC 5321, 4.2), or came before anything was asked: nobody knows what it answers."""


class CheckedSMTP(smtplib.SMTP):
    """Resolves a host once, checks its addresses and connects to one of them; the certificate must be the name's.

    A server that does not answer in time, counted from begin(), or answers without end raises as one that ended the
    connection does; a timeout of the socket alone would begin anew with every byte. So does one whose answers cannot be
    read, or are more than the questions.
    """

    def __init__(self, route: Route, tls: ssl.SSLContext | None) -> None:
        self._from_the_start = tls if route.security == "tls" else None
        self._allow_private = route.allow_private
        self._wait = route.timeout_seconds
        self.begin()
        super().__init__(route.host, route.port, timeout=route.timeout_seconds)

    def begin(self, waits: int = WAITS) -> None:
        """Give the server its time anew, in waits of the channel's timeout."""
        self._end = time.monotonic() + waits * self._wait

    def getreply(self) -> tuple[int, bytes]:
        """What the server answers, with its lines joined. Raises SMTPServerDisconnected, NoReply."""
        if self.file is None and self.sock is not None:
            self.file = _Replies(self)
        if self.file is not None:
            self.file.begin()
        try:
            code, text = super().getreply()
        except smtplib.SMTPResponseException as error:  # of a line that is too long
            raise NoReply from error
        if code not in CODES:
            self.close()
            raise NoReply
        return code, text

    def ehlo(self, name: str = "") -> tuple[int, bytes]:
        """Ask for the extensions. Raises SMTPHeloError for a server that says "not now": one without extensions, which
        would be asked in other words, says that it does not know the command.
        """
        code, text = super().ehlo(name)
        if 400 <= code < PERMANENT:
            raise smtplib.SMTPHeloError(code, text)
        return code, text

    def send(self, s: bytes | str) -> None:  # type: ignore[override]
        """Send everything, in the time that is left. Raises NoReply for a server that has said more than it was asked.

        From there on each answer would be taken for that of the command before.
        """
        if self.file is not None and self.file.has_unread:
            self.close()
            raise NoReply
        whole = s.encode(self.command_encoding) if isinstance(s, str) else s
        for begin in range(0, len(whole), PIECE_BYTES):
            self._hurry()
            super().send(whole[begin : begin + PIECE_BYTES])

    def receive(self) -> bytes:
        """What has come, some bytes at least; nothing where the server ended the connection. Raises OSError."""
        if self._end < time.monotonic():
            raise TimeoutError
        self._hurry()
        assert self.sock is not None  # noqa: S101 - tells the type checker
        return self.sock.recv(PIECE_BYTES)

    def _hurry(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(self._left())

    def _left(self) -> float:
        """Seconds that the next wait may take."""
        return max(min(self._wait, self._end - time.monotonic()), 0.001)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """What smtplib opens a connection by. Raises OSError, Unresolved, PrivateAddress."""
        *first_addresses, last = public_addresses(host, port, allow_private=self._allow_private)
        for address in first_addresses:
            with contextlib.suppress(OSError):
                return self._secured(socket.create_connection((address, port), self._left()), host)
        return self._secured(socket.create_connection((last, port), self._left()), host)

    def _secured(self, connected: socket.socket, host: str) -> socket.socket:
        tls = self._from_the_start
        return tls.wrap_socket(connected, server_hostname=host) if tls else connected


class _Replies:
    """The lines that a server sends, read as smtplib reads a file of them."""

    def __init__(self, smtp: CheckedSMTP) -> None:
        self._smtp = smtp
        self._unread = bytearray()
        self._of_reply = 0

    def begin(self) -> None:
        """From here on it is another reply."""
        self._of_reply = 0

    @property
    def has_unread(self) -> bool:
        """Whether something has come that no reply has taken."""
        return bool(self._unread)

    def readline(self, longest: int) -> bytes:
        """The next line; nothing at the end of the connection, also in the middle of a line. Raises OSError."""
        while (end := self._unread.find(b"\n") + 1) == 0:
            if self._of_reply + len(self._unread) > MAX_REPLY_BYTES:
                raise ReplyTooLong
            if not (received := self._smtp.receive()):
                return b""
            self._unread += received
        self._of_reply += end
        if self._of_reply > MAX_REPLY_BYTES:
            raise ReplyTooLong
        line = bytes(self._unread[:end])
        del self._unread[:end]
        return line

    def close(self) -> None:
        """Nothing is kept open."""
