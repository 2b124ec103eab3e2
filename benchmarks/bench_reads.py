"""Pages of GetCustomersByAction with three CustomerAttributes over 5 M sends.

Two figures: the time of a page over HTTP against the bare engine's for the same SQL as JSON, and the
rows a second that 8 keep-alive connections get. The server has a process of its own, as in life;
the embedded engine serves one process, so the comparison with it is made in there.

    python benchmarks/bench_reads.py [--size SENDS] [--seconds S]
"""

import argparse
import hashlib
import http.client
import json
import logging
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import chdb
import structlog
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import update

from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.access.tenant_limits import change_limits
from rapport.app import create_app
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.settings import Settings
from rapport.stores import open_stores
from rapport.stores.warehouse import JSON_SETTINGS

PAGE, CONNECTIONS, CAMPAIGNS = 10_000, 8, 10
DATA_DATE, FIRST_DAY = date(2026, 1, 1), date(2026, 1, 2)
ATTRIBUTES = "EMAIL;COUNTRY;REGISTRATION_DATE"
PATH = "/current/customers/GetCustomersByAction?"

PROFILES = """
    INSERT INTO profiles (data_date, customer_id, EMAIL, COUNTRY, FIRST_NAME, REGISTRATION_DATE)
    SELECT {day:Date}, concat('C', leftPad(toString(number), 8, '0')), concat('p', toString(number), '@example.com'),
        ['DE', 'AT', 'CH'][number % 3 + 1], concat('Name', toString(number % 1000)),
        toDate('2020-01-01') + number % 2000
    FROM numbers({customers:UInt64})
"""
RECIPIENTS = """
    INSERT INTO campaign_recipients (* EXCEPT (firing_id, drawn_group, messages))
    SELECT {day:Date}, {campaign:UInt32}, concat('C', leftPad(toString(number), 8, '0')), 504, 1, 2, 7, 3, '',
        toDateTime('2026-01-02 09:00:00', 'UTC'), {day:Date} + 5
    FROM numbers({customers:UInt64}) WHERE number % 2 = {campaign:UInt32} % 2
"""
# What the function asks, written out by hand.
BARE = """
    WITH page AS MATERIALIZED (
        SELECT *, rowNumberInAllBlocks() AS page_row
        FROM (
            SELECT customer_id AS CustomerID FROM campaign_recipients
            WHERE execution_date = '{day}' AND campaign_id = {campaign}
              AND action_id = 2 AND recipient_group_id = 1
            ORDER BY customer_id LIMIT 1 BY customer_id LIMIT 10000 OFFSET {skip}
        )
    )
    SELECT page.CustomerID, [profile.a, profile.b, profile.c] AS CustomerAttributes
    FROM page
    LEFT JOIN (
        SELECT customer_id, toString(EMAIL) AS a, toString(COUNTRY) AS b, toString(REGISTRATION_DATE) AS c
        FROM profiles WHERE data_date = '2026-01-01' AND customer_id IN (SELECT CustomerID FROM page)
    ) AS profile ON profile.customer_id = page.CustomerID
    ORDER BY page_row
    SETTINGS max_threads = 1, optimize_aggregation_in_order = 1, enable_materialized_cte = 1
"""


def build(scope: Scope, sends: int) -> None:
    """One campaign a day of half the customers, CAMPAIGNS days, `sends` in all; profiles of every customer."""
    customers = 2 * sends // CAMPAIGNS
    scope.warehouse.execute(PROFILES, day=DATA_DATE, customers=customers)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    for number in range(1, CAMPAIGNS + 1):
        day = FIRST_DAY + timedelta(days=number - 1)
        scope.warehouse.execute(RECIPIENTS, day=day, campaign=number, customers=customers)
        _record(scope, number, day)


def _record(scope: Scope, number: int, day: date) -> None:
    with scope.records() as session:
        session.add(
            Occurrence(
                tenant_id=scope.tenant_id, id=number, series_id=number, execution_date=day, state="successful",
                target_group_id=3, campaign_type="Test/Control", duration=5,
            )
        )  # fmt: skip
        session.add(
            OccurrenceChannel(
                tenant_id=scope.tenant_id, campaign_id=number, recipient_group_id=1, channel_id=504, template_id=7,
                action_id=2, scheduled_time=datetime(2026, 1, 2, 9),
            )
        )  # fmt: skip


def query(campaign: int, skip: int) -> dict[str, str]:
    """The parameters of a page of one campaign's day."""
    day = FIRST_DAY + timedelta(days=campaign - 1)
    return {
        "RecipientGroupID": "1",
        "ActionID": "2",
        "Date": day.isoformat(),
        "CustomerAttributes": ATTRIBUTES,
        "$top": str(PAGE),
        "$skip": str(skip),
    }


def fetch(connection: http.client.HTTPConnection, key: str, params: dict[str, str]) -> bytes:
    """One page over a kept connection."""
    connection.request("GET", PATH + urlencode(params), headers={"X-API-KEY": key})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {body[:200]!r}")
    return body


def bare_page(connection: Any, campaign: int, skip: int) -> bytes:
    """The same page by the engine's own connection, written out as JSON and nothing else."""
    day = FIRST_DAY + timedelta(days=campaign - 1)
    body: bytes = connection.query(BARE.format(day=day, campaign=campaign, skip=skip), "JSONEachRow").bytes()
    return body


