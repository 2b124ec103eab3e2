"""Reads of inboxes over HTTP with a million stored messages, at 200 a second, beside the bare SELECT.

Of either version of the API: how long a read takes at that rate (median, 99th percentile), and how long the records
need for what is read. The server has a process of its own.

    python benchmarks/bench_inbox.py [--size MESSAGES] [--rate READS] [--seconds S]
"""

import argparse
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
from pathlib import Path
from urllib.parse import urlencode

import structlog
import uvicorn
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.wire.inbox_shapes import SHOWN
from rapport.app import create_app
from rapport.channels import service as channels
from rapport.inbox import reading
from rapport.inbox.reading import Inbox
from rapport.messaging.topics import brand_groups
from rapport.settings import Settings
from rapport.stores import open_stores

CHANNEL, EACH, THREADS = 495, 20, 8
V1, V2 = "/api/v1/messages", "/api/v2/embedded-messages/get"
FILL = text("""
    INSERT INTO inbox_messages (tenant_id, id, channel_id, person, customer_id, message_id, campaign_id, send_id,
        template_id, container_id, title, content, media, url, payload, sent_at, updated_at, kept_until, read_at)
    SELECT :tenant_id, gen_random_uuid(), :channel_id, 'c' || n / :each, 'C' || n / :each, md5(n::text), n % 20 + 1, 0,
        7, 'Inbox', 'Offer ' || n, repeat('words ', 20), '/1/picture.png', 'https://shop.example.com/' || n,
        '{"kind": "offer"}', now() - n % 1000 * interval '1 minute', now(), now() + interval '90 days',
        CASE WHEN n % 3 = 0 THEN now() END
    FROM generate_series(0, :size - 1) AS n
""")


def serve(folder: Path, size: int) -> None:
    """The server: it tells its port, tenant and brand, and what the bare SELECT takes, on the standard output."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    stores = open_stores(Settings(data_dir=folder, rate_limit_calls=0))
    scope = create_tenant(stores, "Bench", "UTC", "EUR")
    channels.create_channel(scope, "Inbox", "inbox", id=CHANNEL)
    brand = brand_groups.create_brand_group(scope, "Bench", {495: [CHANNEL]}).id
    with scope.records() as session:
        session.execute(FILL, {"tenant_id": scope.tenant_id, "channel_id": CHANNEL, "each": EACH, "size": size})
    with stores.records.alone() as connection:
        connection.execute(text("ANALYZE inbox_messages"))
    server = uvicorn.Server(uvicorn.Config(create_app(stores), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "tenant": scope.tenant_id, "brand": brand, "bare": bare(scope, size)}), flush=True)
    sys.stdin.read()


def bare(scope: Scope, size: int) -> float:
    """The median of the SELECT of an inbox, in milliseconds."""
    taken = []
    for _ in range(200):
        inbox = Inbox((f"c{random.randrange(size // EACH)}",), (CHANNEL,))
        began = time.perf_counter()
        reading.listed(scope, inbox, SHOWN)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def read_at_rate(path: str, about: dict[str, str], size: int, rate: float, seconds: float) -> list[float]:
    """The times of reads that begin at a steady rate, in milliseconds from when each should have begun."""
    taken: list[float] = []
    begin, total = time.perf_counter() + 0.2, int(rate * seconds)

    def reads(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(about["port"]))
        for number in range(first, total, THREADS):
            due = begin + number / rate
            time.sleep(max(due - time.perf_counter(), 0))
            customer = f"C{random.randrange(size // EACH)}"
            query = urlencode({"tenantId": about["tenant"], "brandId": about["brand"], "customerId": customer})
            connection.request("GET" if path == V1 else "POST", f"{path}?{query}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or body.count(b"templateId") != EACH:
                raise SystemExit(f"{answer.status} {body[:200]!r}")
            taken.append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=reads, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def main() -> None:
    """Measure, and print figures as JSON lines and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.size)
    folder = Path(tempfile.mkdtemp(prefix="bench-inbox-"))
    folder.chmod(0o755)
    command = [sys.executable, __file__, "--serve", str(folder / "data"), "--size", str(options.size)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        table = Table("read", "median ms", "99% ms", "bare SELECT ms", "times the bare")
        for name, path in (("V1", V1), ("V2", V2)):
            read_at_rate(path, about, options.size, options.rate, 1)
            taken = sorted(read_at_rate(path, about, options.size, options.rate, options.seconds))
            median, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
            figures = {"median_ms": median, "p99_ms": p99, "bare_ms": about["bare"], "ratio": median / about["bare"]}
            print(json.dumps({"bench": "inbox", "read": name, "messages": options.size, **figures}))
            table.add_row(name, *(f"{value:.2f}" for value in figures.values()))
        Console().print(table)
    finally:
        process.communicate("")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
