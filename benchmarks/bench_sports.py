"""The sports inventory: calls of 500 records over HTTP, beside a bare multi-row upsert of the same rows.

New records are events with a market and its selections; changes are prices of selections that are there. The bare cost
is one INSERT ... ON CONFLICT of the columns of the records, with a commit, on the same engine; of changes also one of
the prices that the history keeps.

    python benchmarks/bench_sports.py [--calls N] [--limit RECORDS_PER_SECOND]
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import create_app
from rapport.messaging.topics import brand_groups
from rapport.settings import Settings
from rapport.sports import storing
from rapport.sports.definitions import Operation, SentRecord, parent_of, read
from rapport.stores import open_stores

RECORDS, OF_EVENT = 500, 25
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
            session.execute(storing.STORE, {**bound, "rows": rows})
        measured.append(time.perf_counter() - began)
    return measured


def _row(record: SentRecord) -> dict[str, Any]:
    price = storing.priced(storing.NO_PRICE, record.members)
    return storing._row(record.key, storing.Stored(record.members, parent_of(record.key, record.members), price)) | {
        "prices": 0
    }


def timed(calls: list[Any], send: Callable[[Any], None]) -> list[float]:
    """Seconds of each call."""
    measured = []
    for call in calls:
        began = time.perf_counter()
        send(call)
        measured.append(time.perf_counter() - began)
    return measured


def measure(folder: Path, count: int) -> dict[str, float]:
    """Records a second, of new records and of changes, over HTTP and bare."""
    stores = open_stores(Settings(data_dir=folder, rate_limit_calls=0))
    try:
        scope = create_tenant(stores, "Bench", "UTC", "EUR")
        _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
        brands = [brand_groups.create_brand_group(scope, name, {}).id for name in ("Feed", "Bare")]
        server = uvicorn.Server(uvicorn.Config(create_app(stores), port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/sports-inventory/v1/records"
        headers = {"x-api-key": secret, "x-brand-key": brands[0], "Content-Type": "application/json"}
        with httpx.Client(headers=headers, timeout=60) as client:

            def send(method: str, body: bytes) -> None:
                answer = client.request(method, url, content=body)
                if answer.status_code != 202:
                    raise SystemExit(f"{answer.status_code} {answer.text[:200]}")

            send("POST", b'[{"categoryKey": "c"}]')
            new = [created(number) for number in range(count)]
            prices = [changed(number) for number in range(count)]
            posted = timed([json.dumps(records).encode() for records in new], lambda body: send("POST", body))
            put = timed([json.dumps(records).encode() for records in prices], lambda body: send("PUT", body))
        inserted = bare(scope, brands[1], new)
        updated = bare(scope, brands[1], new)
        with scope.records() as session:
            stored = session.scalar(
                text("SELECT count(*) FROM sports_records WHERE brand_group_id = :brand"), {"brand": brands[0]}
            )
        if stored != count * RECORDS + 1:
            raise SystemExit(f"{stored} records are stored")
        server.should_exit = True
        thread.join()
    finally:
        stores.close()
    figures = {"post": posted, "put": put, "bare_insert": inserted, "bare_update": updated}
    return {f"{name}_records_per_second": RECORDS / statistics.median(times) for name, times in figures.items()}


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