def compare(child: "Child", key: str, sends: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of pages over HTTP and by the bare engine, in turns over the same random pages."""
    client = http.client.HTTPConnection("127.0.0.1", child.port)
    seconds: dict[str, list[float]] = {"ours": [], "baseline": []}
    for campaign, skip in [(1, 0), *random_pages(sends, rounds)]:
        began = time.perf_counter()
        body = fetch(client, key, query(campaign, skip))
        seconds["ours"].append(time.perf_counter() - began)
        bare = child.ask(campaign, skip)
        if digest(body) != bare["digest"] or bare["rows"] != PAGE:
            raise SystemExit("The page and the bare engine's answer differ.")
        seconds["baseline"].append(bare["seconds"])
    client.close()
    return {name: found[1:] for name, found in seconds.items()}


def digest(body: bytes) -> str:
    """What a body says, whatever its white space."""
    return hashlib.sha256(json.dumps(json.loads(body)).encode()).hexdigest()


def random_pages(sends: int, count: int) -> list[tuple[int, int]]:
    """Campaigns and rows to skip: whole pages anywhere in a campaign."""
    last = sends // CAMPAIGNS - PAGE
    chance = random.Random(1)
    return [(chance.randint(1, CAMPAIGNS), chance.randint(0, max(0, last))) for _ in range(count)]


def serve(folder: Path, sends: int) -> None:
    """The child: build, serve, and answer bare pages asked for on stdin until it ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    stores = open_stores(Settings(data_dir=folder))
    scope = create_tenant(stores, "bench")
    change_limits(scope, {"calls": 0})
    build(scope, sends)
    _, key = keys.create_key(scope, "bench", "bench@example.com", "Admin", rate_limit=0)
    server = uvicorn.Server(uvicorn.Config(create_app(stores), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    print(json.dumps({"port": server.servers[0].sockets[0].getsockname()[1], "key": key}), flush=True)
    engine = chdb.connect(stores.warehouse.url.removeprefix("chdb://"))
    engine.query(f"USE {scope.warehouse.name}")
    for name, value in JSON_SETTINGS.items():
        engine.query(f"SET {name} = '{value}'")
    for line in sys.stdin:
        campaign, skip = map(int, line.split())
        began = time.perf_counter()
        body = bare_page(engine, campaign, skip)
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "digest": digest(body), "rows": len(json.loads(body))}), flush=True)
    engine.close()
    server.should_exit = True
    thread.join()
    stores.close()


class Child:
    """The server's process."""

    def __init__(self, folder: Path, sends: int) -> None:
        command = [sys.executable, __file__, "--serve", str(folder), f"--size={sends}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._line()
        self.port, self.key = int(told["port"]), str(told["key"])

    def ask(self, campaign: int, skip: int) -> dict[str, Any]:
        """A page by the bare engine: its seconds, digest and rows."""
        assert self.process.stdin is not None
        print(campaign, skip, file=self.process.stdin, flush=True)
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The server ended.")
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> None:
        """Let it close its stores."""
        self.process.communicate(timeout=60)


def load(port: int, key: str, sends: int, seconds: float) -> float:
    """Rows a second over CONNECTIONS kept connections, for some seconds."""
    rows = [0] * CONNECTIONS
    end = time.perf_counter() + seconds

    def pull(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        pages = random_pages(sends, 10_000)[number::CONNECTIONS]
        for count, (campaign, skip) in enumerate(pages):
            if time.perf_counter() > end:
                break
            body = fetch(connection, key, query(campaign, skip))
            if count % 16 == 0 and body.count(b'"CustomerID"') != PAGE:
                raise SystemExit("A page is not whole.")
            rows[number] += PAGE
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=pull, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rows) / (time.perf_counter() - began)


def report(seconds: dict[str, list[float]], rate: float, sends: int) -> None:
    """A JSON line a figure, and a table."""
    ours, bare = (statistics.median(seconds[name]) * 1000 for name in ("ours", "baseline"))
    figures = [
        {
            "name": f"page of {PAGE} of {sends} sends over HTTP",
            "ours": round(ours, 2),
            "baseline": round(bare, 2),
            "ratio": round(ours / bare, 3),
            "limit": 1.5,
            "unit": "ms",
        },
        {
            "name": f"rows over HTTP, {CONNECTIONS} connections",
            "ours": round(rate),
            "baseline": 400_000,
            "ratio": round(rate / 400_000, 3),
            "limit": 400_000,
            "unit": "rows/s (at least)",
        },
    ]
    table = Table("figure", "ours", "baseline", "ratio", "limit", "unit")
    for figure in figures:
        print(json.dumps(figure))
        table.add_row(*(str(value) for value in figure.values()))
    Console().print(table)


def main() -> None:
    """Start the child, measure, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=5_000_000, help="sends")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the load")
    parser.add_argument("--rounds", type=int, default=60, help="pages compared with the bare engine")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.size)
        return
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    child = None
    try:
        child = Child(folder, options.size)
        seconds = compare(child, child.key, options.size, options.rounds)
        report(seconds, load(child.port, child.key, options.size, options.seconds), options.size)
    finally:
        if child is not None:
            child.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
