"""Transactional mail beside a campaign: how long it takes from a request until its mail server has the message.

The server is one process with embedded engines; a second process makes the requests over kept connections, and is the
mail server of both, so that one clock measures both ends: from the moment a request is sent, and from its answer, until
the last byte of its message has come. First without a campaign, then while one of --size mails is being sent.

    python benchmarks/bench_transactional.py [--size MAILS] [--rate R] [--seconds S]
"""

import argparse
import asyncio
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from sqlalchemy import update

from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import carrying_out, create_app
from rapport.audiences import groups
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.runs import by_hand
from rapport.campaigns.schemas import ActionBody, Group, GroupChannel, Schedule, SeriesBody
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.messaging import templates
from rapport.settings import Settings, roles_of
from rapport.stores import open_stores

EMAIL, RECEIPTS = 504, 612
CONNECTIONS = 20
LIMIT_MS = 200
FILL = """
    INSERT INTO {table} ({day} customer_id, EMAIL, FIRST_NAME)
    SELECT {value} concat('C', toString(number)), concat('c', toString(number), '@example.com'), 'Ada'
    FROM numbers({size})
"""
LETTER = "<p>Dear [%FIRST_NAME%],</p>" + "<p>A sentence of a letter to a customer, of the usual length.</p>" * 40
RECEIPT = "<p>Dear [%TRANS:FIRST_NAME%], thank you for your order.</p>" + "<p>A line of a receipt.</p>" * 20
PATH = "/current/transactionalmail/SendTransactionalMail"


# --- the server


def build(scope: Scope, size: int, campaign_port: int, receipts_port: int) -> int:
    """Customers, a campaign to all of them, and a transactional channel; the series."""
    day = scope.today() - timedelta(days=1)
    for table, name, value in (("profiles", "data_date,", f"toDate('{day}'),"), ("customers", "", "")):
        scope.warehouse.execute(FILL.format(table=table, day=name, value=value, size=size))
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    brand = brands.create_brand(scope, "Receipts", BrandKind.TRANSACTIONAL)
    for number, port, more in ((EMAIL, campaign_port, {}), (RECEIPTS, receipts_port, {"brand_id": brand.id})):
        settings = {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com", **more}
        channels.create_channel(scope, f"Channel {number}", "email", id=number, settings=settings)
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


def serve(folder: Path, size: int, campaign_port: int, receipts_port: int) -> None:
    """The child: build and serve, and begin the campaign when a line comes on stdin; end with it."""
    level = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = Settings(data_dir=folder, allow_private_addresses=True, rate_limit_calls=0)
    stores = open_stores(settings)
    scope = create_tenant(stores, "bench", "UTC", "EUR", {"campaigns": {"blast_minimum": 10**9}})
    series_id = build(scope, size, campaign_port, receipts_port)
    _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
    with carrying_out(stores, roles_of(settings)):
        config = uvicorn.Config(create_app(stores), port=0, log_level="error", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"port": port, "key": secret}), flush=True)
        for _ in sys.stdin:
            campaign = by_hand.run_now(scope, series_id)
            print(json.dumps({"state": occurrences.occurrence(scope, campaign.id).state}), flush=True)
        server.should_exit = True
        thread.join()
    stores.close()


# --- the mail server


