"""A real SMTP server that counts what arrives: a local part `bad...` is refused for good, `later...` so many times."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.to: Counter[str] = Counter()
        self.refusals = 1
        self.pause = 0.0
        self.gate = threading.Event()  # nothing is taken while a test has shut it with clear()
        self.gate.set()
        self.shut_after = 0  # messages after which it is shut, once
        self.port = 0
        self._refused: Counter[str] = Counter()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("bad"):
            return "550 5.1.1 unknown"
        if address.startswith("later") and self._refused[address] < self.refusals:
            self._refused[address] += 1
            return "451 4.7.1 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.pause)
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
        self.to.update(envelope.rcpt_tos)
        if len(self.messages) == self.shut_after:
            self.shut_after = 0
            self.gate.clear()
        return "250 taken"


@contextmanager
def mailbox(port: int = 0, international: bool = True) -> Iterator[Mailbox]:
    """A mail server at a port, or any; it takes addresses in other letters when it is international."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that was there before may have left some
        probe.bind(("127.0.0.1", port))
        box.port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=box.port, enable_SMTPUTF8=international)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
