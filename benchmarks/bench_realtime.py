"""Events to event 11: how long a firing takes, what a burst does, and what an event costs as history grows.

The server is one process with embedded engines and 20 active triggers; a second process sends events as SDKs
do, in batches over kept connections, and is the listener that event 11 is posted to, so that one clock
measures both ends: from the answer to a request until the post of its event arrives.

    python benchmarks/bench_realtime.py [--size EVENTS] [--seconds S] [--rate R]

--size is how many stored events history grows to (from a twentieth of it).
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import structlog
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.access.tenant_limits import change_limits
from rapport.app import carrying_out, create_app
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.messaging import templates
from rapport.notifications import service as notifications
from rapport.realtime.events.tokens import tokens
from rapport.settings import Settings, roles_of
from rapport.stores import open_stores

CUSTOMERS = 200_000
BATCH, CONNECTIONS = 15, 10
BURST, BURST_BATCH = 50_000, 100
SMS, TEMPLATE = 505, 11
COUNTRIES = ("DE", "AT", "CH", "NL")
EVENTS = ("level_up", "page_view", "add_to_cart", "purchase", "search", "login")
# Of a hundred events: 8 fire one of the simple triggers, the others are counted, open or close something, or nothing.
MIX = ("level_up",) * 8 + ("page_view",) * 44 + ("add_to_cart",) * 20 + ("purchase",) * 8 + ("search",) * 20
SHARE = MIX.count("level_up") / len(MIX)
LATENCY_LIMIT_MS, COST_LIMIT = 250, 1.3

PROFILES = """
    INSERT INTO {table} ({day} customer_id, EMAIL, COUNTRY, REGISTRATION_DATE)
    SELECT {value} concat('C', toString(number)), concat('p', toString(number), '@example.com'),
        ['DE', 'AT', 'CH', 'NL'][number % 4 + 1], toDate('2020-01-01') + number % 2000
    FROM numbers({customers})
"""
HISTORY = """
    INSERT INTO activity_events (event_id, event_type_id, customer_id, event_at, properties, origin, seq)
    SELECT toString(generateUUIDv4()), 1001 + number % 5, concat('C', toString(cityHash64(number) % {customers})),
        toDateTime64('{day} 00:00:00', 3, 'UTC') - toIntervalSecond(cityHash64(number, 1) % (90 * 86400)),
        map('amount', toString(number % 100)), 'server', 0
    FROM numbers({first}, {count}) SETTINGS max_partitions_per_insert_block = 0
"""
KEYS = text("""
    INSERT INTO event_keys (tenant_id, key, received_date)
    SELECT :tenant_id, gen_random_uuid(), CAST(:day AS date) - CAST(n % 30 AS int) FROM generate_series(1, :count) AS n
