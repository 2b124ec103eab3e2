"""kill -9 again and again while a campaign is sent and an application asks for mail: nothing lost, little twice.

The server is a process of its own with embedded engines. It is killed at random moments, one after each share of the
campaign's messages, and started anew. This process is the mail server, which tells repetitions by their Message-ID, and
the application: it repeats a request until it is answered, with the same UniqueMessageID. At most the messages that
were in flight at a kill may arrive again, each with the Message-ID of before.

    python benchmarks/bench_kills.py [--size MAILS] [--kills K] [--rate REQUESTS_A_SECOND] [--seconds LIMIT]
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from sqlalchemy import update

from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import carrying_out, create_app
from rapport.audiences import groups
from rapport.campaigns import definitions
from rapport.campaigns.delivery.settling import MOST_GATHERED
from rapport.campaigns.runs import by_hand
from rapport.campaigns.schemas import ActionBody, Group, GroupChannel, Schedule, SeriesBody
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.messaging import templates
from rapport.settings import Settings, roles_of
from rapport.stores import open_stores

EMAIL, RECEIPTS, CONNECTIONS, CLIENTS = 504, 612, 8, 4
# Of each kill: what is under way, what was answered and is gathered to be entered, and what is being entered.
UNDER_WAY = 2 * CONNECTIONS
IN_FLIGHT = UNDER_WAY + 2 * (MOST_GATHERED + UNDER_WAY)
FILL = """
    INSERT INTO {table} ({day} customer_id, EMAIL, FIRST_NAME)
    SELECT {value} concat('C', toString(number)), concat('c', toString(number), '@example.com'), 'Ada'
    FROM numbers({size})
"""
LETTER = "<p>Dear [%FIRST_NAME%],</p>" + "<p>A sentence of a letter to a customer, of the usual length.</p>" * 40
RECEIPT = "<p>Dear [%TRANS:FIRST_NAME%], thank you for your order.</p>"
PATH = "/current/transactionalmail/SendTransactionalMail"
LETTER_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


# --- the server


def build(scope: Scope, size: int, mail_port: int) -> int:
    """Customers, a series to all of them and a transactional template; the series."""
    day = scope.today() - timedelta(days=1)
    for table, name, value in (("profiles", "data_date,", f"toDate('{day}'),"), ("customers", "", "")):
        scope.warehouse.execute(FILL.format(table=table, day=name, value=value, size=size))
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    brand = brands.create_brand(scope, "Receipts", BrandKind.TRANSACTIONAL)
    for number, more in ((EMAIL, {}), (RECEIPTS, {"brand_id": brand.id})):
        way = {"host": "127.0.0.1", "port": mail_port, "from_address": "shop@example.com", "connections": CONNECTIONS}
        channels.create_channel(scope, f"Channel {number}", "email", id=number, settings={**way, **more})
    templates.save_template(scope, EMAIL, "Letter", "Hello [%FIRST_NAME%]", LETTER, id=1)
    templates.save_template(scope, RECEIPTS, "Receipt", "Order of [%TRANS:FIRST_NAME%]", RECEIPT, id=1)
    action = definitions.create_action(scope, ActionBody(name="Letter"))
    everybody = groups.create_target_group(scope, "All", {"all": []})
    reached = [GroupChannel(channel_id=EMAIL, template_id=1, send_time="00:00")]
    body = SeriesBody(
        name="Everybody",
        target_group_id=everybody.id,
        control_share=0,
        schedule=Schedule(kind="daily", start_date=scope.today()),
        groups=[Group(action_id=action.id, share=1.0, channels=reached)],
    )
    return definitions.create_series(scope, body).id


def serve(folder: Path, size: int, port: int, mail_port: int) -> None:
    """The child: serve until stdin ends. The first one builds, and begins the campaign."""
    level = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = Settings(data_dir=folder, allow_private_addresses=True, rate_limit_calls=0)
    is_first = not folder.exists()
    stores = open_stores(settings)
    with carrying_out(stores, roles_of(settings)):
        config = uvicorn.Config(create_app(stores), port=port, log_level="error", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        if is_first:
            scope = create_tenant(stores, "bench", "UTC", "EUR", {"campaigns": {"blast_minimum": 10**9}})
            series_id = build(scope, size, mail_port)
            _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
            print(json.dumps({"key": secret, "campaign": by_hand.run_now(scope, series_id).id}), flush=True)
        sys.stdin.read()
        server.should_exit = True
        thread.join()
    stores.close()


class Server:
    """The process that is killed, and started again."""

    def __init__(self, folder: Path, size: int, port: int, mail_port: int) -> None:
        self._folder = folder
        arguments = ["--serve", str(folder), "--size", str(size), str(port), str(mail_port)]
        self._command = [sys.executable, __file__, *arguments]
        self.start()

    def start(self) -> None:
        """Start it; nobody waits until it serves."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def first_line(self) -> dict[str, Any]:
        """What the first process says when it has begun the campaign."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Let it end, and its database with it."""
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
        for file in self._folder.rglob("postmaster.pid"):  # left by a process that was killed
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read_text().split()[0]), signal.SIGINT)


