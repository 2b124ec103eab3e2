"""Intake of events over HTTP: events a second in batches and singly, beside the bare engine; a burst of 50,000.

The server runs in a process of its own, with all that it does besides: triggers are looked for and events are
filed meanwhile. Two processes of four connections each send.
Run: python benchmarks/bench_intake.py [--size N] [--history N]
"""

import argparse
import http.client
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg

BATCH = 100
BURST = 50_000
LEAST_BATCHES = 5_000  # events a second
LEAST_RATIO = 0.25  # of the bare engine's
PERSONS = 20_000
PROCESSES, CONNECTIONS = 2, 4
WORDS = ("shoes", "shirts", "books", "games", "garden")
SETUP = """
import json
import sys
from pathlib import Path

from rapport.access.service import create_tenant
from rapport.access.tenant_limits import change_limits
from rapport.customers import event_types
from rapport.realtime.events import tokens
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = create_tenant(stores, "bench", settings={"events": {"events_per_person": 100000}})
change_limits(scope, {"app_events": 0})
event_types.declare_event_type(scope, "view", {"category": "String", "price": "Number", "sale": "Boolean"})
scope.warehouse.execute(
    "INSERT INTO customers (customer_id) SELECT concat('C', toString(number)) FROM numbers(%d)" % int(sys.argv[2])
)
found = tokens.tokens(scope)
print(json.dumps({"tenant": scope.tenant_id, "server": found["server"].value, "sdk": found["sdk"].value}))
stores.close()
"""
COUNT = """
import sys, json
from pathlib import Path
from rapport.settings import Settings
from rapport.stores import open_stores
stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
warehouse = stores.warehouse.database(sys.argv[2])
print(json.dumps(warehouse.row("SELECT count(), uniqExact(seq), uniqExact(event_id) FROM activity_events")))
stores.close()
"""
BARE = """
    INSERT INTO bare
        (seq, tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, state)
    SELECT nextval('bare_seq'), t, k, e, 'sdk', c, '', p, a, a, 0
    FROM json_to_recordset(%s::json) AS g(t int, k uuid, e text, c text, p jsonb, a timestamptz)
"""
# Keys of the last eight days as apps' events have them: the hour first.
HISTORY = """
    INSERT INTO event_keys (tenant_id, key, received_date)
    SELECT %s, CAST(lpad(to_hex(h), 8, '0') || left(md5(CAST(i AS text)), 24) AS uuid), current_date
    FROM (SELECT i, CAST(extract(epoch FROM now()) AS int) / 3600 - i %% 192 AS h FROM generate_series(1, %s) AS i) AS g
"""


def event(tenant: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "tenant": tenant["tenant"],
        "category": "track",
        "event": "view",
        "origin": "sdk",
        "customer": f"C{number * 7919 % PERSONS}",
        "visitor": "",
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC",
        "context": {"category": WORDS[number % 5], "price": number % 1000 / 10, "sale": number % 2 == 0},
        "metadata": {"realtime": True, "eventId": str(uuid.uuid4())},
    }


def post(base_url: str, path: str, headers: dict[str, str], bodies: list[bytes], seconds: list[float]) -> None:
    """Post bodies one after the other on one connection; notes the seconds of each."""
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=60)
    for body in bodies:
        began = time.perf_counter()
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        seconds.append(time.perf_counter() - began)
    connection.close()