""")


# --- the server


def build(scope: Scope) -> None:
    """Customers, events, an outside channel and 20 triggers."""
    day = scope.today() - timedelta(days=1)
    for table, name, value in (("profiles", "data_date,", f"toDate('{day}'),"), ("customers", "", "")):
        scope.warehouse.execute(PROFILES.format(table=table, day=name, value=value, customers=CUSTOMERS))
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    channels.create_channel(scope, "SMS", "external")
    templates.save_template(scope, SMS, "Offer", id=TEMPLATE)
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["FREE5"]))
    for name in EVENTS:
        event_types.declare_event_type(scope, name, {"amount": "Number", "brand": "String", "n": "Number"})
    for trigger in triggers():
        campaign_definitions.create_triggered(scope, TriggeredBody.model_validate(trigger))


def triggers() -> Iterator[dict[str, Any]]:
    """Eight that fire on level_up, by amount; six that count and six that wait, which fire for nobody in the time."""
    for n in range(8):
        amount = {"attribute": "amount", "operator": "between", "value": [n * 10, n * 10 + 9]}
        country = {"attribute": "COUNTRY", "operator": "in", "value": list(COUNTRIES)}
        bought = {"history": "transactions", "operator": "less", "value": 1}
        kind = {"kind": "simple", "event": "level_up", "conditions": amount}
        yield _body(f"Level {n}", kind, {"all": [country, bought]} if n == 0 else country)
    for n in range(6):
        brand = {"attribute": "brand", "operator": "equals", "value": f"brand {n}"}
        kind = {"kind": "repeated", "event": "page_view", "conditions": brand, "times": 50, "window_minutes": 60}
        yield _body(f"Keen on {n}", kind, None)
    for n in range(6):
        amount = {"attribute": "amount", "operator": "between", "value": [n * 15, n * 15 + 14]}
        kind = {"kind": "sequence", "event": "add_to_cart", "conditions": amount, "window_minutes": 120}
        yield _body(f"Cart {n}", {**kind, "closing": [{"event": "purchase"}]}, None)


def _body(name: str, trigger: dict[str, Any], conditions: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "trigger": trigger,
        "customer_conditions": conditions,
        "control_share": 0,
        "re_entry": {"times": 1000, "days": 1},
        "groups": [{"action_id": 2, "channels": [{"channel_id": SMS, "template_id": TEMPLATE}]}],
    }


def grow(scope: Scope, first: int, last: int) -> None:
    """Stored events and remembered keys from one number to another; the keys' index is built anew, which is quicker."""
    step, day = 1_000_000, scope.today()
    with scope.records() as session:
        session.execute(text("ALTER TABLE event_keys DROP CONSTRAINT pk_event_keys"))
    for begin in range(first, last, step):
        count = min(step, last - begin)
        scope.warehouse.execute(HISTORY.format(customers=CUSTOMERS, day=day, first=begin, count=count))
        with scope.records() as session:
            session.execute(KEYS, {"tenant_id": scope.tenant_id, "day": day, "count": count})
    with scope.records() as session:
        session.execute(text("ALTER TABLE event_keys ADD CONSTRAINT pk_event_keys PRIMARY KEY (tenant_id, key)"))
    while scope.warehouse.value("SELECT count() FROM system.merges"):
        time.sleep(0.5)
    with scope.stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE event_keys"))
        connection.execute(text("CHECKPOINT"))


def state(scope: Scope) -> dict[str, Any]:
    """How far the server is, and the CPU seconds that it and its PostgreSQL have used."""
    with scope.records() as session:
        waiting = session.scalar(text("SELECT count(*) FROM accepted_events WHERE state = 0"))
        firings = session.scalar(text("SELECT count(*) FROM trigger_firings"))
        stored = session.scalar(text("SELECT coalesce(sum(count), 0) FROM event_counts"))
    folder = scope.stores.settings.data_dir
    used = {"server": cpu(psutil.Process()), "records": records_cpu(folder)}
    return {"waiting": waiting, "firings": firings, "stored": int(stored), **used}


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process."""
    used = process.cpu_times()
    return float(used.user + used.system)


def records_cpu(folder: Path) -> float:
    """CPU seconds of the embedded PostgreSQL: of its postmaster, and of the processes that it has or had."""
    first = (folder / "records" / "postmaster.pid").read_text().splitlines()[0]
    postmaster = psutil.Process(int(first))
    ended = postmaster.cpu_times()
    total = float(ended.children_user + ended.children_system)
    for one in (postmaster, *postmaster.children()):
        with contextlib.suppress(psutil.Error):
            total += cpu(one)
    return total


def serve(folder: Path, listener: str) -> None:
    """The child: build and serve, and answer what is asked on stdin until it ends."""
    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    settings = Settings(data_dir=folder, allow_private_addresses=True, rate_limit_calls=0)
    stores = open_stores(settings)
    scope = create_tenant(stores, "bench", "Europe/Berlin", "EUR")
    change_limits(scope, {"app_events": 0})
    build(scope)
    notifications.register_listener(scope, 11, listener, SMS)
    with carrying_out(stores, roles_of(settings)):
        config = uvicorn.Config(create_app(stores), port=0, log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        told = {name: one.value for name, one in tokens(scope).items()}
        port = server.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"port": port, "tenant": scope.tenant_id, **told}), flush=True)
        for line in sys.stdin:
            word, *numbers = line.split()
            if word == "grow":
                grow(scope, *map(int, numbers))
            print(json.dumps(state(scope)), flush=True)
        server.should_exit = True
        thread.join()
    stores.close()


# --- the sender and listener


class Listener(asyncio.Protocol):
    """Answers every post with 204 and notes when each event's number arrived."""

    arrived: dict[int, float] = {}  # noqa: RUF012 - one process has one
    twice = 0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.index(b"content-length:") + len(b"content-length:")
            length = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._note(self._buffer[end + 4 : end + 4 + length])
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]

    def _note(self, body: bytes) -> None:
        number = json.loads(body)["event_n"]
        if number in Listener.arrived:
            Listener.twice += 1
        else:
            Listener.arrived[number] = time.perf_counter()