# --- the mail server


class MailSink(asyncio.Protocol):
    """Takes every mail, and keeps how often each Message-ID came, by recipient."""

    copies: dict[str, Counter[str]] = defaultdict(Counter)  # noqa: RUF012 - one process has one
    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport: Any = transport
        self._buffer, self._content, self._recipient = bytearray(), False, ""
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, and every whole content."""
        self._buffer += data
        while True:
            end_sign = b"\r\n.\r\n" if self._content else b"\r\n"
            end = self._buffer.find(end_sign)
            if end < 0:
                return
            line = bytes(self._buffer[:end])
            del self._buffer[: end + len(end_sign)]
            self._transport.write(self._taken(line) if self._content else self._answer(line))

    def _taken(self, letter: bytes) -> bytes:
        self._content = False
        letter_id = LETTER_ID.search(letter)
        MailSink.taken += 1
        MailSink.copies[self._recipient][letter_id[1].decode() if letter_id else ""] += 1
        return b"250 2.0.0 taken\r\n"

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        if verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
        if verb == b"DATA":
            self._content = True
            return b"354 go on\r\n"
        return b"221 bye\r\n" if verb == b"QUIT" else b"250 OK\r\n"

    @classmethod
    def of(cls, domain: str) -> dict[str, Counter[str]]:
        """What came for the addresses of a domain."""
        return {to: copies for to, copies in cls.copies.items() if to.endswith(domain)}


# --- the application


class Application:
    """Asks for mail at an even pace, each time until it is answered; accepted are the addresses that will get some."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, headers={"X-API-KEY": key}, timeout=10)
        self.accepted: set[str] = set()
        self.is_over = False

    async def ask(self, number: int, rate: float) -> None:
        """One of several lines of requests, until is_over."""
        turn = 0
        while not self.is_over:
            turn += 1
            email = f"r{number}-{turn}@mail.example"
            values = [{"Tag": "[%TRANS:FIRST_NAME%]", "Value": "Pat"}]
            body = {"TemplateID": 1, "UniqueMessageID": email}
            await self._until_answered({**body, "Recipients": [{"Email": email, "Personalizations": values}]})
            self.accepted.add(email)
            await asyncio.sleep(1 / rate)

    async def _until_answered(self, body: dict[str, Any]) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._client.post(PATH, json=body)
                if answer.status_code in (200, 409):  # 409: an earlier request was accepted, and not answered
                    return
                if answer.status_code < 500:
                    raise SystemExit(f"{answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)

    async def campaign(self, campaign_id: int) -> dict[str, Any]:
        """What the server says of a campaign; nothing while it does not answer."""
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._client.get(f"/manage/v1/campaigns/{campaign_id}")
            if answer.status_code == 200:
                return dict(answer.json())
        return {}

    async def close(self) -> None:
        """Leave the server."""
        await self._client.aclose()


# --- the measurement


class Deadline:
    """Stops the benchmark when it takes too long."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    async def wait(self, what: str, pause: float = 0.02) -> None:
        """A moment."""
        if time.monotonic() > self._end:
            raise SystemExit(f"It takes too long: waiting for {what}.")
        await asyncio.sleep(pause)


async def kill_often(server: Server, options: argparse.Namespace, deadline: Deadline) -> list[int]:
    """Kill the server after each share of the messages; how many had arrived at each kill."""
    luck, arrived = random.Random(options.kills), []
    for kill in range(1, options.kills + 1):
        share = options.size * kill // (options.kills + 1)
        while MailSink.taken < share:
            await deadline.wait(f"{share} messages")
        await asyncio.sleep(luck.uniform(0, 0.3))
        server.kill()
        await asyncio.sleep(0.05)  # what it had sent is read
        arrived.append(MailSink.taken)
        server.start()
    return arrived


def sums(copies: dict[str, Counter[str]], expected: int) -> dict[str, int]:
    """What arrived for so many recipients."""
    return {
        "arrived": sum(map(Counter.total, copies.values())),
        "unique_message_ids": len({name for ids in copies.values() for name in ids}),
        "repeated": sum(ids.total() - 1 for ids in copies.values()),
        "under_another_id": sum(len(ids) - 1 for ids in copies.values()),
        "lost": expected - len(copies),
    }


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Send, kill, and count."""
    loop, deadline = asyncio.get_running_loop(), Deadline(options.seconds)
    sink = await loop.create_server(MailSink, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(folder, options.size, port, sink.sockets[0].getsockname()[1])
    try:
        begun = await asyncio.to_thread(server.first_line)
        began = time.perf_counter()
        application = Application(f"http://127.0.0.1:{port}", begun["key"])
        asking = [asyncio.create_task(application.ask(n, options.rate / CLIENTS)) for n in range(CLIENTS)]
        await kill_often(server, options, deadline)
        state: dict[str, Any] = {}
        while state.get("state") not in ("successful", "failed"):
            await deadline.wait(f"the campaign, which is {state.get('state')}", 0.5)
            state = await application.campaign(begun["campaign"])
        seconds = time.perf_counter() - began
        application.is_over = True
        await asyncio.gather(*asking)
        while application.accepted - set(MailSink.of("@mail.example")):
            await deadline.wait("mail that the application asked for", 0.5)
        await application.close()
    finally:
        await asyncio.to_thread(server.stop)
    return {
        "name": f"kill -9 {options.kills} times during a campaign of {options.size:,} messages",
        "counts": state["counts"],
        "campaign": sums(MailSink.of("@example.com"), options.size),
        "application": sums(MailSink.of("@mail.example"), len(application.accepted)),
        "limit_of_repeated": options.kills * IN_FLIGHT,
        "seconds": round(seconds),
    }


def main() -> None:
    """Measure, print, judge, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=50_000, help="messages of the campaign")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=20, help="requests of the application a second")
    parser.add_argument("--seconds", type=float, default=600, help="after which it stops by itself")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("ports", nargs="*", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.size, *options.ports)
        return
    base = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    base.chmod(0o755)
    try:
        figure = asyncio.run(measure(base / "data", options))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(json.dumps(figure))
    ways = (figure["campaign"], figure["application"])
    if figure["counts"] != {"sent": options.size} or any(way["lost"] or way["under_another_id"] for way in ways):
        raise SystemExit("Messages were lost, or came under another Message-ID.")
    if any(way["repeated"] > figure["limit_of_repeated"] for way in ways):
        raise SystemExit("More messages were repeated than were in flight.")


if __name__ == "__main__":
    main()