def send(base_url: str, path: str, headers: dict[str, str], bodies: list[bytes], out: Any) -> None:
    """Post bodies over several connections at once; tells the seconds of each."""
    seconds: list[float] = []
    parts = [bodies[number::CONNECTIONS] for number in range(CONNECTIONS)]
    threads = [threading.Thread(target=post, args=(base_url, path, headers, part, seconds)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out.put(seconds)


def load(base_url: str, path: str, headers: dict[str, str], bodies: list[bytes]) -> tuple[float, float]:
    """Send bodies from a few processes: seconds in all, and of a request at the 99th percentile."""
    out: Any = multiprocessing.Queue()
    parts = [bodies[number::PROCESSES] for number in range(PROCESSES)]
    workers = [multiprocessing.Process(target=send, args=(base_url, path, headers, part, out)) for part in parts]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    every = sorted(one for _ in workers for one in out.get(timeout=600))
    seconds = time.perf_counter() - began
    for worker in workers:
        worker.join()
    assert len(every) == len(bodies), "a request was not answered well"
    return seconds, every[int(len(every) * 0.99)]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    code = "from rapport.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--json", "--data-dir", str(folder)]
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        base_url = json.loads(process.stdout.readline())["base_url"]
        yield base_url
    finally:
        process.terminate()
        process.wait(60)


def connect(folder: Path) -> psycopg.Connection[Any]:
    return psycopg.connect(host=str(folder / "records"), user="postgres", dbname="postgres", autocommit=True)


def bare(folder: Path, tenant: dict[str, Any], size: int) -> float:
    """Events a second that the engine stores in one connection, a transaction a batch."""
    made = [event(tenant, number) for number in range(size)]
    rows = [
        {"t": one["tenant"], "k": one["metadata"]["eventId"], "e": one["event"], "c": one["customer"],
         "p": one["context"], "a": datetime.now(UTC)}
        for one in made
    ]  # fmt: skip
    with connect(folder) as connection:
        connection.execute("CREATE SEQUENCE bare_seq")
        connection.execute("CREATE TABLE bare (LIKE accepted_events INCLUDING ALL)")
        began = time.perf_counter()
        for first in range(0, size, BATCH):
            connection.execute(BARE, [orjson.dumps(rows[first : first + BATCH]).decode()])
        seconds = time.perf_counter() - began
        connection.execute("DROP TABLE bare")
        connection.execute("DROP SEQUENCE bare_seq")
    return size / seconds


def drained(folder: Path) -> float:
    """Seconds until nothing waits any more."""
    began = time.perf_counter()
    with connect(folder) as connection:
        while connection.execute("SELECT 1 FROM accepted_events LIMIT 1").fetchone():
            time.sleep(0.1)
    return time.perf_counter() - began


def figure(name: str, ours: float, baseline: float, limit: float, unit: str) -> None:
    ratio = ours / baseline if baseline else 0.0
    row = {"name": name, "ours": round(ours, 3), "baseline": round(baseline, 3), "ratio": round(ratio, 3)}
    print(json.dumps({**row, "limit": limit, "unit": unit}))
    print(f"  {name:<44} {ours:>10.1f} {baseline:>10.1f} {ratio:>7.2f}  {unit}, limit {limit}", flush=True)


def bodies_of(tenant: dict[str, Any], size: int) -> list[bytes]:
    return [
        orjson.dumps([event(tenant, number) for number in range(first, first + BATCH)])
        for first in range(0, size, BATCH)
    ]


def measure(folder: Path, tenant: dict[str, Any], base_url: str, options: argparse.Namespace) -> int:
    """Everything; how many events were sent."""
    path, json_type = f"/v1/optistream/{tenant['sdk']}", {"Content-Type": "application/json"}
    size = options.size
    load(base_url, path, json_type, bodies_of(tenant, 2000))  # warm
    engine = bare(folder, tenant, min(size, 20_000))
    drained(folder)
    seconds, slow = load(base_url, path, json_type, bodies_of(tenant, size))
    waited = drained(folder)
    figure("events a second in batches of 100", size / seconds, engine, LEAST_BATCHES, "events/s")
    figure("a batch at the 99th percentile", slow * 1000, 0, 0, "ms")
    figure("until all of them are in the warehouse", waited, 0, 0, "s after the last answer")
    single = size // 20
    ones = [orjson.dumps(event(tenant, number)) for number in range(single)]
    headers = {**json_type, "Authorization-Token": tenant["server"]}
    seconds, slow = load(base_url, "/v1/events", headers, ones)
    figure("events a second, one a request", single / seconds, engine, 0, "events/s")
    figure("a single event at the 99th percentile", slow * 1000, 0, 0, "ms")
    drained(folder)
    seconds, _ = load(base_url, path, json_type, bodies_of(tenant, BURST))
    waited = drained(folder)
    figure(f"a burst of {BURST} events, answered", BURST / seconds, engine, LEAST_BATCHES, "events/s")
    figure("until the burst is in the warehouse", waited, 0, 0, "s after the last answer")
    sent = 2000 + size + single + BURST
    if options.history:
        with connect(folder) as connection:
            connection.execute(HISTORY, [tenant["tenant"], options.history])
            connection.execute("CHECKPOINT")
        before, _ = load(base_url, path, json_type, bodies_of(tenant, size))
        drained(folder)
        figure(f"the same, {options.history} events remembered", size / before, engine, LEAST_BATCHES, "events/s")
        sent += size
    return sent


def script(code: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="events sent in batches")
    parser.add_argument("--history", type=int, default=0, help="events remembered before the last figure")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    base.chmod(0o755)
    folder = base / "data"
    try:
        tenant = script(SETUP, folder, PERSONS)
        with serving(folder) as base_url:
            sent = measure(folder, tenant, base_url, options)
        found = script(COUNT, folder, f"rapport_{tenant['tenant']}")
        assert found == [sent, sent, sent], (found, sent)
        print(f"  {sent} events sent, each once in the warehouse")
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