class Sender:
    """Sends events over kept connections; answered tells when each firing event's request was answered."""

    def __init__(self, port: int, tenant: int, token: str) -> None:
        self.port, self.tenant, self.token = port, tenant, token
        self.answered: dict[int, float] = {}
        self.waits: list[float] = []
        self.sent = 0
        self._chance = random.Random(7)

    def events(self, count: int) -> tuple[list[dict[str, Any]], list[int]]:
        """Events as an SDK batches them, and the numbers of those that fire."""
        made, firing = [], []
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for _ in range(count):
            self.sent += 1
            name = MIX[self._chance.randrange(len(MIX))]
            amount, brand = self._chance.randrange(80), f"brand {self._chance.randrange(40)}"
            if name == "level_up":
                firing.append(self.sent)
            made.append(
                {
                    "tenant": self.tenant,
                    "category": "track",
                    "event": name,
                    "origin": "sdk",
                    "customer": f"C{self._chance.randrange(CUSTOMERS)}",
                    "timestamp": stamp,
                    "context": {"amount": amount, "brand": brand, "n": self.sent},
                    "metadata": {"realtime": True, "eventId": f"{self._chance.getrandbits(128):032x}"},
                }
            )
        return made, firing

    async def post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        """One request of so many events, until its answer."""
        made, firing = self.events(count)
        body = json.dumps(made).encode()
        head = f"POST /v1/optistream/{self.token} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer[:20]:
            raise SystemExit(f"{answer!r}")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        now = time.perf_counter()
        self.waits.append(now - began)
        self.answered.update(dict.fromkeys(firing, now))

    async def pace(self, rate: float, batch: int, seconds: float) -> None:
        """So many events a second in batches, over CONNECTIONS connections, each at its even pace."""
        await asyncio.gather(*(self._paced(n, rate / CONNECTIONS / batch, batch, seconds) for n in range(CONNECTIONS)))

    async def _paced(self, number: int, per_second: float, batch: int, seconds: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        begin = time.perf_counter() + number / CONNECTIONS / per_second
        for turn in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, begin + turn / per_second - time.perf_counter()))
            await self.post(reader, writer, batch)
        writer.close()

    async def burst(self, events: int) -> None:
        """So many events as fast as they are taken."""
        each = events // CONNECTIONS // BURST_BATCH

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for _ in range(each):
                await self.post(reader, writer, BURST_BATCH)
            writer.close()

        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))

    async def arrived(self, patience: float = 60) -> None:
        """Wait for event 11 of everything that fires."""
        end = time.perf_counter() + patience
        while self.answered.keys() - Listener.arrived.keys() and time.perf_counter() < end:
            await asyncio.sleep(0.05)

    def taken(self) -> dict[str, Any]:
        """What was measured since, in milliseconds; forgotten after that."""
        missing = len(self.answered.keys() - Listener.arrived.keys())
        late = [max(0.0, Listener.arrived[n] - at) * 1000 for n, at in self.answered.items() if n in Listener.arrived]
        found = {"firings": len(self.answered), "missing": missing, "twice": Listener.twice, "events": self.sent}
        found |= {f"p{p}": _percentile(late, p) for p in (50, 95, 99, 100)}
        found["answer_p99"] = _percentile([one * 1000 for one in self.waits], 99)
        self.answered, self.waits, self.sent = {}, [], self.sent
        return found


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values) or [0.0]
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 1)


