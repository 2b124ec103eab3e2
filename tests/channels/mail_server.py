"""A real SMTP server whose answers a test decides."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from weakref import WeakKeyDictionary

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailServer:
    """Keeps what arrives; refuses by the local part of the recipient: `550-x` is answered 550."""

    def __init__(self) -> None:
        self.arrived: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.return_paths: list[str] = []
        self.encrypted: list[bool] = []
        self.pipelines = False
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.per_connection = 10**9
        self.data_answer = ""
        self.mail_answer = ""
        self.wait = 0.0
        self.port = 0
        self._lock = threading.Lock()
        self._served: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Envelope, name: str, responses: Any) -> Any:
        session.host_name = name
        with self._lock:
            self.connections += 1
        return [responses[0], "250-PIPELINING", *responses[1:]] if self.pipelines else responses

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        served = self._served.get(session, 0)
        if served >= self.per_connection:
            server.transport.abort()  # as a server does that had enough of a connection
            return "421 bye"
        if self.mail_answer:
            return self.mail_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        code = address.split("-")[0]
        if code.isdigit():
            return f"{code} {code[0]}.1.1 {address} is not wanted here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer:
            return self.data_answer
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        await _sleep(self.wait)
        with self._lock:
            self.open -= 1
            self._served[session] = self._served.get(session, 0) + 1
            content = envelope.content
            assert isinstance(content, bytes)
            self.raw.append(content)
            self.encrypted.append(session.ssl is not None)
            self.return_paths.append(str(envelope.mail_from))
            self.arrived.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
            self.recipients += envelope.rcpt_tos
        return "250 2.0.0 taken"


async def _sleep(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"mailer", b"s3cret")
    return AuthResult(success=good, handled=False)


@contextmanager
def serving(
    auth: bool = False, tls: Any = None, international: bool = True, implicit: bool = False
) -> Iterator[MailServer]:
    """A server on loopback; tls: its certificate, spoken from the first byte on when implicit."""
    server = MailServer()
    options: dict[str, Any] = {"authenticator": _authenticate, "auth_require_tls": False} if auth else {}
    options["enable_SMTPUTF8"] = international
    if tls is not None:
        options |= {"ssl_context" if implicit else "tls_context": tls}
    controller = Controller(server, hostname="127.0.0.1", port=_free_port(), **options)
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        controller.stop()
        time.sleep(0.01)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
