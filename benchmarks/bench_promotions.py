"""Validation of promotions: one customer at 200 a second over HTTP, and 10,000 in one call, beside the bare engine.

There are many active promotions of 5 tiers with 4 branches each, over as many customers as asked for. The bare cost of
one customer is the SELECT of the columns that the conditions compare; that of many is the same for 10,000 ids. The
server works as an installation does, with all its workers. A folder of --data is used again by the next run.

    python benchmarks/bench_promotions.py [--size CUSTOMERS] [--promotions N] [--rate CALLS] [--seconds S] [--data DIR]
"""

import argparse
import gc
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table
from sqlalchemy import text, update

from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant, find_tenant
from rapport.app import carrying_out, create_app
from rapport.cli import OBJECTS_MADE
from rapport.errors import NotFound
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.promotions.deciding import Context
from rapport.promotions.models import Promotion
from rapport.redemptions import foretelling
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

THREADS, MANY, TIERS = 8, 10_000, 5
ALL_ROLES = frozenset({"worker", "scheduler"})
COUNTRIES = ["NL", "BE", "DE", "FR"]
FILL = """
    INSERT INTO {table} ({columns})
    SELECT {values}
    FROM numbers({size})
"""
VALUES = {
    "customer_id": "concat('C', toString(number))",
    "COUNTRY": "['NL', 'BE', 'DE', 'FR'][number % 4 + 1]",
    "LANGUAGE": "['en', 'nl', 'fr'][number % 3 + 1]",
    "REGISTRATION_DATE": "toDate('2020-01-01') + number % 2000",
}
PROPERTIES = [
    {"key": "country", "type": "string", "attribute": "COUNTRY"},
    {"key": "language", "type": "string", "attribute": "LANGUAGE"},
    {"key": "joined", "type": "date", "attribute": "REGISTRATION_DATE"},
]
# Promotions of their own, each with its own rows and conditions, though all are alike.
COPIED = [column.name for column in Promotion.__table__.columns if column.name not in ("id", "code", "code_key")]
ALIKE = f"""
    INSERT INTO promotions (id, code, code_key, {", ".join(COPIED)})
    SELECT 'P' || number, 'P' || number, 'p' || number, {", ".join(COPIED)}
    FROM promotions, generate_series(1, :promotions - 1) AS number
    WHERE tenant_id = :tenant_id AND id = 'P0'
"""
BARE = """
    SELECT customer_id, COUNTRY, LANGUAGE, REGISTRATION_DATE FROM profiles
    WHERE data_date = {day:Date} AND customer_id IN {ids:Array(String)}
"""


def leaf(key: str, operator: str, value: Any, source: str = "customer", parent: int | None = None) -> dict[str, Any]:
    """A comparison as a branch."""
    condition = {"type": "property", "source": source, "key": key, "operator": operator, "value": value}
    return {"condition": condition} | ({} if parent is None else {"parent": parent})


def tier(number: int) -> dict[str, Any]:
    """A tier of four branches, which ever fewer customers miss."""
    branches = [
        {"condition": {"type": "or"}},
        leaf("country", "in", COUNTRIES[: number % 4 + 1], parent=0),
        leaf("joined", "after", f"202{5 - number % 5}-06-01", parent=0),
        leaf("depositAmount", "greaterThanOrEquals", 100 - 20 * number, "session"),
    ]
    reward = {"type": "percentage", "of": "depositAmount", "percent": 10, "max": 50}
    rewards = [{"rewardType": "bonus", "calculation": reward}]
    return {"id": f"t{number}", "name": f"Tier {number}", "conditionTree": {"branches": branches}, "rewards": rewards}


def fill(scope: Scope, size: int, promotions: int) -> None:
    """Customers with a profile each, and active promotions."""
    day = scope.today()
    scope.warehouse.execute(
        FILL.format(table="customers", columns=", ".join(VALUES), values=", ".join(VALUES.values()), size=size)
    )
    profiles = {"data_date": f"toDate('{day}')", **VALUES}
    scope.warehouse.execute(
        FILL.format(table="profiles", columns=", ".join(profiles), values=", ".join(profiles.values()), size=size)
    )
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    commands = [
        {"type": "create", "name": "Bench"},
        {"type": "setCustomerPropertySchema", "properties": PROPERTIES},
        {"type": "setSessionPropertySchema", "properties": [{"key": "depositAmount", "type": "number"}]},
        {"type": "setRewardTypes", "rewardTypes": [{"key": "bonus", "name": "Bonus", "category": "amount"}]},
        {"type": "activate"},
    ]
    tenants.change_tenant(scope, None, commands_of(commands, tenants.COMMANDS))
    launched = [
        {"type": "create", "name": "P0", "code": "P0"},
        {"type": "setPromotionTiers", "promotionTiers": [tier(place) for place in range(TIERS)]},
        {"type": "activate"},
    ]
    editing.change_promotion(scope, "P0", commands_of(launched, editing.COMMANDS))
    with scope.records() as session:
        session.execute(text(ALIKE), {"promotions": promotions, "tenant_id": scope.tenant_id})


