"""The demo's mail server: takes every message of the simulated retailer and keeps only a count.

It is a process of its own, as mail servers are, so that what it does is not taken from the time of who sends.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, Envelope, Session

if TYPE_CHECKING:  # the mail server itself needs nothing of what takes long to import
    from rapport.stores import Stores

SMALL = 100  # bytes of a line that either side writes


class Mailbox:
    """The mail server as the demo sees it: its port on loopback, and how many messages it has taken."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        self._server = server
        self.port = self._read()

    def _read(self) -> int:
        assert self._server.stdout is not None  # noqa: S101 - tells the type checker
        return int(self._server.stdout.readline(SMALL))

    @property
    def messages(self) -> int:
        """How many messages have been taken."""
        assert self._server.stdin is not None  # noqa: S101 - tells the type checker
        self._server.stdin.write(b"\n")
        self._server.stdin.flush()
        return self._read()


@contextmanager
def caught_mail(stores: "Stores") -> Iterator[Mailbox]:
    """Let the process's own mail go to the demo's mail server for as long as the block runs."""
    before = stores.settings.smtp_url
    with mailbox() as box:
        stores.settings.smtp_url = f"smtp://127.0.0.1:{box.port}"
        try:
            yield box
        finally:
            stores.settings.smtp_url = before


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server on a free port of loopback for as long as the block runs; with this process it ends too."""
    command = [sys.executable, "-m", "rapport.demo.mailbox"]
    # A session of its own: an interrupt of the terminal is for the demo, which then ends its mail server.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as server:  # noqa: S603
        yield Mailbox(server)


class _Count:
    """An aiosmtpd handler. No message of a demo ever leaves the machine."""

    def __init__(self) -> None:
        self.messages = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept a message."""
        self.messages += len(envelope.rcpt_tos)
        return "250 Taken by the demo"


async def _serve() -> None:
    """Take mail until standard input ends; tell the port, and the count for each line that comes."""
    count = _Count()

    def smtp() -> SMTP:
        return SMTP(count, hostname="localhost", enable_SMTPUTF8=True)

    def tell(number: int) -> None:
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()

    server = await asyncio.get_running_loop().create_server(smtp, "127.0.0.1", 0)
    tell(server.sockets[0].getsockname()[1])
    while await asyncio.to_thread(sys.stdin.readline, SMALL):
        tell(count.messages)


if __name__ == "__main__":
    asyncio.run(_serve())