async def send() -> None:
    """The other child: a listener, and what is asked on stdin: the server's address, then phases."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Listener, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    sender: Sender | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *values = line.split()
        began = time.perf_counter()
        if word == "server":
            sender = Sender(int(values[0]), int(values[1]), values[2])
        elif sender is not None and word == "pace":
            await sender.pace(float(values[0]), int(values[1]), float(values[2]))
        elif sender is not None and word == "burst":
            await sender.burst(int(values[0]))
        sent = time.perf_counter() - began
        if sender is not None:
            await sender.arrived()
        found = sender.taken() if sender is not None else {}
        print(json.dumps({**found, "sent_in": sent, "done_in": time.perf_counter() - began}), flush=True)


# --- the parent


class Child:
    """A process that is asked line by line."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, __file__, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = self._line()

    def ask(self, *words: object) -> dict[str, Any]:
        """What it answers."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("A child ended.")
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> None:
        """Let it close what it has open."""
        self.process.communicate(timeout=120)


def phase(server: Child, sender: Child, rate: float, batch: int, seconds: float) -> dict[str, Any]:
    """A steady load: latencies, and CPU milliseconds an event of server and records."""
    before = server.ask("state")
    found = sender.ask("pace", rate, batch, seconds)
    after = server.ask("state")
    events = after["stored"] - before["stored"]
    for part in ("server", "records"):
        found[part] = round((after[part] - before[part]) * 1000 / max(events, 1), 4)
    found["cost"] = round(found["server"] + found["records"], 4)
    found["stored"] = events
    print(json.dumps(found), file=sys.stderr)
    return found


def measure(options: argparse.Namespace, server: Child, sender: Child) -> list[dict[str, Any]]:
    """All figures."""
    small, large = options.size // 20, options.size
    server.ask("grow", 0, small)
    phase(server, sender, options.rate, BATCH, 5)  # to warm up
    first = phase(server, sender, options.rate, BATCH, options.seconds)
    single = phase(server, sender, min(options.rate, 300), 1, options.seconds / 3)
    before = server.ask("state")
    burst = sender.ask("burst", BURST)
    after = server.ask("state")
    print(json.dumps(burst), file=sys.stderr)
    server.ask("grow", small, large)
    phase(server, sender, options.rate, BATCH, 5)
    second = phase(server, sender, options.rate, BATCH, options.seconds)
    lost = burst["missing"] + first["missing"] + second["missing"] + single["missing"]
    lost += BURST - (after["stored"] - before["stored"])
    return [
        _figure(f"event 11 after the answer, p50, {small} stored", first["p50"], LATENCY_LIMIT_MS, "ms"),
        _figure(f"event 11 after the answer, p99, {small} stored", first["p99"], LATENCY_LIMIT_MS, "ms"),
        _figure(f"event 11 after the answer, p99, {large} stored", second["p99"], LATENCY_LIMIT_MS, "ms"),
        _figure("event 11 after the answer, p99, an event a request", single["p99"], LATENCY_LIMIT_MS, "ms"),
        _figure("answer to a request, p99", first["answer_p99"], LATENCY_LIMIT_MS, "ms"),
        _figure(f"burst of {BURST} events until the last event 11", round(burst["done_in"], 1), 60, "s"),
        _figure("events or firings lost or told twice", lost + burst["twice"], 0, ""),
        _figure("CPU an event, large history against small", second["cost"], COST_LIMIT, "ms", first["cost"]),
    ]


def _figure(name: str, ours: float, limit: float, unit: str, baseline: float | None = None) -> dict[str, Any]:
    base = limit if baseline is None else baseline
    ratio = round(ours / base, 3) if base else ours
    return {"name": name, "ours": ours, "baseline": base, "ratio": ratio, "limit": limit, "unit": unit}


def main() -> None:
    """Start both children, measure, end them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000_000, help="stored events")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a steady load")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--listener", default="", help=argparse.SUPPRESS)
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.listener)
    if options.send:
        return asyncio.run(send())
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    children: list[Child] = []
    try:
        children.append(sender := Child("--send"))
        url = f"http://127.0.0.1:{sender.told['port']}/event11"
        children.append(server := Child("--serve", str(folder), "--listener", url))
        sender.ask("server", server.told["port"], server.told["tenant"], server.told["sdk"])
        report(measure(options, server, sender))
    finally:
        for child in reversed(children):
            child.end()
        shutil.rmtree(folder, ignore_errors=True)


def report(figures: list[dict[str, Any]]) -> None:
    """A JSON line a figure, and a table."""
    table = Table("figure", "ours", "baseline", "ratio", "limit", "unit")
    for figure in figures:
        print(json.dumps(figure))
        table.add_row(*(str(value) for value in figure.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