def taken(times: int, done: Callable[[], object]) -> list[float]:
    """How long something takes, in milliseconds, sorted."""
    measured = []
    for _ in range(times):
        began = time.perf_counter()
        done()
        measured.append((time.perf_counter() - began) * 1000)
    return sorted(measured)


def in_process(scope: Scope, size: int, promotions: int) -> dict[str, float]:
    """What a validation takes without HTTP, and the bare SELECT."""

    def one() -> object:
        context = Context(f"C{random.randrange(size)}", {"depositAmount": random.randrange(200)})
        return foretelling.validate_customers(scope, f"P{random.randrange(promotions)}", [context])

    def many() -> object:
        contexts = [Context(f"C{n}", {"depositAmount": n % 200}) for n in random.sample(range(size), min(MANY, size))]
        return foretelling.validate_customers(scope, f"P{random.randrange(promotions)}", contexts)

    def bare(count: int) -> object:
        ids = [f"C{n}" for n in random.sample(range(size), min(count, size))]
        return scope.warehouse.rows(BARE, day=scope.data_date(), ids=ids)

    for number in range(promotions):  # what was compiled stays
        foretelling.validate_customers(scope, f"P{number}", [Context(f"C{number}", {"depositAmount": 1})])
    many()
    singles, batches = taken(1000, one), taken(20, many)
    return {
        "one_median_ms": statistics.median(singles),
        "one_p99_ms": singles[int(len(singles) * 0.99)],
        "one_bare_ms": statistics.median(taken(300, lambda: bare(1))),
        "many_median_ms": statistics.median(batches),
        "many_longest_ms": batches[-1],
        "many_bare_ms": statistics.median(taken(20, lambda: bare(MANY))),
    }


def tenant_of(stores: Stores, size: int, promotions: int) -> Scope:
    """The tenant of an earlier run of as many customers and promotions, or a new one."""
    name = f"Bench {size} {promotions}"
    try:
        return scope_of(stores, find_tenant(stores, name).id)
    except NotFound:
        scope = create_tenant(stores, name, "UTC", "EUR")
        fill(scope, size, promotions)
        return scope


def serve(folder: Path, size: int, promotions: int) -> None:
    """The server: it tells its port, a key, and what validations take without HTTP, on the standard output."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.set_threshold(OBJECTS_MADE)  # as the program does
    stores = open_stores(Settings(data_dir=folder, rate_limit_calls=0))
    scope = tenant_of(stores, size, promotions)
    _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
    with carrying_out(stores, ALL_ROLES):
        answer(create_app(stores), {"key": secret, "figures": in_process(scope, size, promotions)})
    stores.close()


def answer(app: FastAPI, about: dict[str, Any]) -> None:
    """Serve until the standard input ends."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"port": port, **about}), flush=True)
    sys.stdin.read()


def over_http(about: dict[str, Any], options: argparse.Namespace, seconds: float) -> list[float]:
    """The times of validations that begin at a steady rate, in milliseconds from when each should have begun."""
    measured: list[float] = []
    begin, total = time.perf_counter() + 0.2, int(options.rate * seconds)
    headers = {"X-API-KEY": about["key"], "Content-Type": "application/json"}

    def calls(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(about["port"]))
        for number in range(first, total, THREADS):
            due = begin + number / options.rate
            time.sleep(max(due - time.perf_counter(), 0))
            context = {"customerId": f"C{random.randrange(options.size)}", "sessionProperties": {"depositAmount": 90}}
            path = f"/v1/promotions/P{random.randrange(options.promotions)}/validateCustomers"
            connection.request("POST", path, json.dumps({"contexts": [context]}), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or b'"effects"' not in body:
                raise SystemExit(f"{answer.status} {body[:200]!r}")
            measured.append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=calls, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(measured)


def main() -> None:
    """Measure, and print figures as JSON lines and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--promotions", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.size, options.promotions)
    folder = Path(tempfile.mkdtemp(prefix="bench-promotions-"))
    folder.chmod(0o755)
    data = options.data or folder / "data"
    command = [sys.executable, __file__, "--serve", str(data), "--size", str(options.size)]
    command += ["--promotions", str(options.promotions)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        about = json.loads(process.stdout.readline())
        over_http(about, options, 1)
        measured = over_http(about, options, options.seconds)
        figures = about["figures"] | {
            "http_median_ms": statistics.median(measured),
            "http_p99_ms": measured[int(len(measured) * 0.99)],
        }
        print(
            json.dumps({"bench": "promotions", "customers": options.size, "promotions": options.promotions, **figures})
        )
        table = Table("figure", "ms")
        for name, value in figures.items():
            table.add_row(name, f"{value:.2f}")
        Console().print(table)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
