"""Personalised e-mails of a campaign, against a bare SMTP load generator with the same connections and message size.

Both send to the same sink, a process of its own that speaks SMTP and keeps nothing: a tiny one, or aiosmtpd, which
takes as much time for a message as real mail servers do. Ours reads attributes of each customer, fills ten tags in
subject, HTML and text, tracks opens and clicks, writes links to unsubscribe, signs with DKIM, enters each message in
the records before it leaves and settles it afterwards. The generator sends one message of the same size again and
again, each verb as soon as the reply to the one before it has come; and once more with the envelope in one go, as ours
does.

It also says what bounds the ratio: how many signatures a core makes, and where the time of processors goes.

    python benchmarks/bench_mail.py [--size N] [--connections C] [--sink tiny|aiosmtpd] [--keys rsa,ed25519] [--profile]
"""

import argparse
import asyncio
import contextlib
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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
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
from rapport.channels.brands import dkim_keys
from rapport.channels.brands.models import Algorithm
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import open_stores

EMAIL = 504
DATA_DATE = date(2026, 6, 30)
LOWEST_RATIO, MOST_ADDED_MB = 0.5, 150
# So many messages of the generator are enough to tell its speed.
MOST_BARE = {"tiny": 50_000, "aiosmtpd": 10_000}
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