class MailSink(asyncio.Protocol):
    """Takes every mail, and notes when the last byte for each recipient came."""

    arrived: dict[str, float] = {}  # noqa: RUF012 - one process has one
    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport: Any = transport
        self._buffer, self._content, self._recipient = b"", False, ""
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, and every whole content."""
        self._buffer += data
        while True:
            end_sign = b"\r\n.\r\n" if self._content else b"\r\n"
            end = self._buffer.find(end_sign)
            if end < 0:
                return
            line, self._buffer = self._buffer[:end], self._buffer[end + len(end_sign) :]
            self._transport.write(self._end() if self._content else self._answer(line))

    def _end(self) -> bytes:
        self._content = False
        MailSink.taken += 1
        MailSink.arrived[self._recipient] = time.perf_counter()
        return b"250 2.0.0 taken\r\n"

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
        if verb == b"DATA":
            self._content = True
            return b"354 go on\r\n"
        return b"221 bye\r\n" if verb == b"QUIT" else b"250 OK\r\n"


# --- the application


class Application:
    """Requests at an even pace; what each took, in seconds."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key
        self.asked: dict[str, float] = {}
        self.answered: dict[str, float] = {}

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, email: str) -> None:
        """One request, until its answer."""
        values = [{"Tag": "[%TRANS:FIRST_NAME%]", "Value": "Pat"}]
        recipients = [{"Email": email, "Personalizations": values}]
        body = json.dumps({"TemplateID": 1, "Recipients": recipients, "UniqueMessageID": email}).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.asked[email] = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        self.answered[email] = time.perf_counter()
        if b" 200 " not in answer[:20]:
            raise SystemExit(f"{answer!r} {content!r}")

    async def pace(self, phase: str, rate: float, seconds: float) -> dict[str, float]:
        """So many requests a second; the figures of their mail, in milliseconds."""
        await asyncio.gather(*(self._paced(phase, n, rate / CONNECTIONS, seconds) for n in range(CONNECTIONS)))
        end = time.perf_counter() + 60
        asked = [email for email in self.asked if email.startswith(phase)]
        while any(email not in MailSink.arrived for email in asked) and time.perf_counter() < end:
            await asyncio.sleep(0.05)
        missing = [email for email in asked if email not in MailSink.arrived]
        whole = [MailSink.arrived[email] - self.asked[email] for email in asked if email not in missing]
        after = [max(0.0, MailSink.arrived[email] - self.answered[email]) for email in asked if email not in missing]
        answers = [self.answered[email] - self.asked[email] for email in asked]
        return {
            "requests": len(asked),
            "missing": len(missing),
            **{f"{name}_p{p}": percentile(times, p) for name, times in
               (("whole", whole), ("after_answer", after), ("answer", answers)) for p in (50, 99)},
        }  # fmt: skip

    async def _paced(self, phase: str, number: int, per_second: float, seconds: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        begin = time.perf_counter() + number / CONNECTIONS / per_second
        for turn in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, begin + turn / per_second - time.perf_counter()))
            await self.ask(reader, writer, f"{phase}-{number}-{turn}@mail.example")
        writer.close()


def percentile(times: list[float], percent: int) -> float:
    """In milliseconds."""
    ordered = sorted(times)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000, 1)


async def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both phases against a server of its own."""
    loop = asyncio.get_running_loop()
    sinks = [await loop.create_server(MailSink, "127.0.0.1", 0) for _ in range(2)]
    ports = [str(sink.sockets[0].getsockname()[1]) for sink in sinks]
    command = [sys.executable, __file__, "--serve", str(folder), "--size", str(options.size), *ports]
    child = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**20)
    assert child.stdin is not None and child.stdout is not None
    told = json.loads(await child.stdout.readline())
    application = Application(told["port"], told["key"])
    await application.pace("warm", options.rate, 3)
    alone = await application.pace("alone", options.rate, options.seconds)
    child.stdin.write(b"run\n")
    await child.stdin.drain()
    await child.stdout.readline()
    before = MailSink.taken
    while MailSink.taken - before < 200:
        await asyncio.sleep(0.05)
    begun, mails = time.perf_counter(), MailSink.taken
    beside = await application.pace("beside", options.rate, options.seconds)
    of_campaign = MailSink.taken - mails - int(beside["requests"])
    rate = round(of_campaign / (time.perf_counter() - begun))
    left = options.size - of_campaign - (mails - before)
    child.stdin.close()  # it ends its databases, too, after the mail that is under way
    await asyncio.wait_for(child.wait(), 300)
    return [
        {"figure": "alone", **alone},
        {"figure": "beside a campaign", **beside, "campaign_mails_per_second": rate, "campaign_left": left},
    ]


def main() -> None:
    """Build, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="mails of the campaign")
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30, help="of each phase")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("ports", nargs="*", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.size, *options.ports)
        return
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    try:
        figures = asyncio.run(measure(folder, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for figure in figures:
        limits = {"limit": LIMIT_MS, "unit": "ms (limit on after_answer_p99)"}
        print(json.dumps({**figure, **limits}))


if __name__ == "__main__":
    main()
