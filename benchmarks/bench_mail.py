"""Personalised e-mails of a campaign, against a bare SMTP load generator with the same connections and message size.

Both send to the same sink, a process of its own that speaks SMTP and keeps nothing. Ours reads ten attributes of each
customer, fills subject, HTML and text, writes links to unsubscribe, enters each message in the records before it leaves
and settles it afterwards. The generator sends one message of the same size again and again, each verb as soon as the
reply to the one before it has come, or all in one go with --pipelined.

    python benchmarks/bench_mail.py [--size N] [--connections C] [--pipelined] [--profile]
"""

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import multiprocessing.connection
import pstats
import shutil
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.audiences import groups, membership
from rapport.campaigns import definitions
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.schemas import ActionBody, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import open_stores

EMAIL = 504
DATA_DATE = date(2026, 6, 30)
LOWEST_RATIO, MOST_ADDED_MB = 0.5, 150
TAGS = ("FIRST_NAME", "LAST_NAME", "COUNTRY", "CITY", "LANGUAGE", "GENDER", "EMAIL", "CURRENCY")
PARAGRAPH = "Whoever orders by Sunday gets everything by Tuesday, at no cost, wherever it goes. "

FILL = """
    INSERT INTO profiles (data_date, customer_id, EMAIL, COUNTRY, IS_OPTIN, ALLOW_EMAIL, FIRST_NAME, LAST_NAME)
    SELECT {day:Date}, concat('C', leftPad(toString(number), 8, '0')), concat('c', toString(number), '@example.com'),
        ['DE', 'AT', 'FR'][number % 3 + 1], 'Yes', 'Yes', ['Ada', 'Zoë', 'Grace'][number % 3 + 1],
        concat('Family ', toString(number))
    FROM numbers({size:UInt64})
"""


# --- the sink