class Taker:
    """An aiosmtpd handler that counts as the tiny sink does."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        Sink.messages += 1
        Sink.octets += len(envelope.content or b"")
        return "250 taken"


def sink(pipe: multiprocessing.connection.Connection, kind: str) -> None:
    """The child: serves; each word on the pipe is answered with messages and bytes so far."""

    async def run() -> None:
        protocol = Sink if kind == "tiny" else lambda: SMTP(Taker(), hostname="sink")
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
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
            connected.sendall(b"EHLO bench.example.com\r\n")
            while replies.readline()[3:4] == b"-":
                pass
            for _ in range(messages):
                for said, lines in [*steps, (content, 1)]:
                    connected.sendall(said)
                    for _ in range(lines):
                        assert replies.readline()[:1] in (b"2", b"3")

    threads = [threading.Thread(target=one, args=(size // connections,)) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


# --- ours


def prepare(scope: Scope, size: int, port: int, connections: int, keys: list[Algorithm]) -> None:
    """Customers, a template with ten tags, a brand that signs, and a series to everybody."""
    scope.warehouse.execute(FILL, day=DATA_DATE, size=size)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    mail = {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com", "connections": connections}
    channel = channels.create_channel(scope, "E-mail", "email", id=EMAIL, settings=mail)
    dkim_keys.add_keys(scope, channel.settings["brand_id"], keys)
    tags = " ".join(f"[%{name}:none%]" for name in TAGS)
    html = (
        f"<html><body><h1>Dear [%FIRST_NAME:customer%]</h1><p>{tags}</p>"
        + f"<p>{PARAGRAPH * 3}</p>" * 12
        + '<p><a href="https://shop.example.com/offer?code=[%PROMO_CODE%]">Offer</a></p>'
        + '<p><a href="[%UNSUBSCRIBE_URL%]">Unsubscribe</a></p></body></html>'
    )
    text = (
        f"Dear [%FIRST_NAME:customer%],\n{tags}\n{PARAGRAPH * 3}\nhttps://shop.example.com/offer\n[%UNSUBSCRIBE_URL%]\n"
    )
    templates.save_template(scope, EMAIL, "Offer", "Dear [%FIRST_NAME%]: the offer of the week", html, text, id=1)
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


@dataclass
class Spent:
    """What sending takes: seconds, milliseconds of processors a message by whose they are, and megabytes added."""

    seconds: float
    cpu_ms: dict[str, float]
    added_mb: float


def readings(watched: dict[psutil.Process, str]) -> tuple[Counter[str], float]:
    """Seconds of processors until now by whose they are, and megabytes in memory of this process and its relays."""
    cpu, memory = Counter[str](), 0.0
    relays = [child for child in psutil.Process().children() if child not in watched]
    for process, name in (watched | dict.fromkeys(relays, "relays")).items():
        with contextlib.suppress(psutil.NoSuchProcess):
            members = [process, *process.children()] if name == "postgres" else [process]
            for times in (member.cpu_times() for member in members):
                cpu[name] += times.user + times.system
            # What the database's processes took that have ended.
            cpu[name] += sum(process.cpu_times()[2:4]) if name == "postgres" else 0.0
            if name in ("server", "relays"):
                memory += process.memory_info().rss / 2**20
    return cpu, memory


def ours(scope: Scope, size: int, watched: dict[psutil.Process, str]) -> Spent:
    """Send the campaign. What processes take that end meanwhile is counted up to a moment before."""
    ended = threading.Event()
    before, memory = readings(watched)
    highest, last = memory, Counter[str](before)

    def watch() -> None:
        nonlocal highest
        while not ended.wait(1.0):
            cpu, memory = readings(watched)
            highest = max(highest, memory)
            last.update({name: max(cpu[name] - last[name], 0.0) for name in cpu})

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    assert tasks.execute_due(scope) == 1
    seconds = time.perf_counter() - began
    ended.set()
    watcher.join()
    cpu_ms = {name: round((last[name] - before[name]) * 1000 / size, 3) for name in sorted(last)}
    return Spent(seconds, cpu_ms, highest - memory)


def signatures_a_second(threads: int) -> float:
    """How many RSA signatures threads of one process make together: no more than one where Python's lock is held."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    end = time.perf_counter() + 1.0

    def sign() -> int:
        count = 0
        while time.perf_counter() < end:
            key.sign(b"x" * 500, PKCS1v15(), SHA256())
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: sign(), range(threads)))


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
    parser.add_argument("--sink", choices=["tiny", "aiosmtpd"], default="tiny")
    parser.add_argument("--keys", default="rsa")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    size, connections = options.size, options.connections
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    pipe, childs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=sink, args=(childs, options.sink), daemon=True)
    child.start()
    port = pipe.recv()
    links = "https://news.example.com"
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True, public_url=links))
    try:
        stores.clock.set(datetime(2026, 7, 1, 8, tzinfo=UTC))
        scope = create_tenant(stores, "Bench", "UTC", "EUR", {"campaigns": {"blast_minimum": 10**9}})
        prepare(scope, size, port, connections, [Algorithm(name) for name in filter(None, options.keys.split(","))])
        if options.profile:
            threading.setprofile(begin_profiling)
        stores.start_work()
        membership.compute_members(scope, 1, DATA_DATE)
        processing.process(scope, plan_next_run(scope, 1, scope.today()), DATA_DATE)
        stores.clock.set(datetime(2026, 7, 1, 9, tzinfo=UTC))
        postmaster = int((folder / "records" / "postmaster.pid").read_text().split()[0])
        watched = {
            psutil.Process(): "server",
            psutil.Process(child.pid): "sink",
            psutil.Process(postmaster): "postgres",
        }
        spent = ours(scope, size, watched)
        pipe.send(True)
        size, octets = pipe.recv()  # a tenth of the customers are control
        sizes = {"octets": octets // size, "size": min(size, MOST_BARE[options.sink])}
        baselines = [sizes["size"] / bare(port, connections, **sizes, pipelined=each) for each in (False, True)]
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
        pipe.send(False)
    if options.profile:
        print_profile()
    speed = size / spent.seconds
    signed = f"signed with {options.keys or 'nothing'}, to {options.sink}"
    figure = {
        "name": f"send {size:,} personalised e-mails of {octets // size:,} bytes {signed}",
        "ours": round(speed),
        "baseline": round(baselines[0]),
        "ratio": round(speed / baselines[0], 2),
        "pipelined_baseline": round(baselines[1]),
        "pipelined_ratio": round(speed / baselines[1], 2),
        "cpu_ms_each": spent.cpu_ms,
        "rsa_signatures_a_second": {threads: round(signatures_a_second(threads)) for threads in (1, 2)},
        "added_mb": round(spent.added_mb),
        "limit": f"ratio of {LOWEST_RATIO} at least, {MOST_ADDED_MB} MB added at most",
        "unit": "messages/s",
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main()
