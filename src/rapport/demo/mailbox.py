"""The demo's mail server: takes every message of the simulated retailer and keeps only a count."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from rapport.stores import Stores


class Mailbox:
    """An aiosmtpd handler. No message of a demo ever leaves the machine."""

    def __init__(self) -> None:
        self.messages = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept a message."""
        self.messages += len(envelope.rcpt_tos)
        return "250 Taken by the demo"


@contextmanager
def caught_mail(stores: Stores) -> Iterator[Mailbox]:
    """Let the process's own mail go to the demo's mail server for as long as the block runs."""
    before = stores.settings.smtp_url
    with mailbox() as (handler, port):
        stores.settings.smtp_url = f"smtp://127.0.0.1:{port}"
        try:
            yield handler
        finally:
            stores.settings.smtp_url = before


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server on a free port of loopback for as long as the block runs, and that port."""
    handler = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()