class Sink(asyncio.Protocol):
    """Takes every message and counts its bytes."""

    messages = 0
    octets = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer, self._in_content = bytearray(), False
        transport.write(b"220 sink\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = []
        while True:
            end = self._buffer.find(b"\r\n.\r\n" if self._in_content else b"\r\n")
            if end < 0:
                break
            if self._in_content:
                Sink.messages += 1
                Sink.octets += end + 2
                del self._buffer[: end + 5]
                self._in_content = False
                answers.append(b"250 taken\r\n")
                continue
            verb = bytes(self._buffer[:4]).upper()
            del self._buffer[: end + 2]
            if verb == b"DATA":
                self._in_content = True
                answers.append(b"354 go on\r\n")
            elif verb == b"EHLO":
                answers.append(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            else:
                answers.append(b"250 ok\r\n")
        if answers:
            self._transport.write(b"".join(answers))  # type: ignore[attr-defined]


def sink(pipe: multiprocessing.connection.Connection) -> None:
    """The child: serves; each word on the pipe is answered with messages and bytes so far."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            pipe.send((Sink.messages, Sink.octets))

    asyncio.run(run())


# --- the bare generator


def bare(port: int, connections: int, size: int, octets: int, *, pipelined: bool) -> float:
    """Seconds to send so many messages of so many bytes."""
    content = (b"Subject: x\r\n\r\n" + (b"x" * 74 + b"\r\n") * (octets // 76 + 1))[: octets - 2] + b"\r\n.\r\n"
    verbs = [b"MAIL FROM:<shop@example.com>\r\n", b"RCPT TO:<c@example.com>\r\n", b"DATA\r\n"]
    steps = [(b"".join(verbs), 3)] if pipelined else [(verb, 1) for verb in verbs]

    def one(messages: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connected:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = connected.makefile("rb")
            replies.readline()
            for _ in range(messages):
                for said, lines in [*steps, (content, 1)]:
                    connected.sendall(said)
                    for _ in range(lines):
                        replies.readline()

    threads = [threading.Thread(target=one, args=(size // connections,)) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


# --- ours


def prepare(scope: Scope, size: int, port: int, connections: int) -> None:
    """Customers, a template with ten tags and a series to everybody."""
    scope.warehouse.execute(FILL, day=DATA_DATE, size=size)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    mail = {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com", "connections": connections}
    channels.create_channel(scope, "E-mail", "email", id=EMAIL, settings=mail)
    tags = " ".join(f"[%{name}:none%]" for name in TAGS)
    html = (
        f"<html><body><h1>Dear [%FIRST_NAME:customer%]</h1><p>{tags}</p>"
        + f"<p>{PARAGRAPH * 3}</p>" * 12
        + '<p><a href="https://shop.example.com/offer?code=[%PROMO_CODE%]">Offer</a></p>'
        + '<p><a href="[%UNSUBSCRIBE_URL%]">Unsubscribe</a></p></body></html>'
    )
    templates.save_template(scope, EMAIL, "Offer", "Dear [%FIRST_NAME%]: the offer of the week", html, id=1)
    action = definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["V1"])).id
    groups.create_target_group(scope, "All", {"all": []})
    reached = [GroupChannel(channel_id=EMAIL, template_id=1, send_time="09:00")]
    definitions.create_series(
        scope,
        SeriesBody(
            name="Everybody",
            target_group_id=1,
            schedule=Schedule(kind="daily", start_date=scope.today()),
            groups=[Group(action_id=action, share=1.0, channels=reached)],
            rules=SeriesRules(include_all=True),
        ),
    )


def ours(scope: Scope) -> tuple[float, float, float]:
    """Seconds that sending takes, those of processors, and the megabytes that this process grows by meanwhile."""
    process, ended = psutil.Process(), threading.Event()
    before = highest = process.memory_info().rss

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.1):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, used = time.perf_counter(), time.process_time()
    assert tasks.execute_due(scope) == 1
    seconds = time.perf_counter() - began
    ended.set()
    watcher.join()
    return seconds, time.process_time() - used, (highest - before) / 2**20


PROFILERS: list[cProfile.Profile] = []


def begin_profiling(*_: object) -> None:
    """Say of every function of a new thread how much of the processors' time it takes."""
    sys.setprofile(None)
    profiler = cProfile.Profile(time.thread_time)
    PROFILERS.append(profiler)
    profiler.enable()


def print_profile() -> None:
    """The functions of all threads that take most."""
    statistics = pstats.Stats(PROFILERS[0])
    for profiler in PROFILERS[1:]:
        statistics.add(profiler)
    statistics.sort_stats("tottime").print_stats(45)
    statistics.sort_stats("cumtime").print_stats(90)


def main() -> None:
    """Build, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--pipelined", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    size, connections = options.size, options.connections
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    pipe, childs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=sink, args=(childs,), daemon=True)
    child.start()
    port = pipe.recv()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    try:
        stores.clock.set(datetime(2026, 7, 1, 8, tzinfo=UTC))
        scope = create_tenant(stores, "Bench", "UTC", "EUR", {"campaigns": {"blast_minimum": 10**9}})
        prepare(scope, size, port, connections)
        if options.profile:
            threading.setprofile(begin_profiling)
        stores.start_work()
        membership.compute_members(scope, 1, DATA_DATE)
        processing.process(scope, plan_next_run(scope, 1, scope.today()), DATA_DATE)
        stores.clock.set(datetime(2026, 7, 1, 9, tzinfo=UTC))
        seconds, used, added = ours(scope)
        pipe.send(True)
        messages, octets = pipe.recv()
        size = messages  # a tenth of the customers are control
        baseline = bare(port, connections, size, octets // size, pipelined=options.pipelined)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
        pipe.send(False)
    if options.profile:
        print_profile()
    ratio = size / seconds / (size / baseline)
    figure = {
        "name": f"send {size:,} personalised e-mails of {octets // size:,} bytes",
        "ours": round(size / seconds),
        "baseline": round(size / baseline),
        "ratio": round(ratio, 2),
        "cpu_ms_each": round(used * 1000 / size, 3),
        "added_mb": round(added),
        "limit": f"ratio of {LOWEST_RATIO} at least, {MOST_ADDED_MB} MB added at most",
        "unit": "messages/s",
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main()
