"""The sports inventory: calls of 500 records over HTTP, beside a bare multi-row upsert of the same rows.

Two feeds, of a brand each, send their calls at the same time, each one after the other. New records are events with a
market and its selections; changes are prices of selections that are there. The bare cost is one INSERT ... ON CONFLICT
of the columns of the records and of the prices that the history keeps, with a commit, on the same engine.

    python benchmarks/bench_sports.py [--calls N] [--limit RECORDS_PER_SECOND]
"""

import argparse
import http.client
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import carrying_out, create_app
from rapport.messaging.topics import brand_groups
from rapport.settings import Settings
from rapport.sports import storing
from rapport.sports.definitions import Kind, Operation, SentRecord, parent_of, read
from rapport.stores import open_stores

RECORDS, OF_EVENT = 500, 25
FEEDS, LOT = 2, 5
LIMIT = 20_000.0


def created(number: int) -> list[dict[str, Any]]:
    """A call that creates records: 20 events, each with a market and 23 selections."""
    records: list[dict[str, Any]] = []
    for place in range(RECORDS // OF_EVENT):
        event = f"e{number}-{place}"
        records.append(
            {
                "eventKey": event,
                "categoryKey": "c",
                "eventName": f"Team {place} v Team {number}",
                "eventDateTime": "2030-05-06T12:00:00Z",
                "eventStatus": "Active",
            }
        )
        records.append({"marketKey": "m", "eventKey": event, "marketName": "Winner"})
        records += [
            {
                "selectionKey": f"s{selection}",
                "eventKey": event,
                "marketKey": "m",
                "selectionName": f"Selection {selection}",
                "decPrice": 1.5 + selection / 4,
            }
            for selection in range(OF_EVENT - 2)
        ]
    return records


def changed(number: int) -> list[dict[str, Any]]:
    """A call that changes prices of the selections of a call that created records."""
    selections = [record for record in created(number) if "selectionKey" in record]
    prices = [
        {"selectionKey": record["selectionKey"], "eventKey": record["eventKey"], "decPrice": record["decPrice"] + 0.1}
        for record in selections
    ]
    return (prices + prices)[:RECORDS]


def bare(scope: Scope, brand: str, calls: list[list[dict[str, Any]]]) -> list[float]:
    """Seconds of a bare upsert of the same rows, each with its commit."""
    measured = []
    bound = {"tenant_id": scope.tenant_id, "brand": brand, "now": scope.clock.now()}
    for records in calls:
        rows = storing._json(_row(record) for record in read(records, Operation.CREATE))
        began = time.perf_counter()
        with scope.records() as session:
            session.execute(storing.STORE, {**bound, "most": storing.MOST_PRICES, "rows": rows})
        measured.append(time.perf_counter() - began)
    return measured


def _row(record: SentRecord) -> dict[str, Any]:
    price = storing.priced(storing.NO_PRICE, record.members)
    return storing._row(record.key, storing.Stored(record.members, parent_of(record.key, record.members), price)) | {
        "prices": 1,
        "has_new_price": record.key.kind is Kind.SELECTION,
    }


def feeds(calls: list[bytes], send: Callable[[int, bytes], None]) -> list[float]:
    """Seconds a call takes of feeds that send calls at the same time, each one after the other: of each lot of calls.

    send is told the number of the feed.
    """
    measured = []
    with ThreadPoolExecutor(FEEDS) as threads:
        for first in range(0, len(calls), LOT):
            lot = calls[first : first + LOT]
            began = time.perf_counter()

            def sent(feed: int, lot: list[bytes] = lot) -> None:
                for call in lot:
                    send(feed, call)

            list(threads.map(sent, range(FEEDS)))
            measured.append((time.perf_counter() - began) / len(lot) / FEEDS)
    return measured


def measure(folder: Path, count: int) -> dict[str, float]:
    """Records a second, of new records and of changes, over HTTP and bare."""
    stores = open_stores(Settings(data_dir=folder, rate_limit_calls=0))
    try:
        scope = create_tenant(stores, "Bench", "UTC", "EUR")
        _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
        brands = [brand_groups.create_brand_group(scope, f"Feed {number}", {}).id for number in range(FEEDS + 1)]
        with carrying_out(stores, frozenset({"worker", "scheduler"})):
            posted, put = over_http(create_app(stores), secret, brands[:FEEDS], count)
        calls = [created(number) for number in range(count)]
        inserted, updated = bare(scope, brands[FEEDS], calls), bare(scope, brands[FEEDS], calls)
        with scope.reads() as session:
            stored = session.scalar(
                text("SELECT count(*) FROM sports_records WHERE brand_group_id = :brand"), {"brand": brands[0]}
            )
        if stored != count * RECORDS + 1:
            raise SystemExit(f"{stored} records are stored")
    finally:
        stores.close()
    figures = {"post": posted, "put": put, "bare_insert": inserted, "bare_update": updated}
    return {f"{name}_records_per_second": RECORDS / statistics.median(times) for name, times in figures.items()}


def over_http(app: FastAPI, secret: str, brands: list[str], count: int) -> tuple[list[float], list[float]]:
    """Seconds that calls take which create and which change records."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"x-api-key": secret, "Content-Type": "application/json"}
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in brands]

    def send(method: str, feed: int, body: bytes) -> None:
        path = "/sports-inventory/v1/records"
        connections[feed].request(method, path, body, headers | {"x-brand-key": brands[feed]})
        answer = connections[feed].getresponse()
        said = answer.read()
        if answer.status != 202:
            raise SystemExit(f"{answer.status} {said[:200]!r}")

    for feed in range(len(brands)):
        send("POST", feed, b'[{"categoryKey": "c"}]')
    new = [json.dumps(created(number)).encode() for number in range(count)]
    prices = [json.dumps(changed(number)).encode() for number in range(count)]
    try:
        return feeds(new, partial(send, "POST")), feeds(prices, partial(send, "PUT"))
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Measure, print figures as JSON, and fail below the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--limit", type=float, default=LIMIT)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder:
        figures = measure(Path(folder), options.calls)
    print(json.dumps({name: round(value) for name, value in figures.items()}))
    if min(figures["post_records_per_second"], figures["put_records_per_second"]) < options.limit:
        sys.exit(f"below {options.limit:.0f} records/s")


if __name__ == "__main__":
    main()
