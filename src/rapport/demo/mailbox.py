"""The demo's mail server: it takes every message of the simulated retailer, and keeps the last ones to be looked at.

It is a process of its own, as mail servers are, so that what it does is not taken from the time of who sends. The mail
programs of the retailer's customers are in it, too: what they open is reported to whoever lives the demo.
"""

import asyncio
import base64
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from email.parser import BytesHeaderParser
from email.policy import default as POLICY
from email.utils import parseaddr, parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from rapport.demo.mail_programs import Deed, DeedKind, deeds

if TYPE_CHECKING:  # the mail server itself needs nothing of what takes long to import
    from rapport.stores import Stores

# What is kept to be looked at, and what customers did that nobody has asked for yet.
MOST_LETTERS, MOST_BYTES, MOST_DEEDS = 500, 64 * 1024 * 1024, 200_000
LONGEST_COMMAND = 100
COUNT, LIST, SOURCE, DEEDS = "count", "list", "source", "deeds"


@dataclass(frozen=True)
class LetterHead:
    """A letter as a list of mail shows it. number counts letters from 1; date is ISO 8601, empty if there is none."""

    number: int
    sender: str
    to: str
    subject: str
    date: str


class Mailbox:
    """The mail server as the demo sees it: its port on loopback, what it has taken, and what customers did with it."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        self._server, self._lock = server, threading.Lock()
        self.port = int(self._read())

    def _read(self) -> Any:
        assert self._server.stdout is not None  # noqa: S101 - tells the type checker
        return json.loads(self._server.stdout.readline())

    def _ask(self, command: str, number: int = 0) -> Any:
        assert self._server.stdin is not None  # noqa: S101 - tells the type checker
        with self._lock:
            self._server.stdin.write(f"{command} {number}\n".encode())
            self._server.stdin.flush()
            return self._read()

    @property
    def messages(self) -> int:
        """How many messages have been taken."""
        return int(self._ask(COUNT))

    def letters(self) -> list[LetterHead]:
        """The last letters, the newest first."""
        return [LetterHead(**head) for head in self._ask(LIST)]

    def source(self, number: int) -> bytes | None:
        """A letter as it came; None for one that is not kept (any more)."""
        content = self._ask(SOURCE, number)
        return None if content is None else base64.b64decode(content)

    def deeds(self) -> list[Deed]:
        """What customers do with the mail that has come since the last call, in the order of the message ids."""
        return [Deed(**{**deed, "kind": DeedKind(deed["kind"])}) for deed in self._ask(DEEDS)]


@contextmanager
def caught_mail(stores: "Stores", box: Mailbox | None, seed: int) -> Iterator[Mailbox]:
    """Let the process's own mail go to a mail server for as long as the block runs: one that is given, or its own."""
    before = stores.settings.smtp_url
    with mailbox(seed) if box is None else _given(box) as used:
        stores.settings.smtp_url = used_url(used)
        try:
            yield used
        finally:
            stores.settings.smtp_url = before


@contextmanager
def _given(box: Mailbox) -> Iterator[Mailbox]:
    yield box


def used_url(box: Mailbox) -> str:
    """The address of a mail server as RAPPORT_SMTP_URL has it."""
    return f"smtp://127.0.0.1:{box.port}"


@contextmanager
def mailbox(seed: int) -> Iterator[Mailbox]:
    """A mail server on a free port of loopback for as long as the block runs; with this process it ends too.

    seed makes the luck of those who read its mail.
    """
    command = [sys.executable, "-m", "rapport.demo.mailbox", str(seed)]
    # A session of its own: an interrupt of the terminal is for the demo, which then ends its mail server.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as server:  # noqa: S603
        yield Mailbox(server)


@dataclass(frozen=True)
class _Letter:
    number: int
    to: str
    content: bytes

    @cached_property
    def head(self) -> dict[str, Any]:
        headers = BytesHeaderParser(policy=POLICY).parsebytes(self.content)
        try:
            date = parsedate_to_datetime(str(headers["Date"])).isoformat()
        except ValueError:
            date = ""
        name, address = parseaddr(str(headers["From"] or ""))
        subject = str(headers["Subject"] or "")
        return asdict(LetterHead(self.number, name or address, self.to, subject, date))


class _Letters:
    """An aiosmtpd handler. No message of a demo ever leaves the machine."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count, self._bytes = 0, 0
        self._letters: deque[_Letter] = deque()
        self._deeds: deque[Deed] = deque(maxlen=MOST_DEEDS)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept a message."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        for recipient in envelope.rcpt_tos:
            self._count += 1
            self._keep(_Letter(self._count, recipient, content))
        self._deeds.extend(deeds(self._seed, content, envelope.mail_from or ""))
        return "250 Taken by the demo"

    def _keep(self, letter: _Letter) -> None:
        self._letters.append(letter)
        self._bytes += len(letter.content)
        while len(self._letters) > MOST_LETTERS or self._bytes > MOST_BYTES:
            self._bytes -= len(self._letters.popleft().content)

    def answer(self, command: str, number: int) -> Any:
        """What one asks for who has the mailbox, as JSON takes it."""
        if command == LIST:
            return [letter.head for letter in reversed(self._letters)]
        if command == SOURCE:
            sources = (letter.content for letter in self._letters if letter.number == number)
            return next((base64.b64encode(content).decode() for content in sources), None)
        if command == DEEDS:
            done = sorted((asdict(deed) for deed in self._deeds), key=lambda deed: (deed["message_id"], deed["kind"]))
            self._deeds.clear()
            return done
        return self._count


async def _serve(seed: int) -> None:
    """Take mail until standard input ends; tell the port, and an answer for each line that comes."""
    letters = _Letters(seed)

    def smtp() -> SMTP:
        return SMTP(letters, hostname="localhost", enable_SMTPUTF8=True)

    def tell(answer: Any) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    server = await asyncio.get_running_loop().create_server(smtp, "127.0.0.1", 0)
    tell(server.sockets[0].getsockname()[1])
    while line := await asyncio.to_thread(sys.stdin.readline, LONGEST_COMMAND):
        command, number = line.split()
        tell(letters.answer(command, int(number)))


def _main(arguments: Sequence[str]) -> None:
    asyncio.run(_serve(int(arguments[0])))


if __name__ == "__main__":
    _main(sys.argv[1:])
