"""Promo codes: how long many take to be generated and imported, and how many redemptions a second there are.

The bare cost of codes is a COPY of the same rows into the same table; that of a redemption is an UPDATE of one counter
in a transaction of its own, with as many threads. All redemptions are of one promotion with budgets of redemptions,
customers and an amount of money, so that they wait for the same counters; those over HTTP come at a steady rate. At the
end a cap is lowered to what is left, and 50 threads redeem until nothing is: as many as the cap says must be granted.

    python benchmarks/bench_redemptions.py [--codes N] [--rate CALLS] [--seconds S]
"""

import argparse
import http.client
import io
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import carrying_out, create_app
from rapport.errors import Conflict
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.redemptions import budgets, bulk, code_texts, pools, redeeming
from rapport.redemptions.definitions import CreatePool, SetBudgets
from rapport.settings import Settings
from rapport.stores import open_stores

THREADS, CONNECTIONS, PARALLEL, CAP = 8, 64, 50, 1000
CUSTOMERS = 1000
ALL_ROLES = frozenset({"worker", "scheduler"})


def fill(scope: Scope) -> None:
    """Customers with a profile each, and an active promotion with budgets."""
    day = scope.today()
    rows = [[f"C{number}", "NL"] for number in range(CUSTOMERS)]
    scope.warehouse.insert("customers", ["customer_id", "COUNTRY"], rows)
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], [[day, *row] for row in rows])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    commands = [
        {"type": "create", "name": "Bench"},
        {"type": "setRewardTypes", "rewardTypes": [{"key": "bonus", "name": "Bonus", "category": "amount"}]},
        {"type": "activate"},
    ]
    tenants.change_tenant(scope, None, commands_of(commands, tenants.COMMANDS))
    reward = {"rewardType": "bonus", "calculation": {"type": "fixed", "value": 2.5}}
    launched = [
        {"type": "create", "name": "P", "code": "P"},
        {"type": "setPromotionTiers", "promotionTiers": [{"name": "T", "conditionTree": [], "rewards": [reward]}]},
        {"type": "activate"},
    ]
    editing.change_promotion(scope, "P", commands_of(launched, editing.COMMANDS))
    bound(scope, 10**9)


def bound(scope: Scope, redemptions: int) -> None:
    """Set the budgets of the promotion."""
    limits = [
        {"of": "redemptions", "period": "lifetime", "limit": redemptions},
        {"of": "audience", "period": "daily", "limit": CUSTOMERS},
        {"of": "reward", "rewardType": "bonus", "period": "monthly", "limit": 10**9},
    ]
    budgets.set_budgets(scope, "P", SetBudgets.model_validate({"budgets": limits}))


def seconds_of(done: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    done()
    return time.perf_counter() - began


def of_codes(scope: Scope, count: int) -> dict[str, float]:
    """How long it takes to generate and to import codes, and to copy as many rows."""
    for id in ("generated", "imported"):
        pools.create_pool(
            scope, CreatePool.model_validate({"id": id, "name": id, "type": "unique", "promotionId": "P"})
        )
    file = io.StringIO("\n".join(code_texts.drawn(count, 12, "I")))
    figures = {
        "generate_s": seconds_of(lambda: bulk.generate(scope, "generated", count, 12, "G", has_check=True)),
        "import_s": seconds_of(lambda: bulk.import_codes(scope, "imported", file)),
    }
    rows = "".join(f"{scope.tenant_id}\t{code.lower()}\t{code}\tbare\n" for code in code_texts.drawn(count, 12, "B"))
    with scope.records() as session:
        connection: Any = session.connection().connection.driver_connection

        def copied() -> None:
            statement = "COPY pool_codes (tenant_id, code_key, code, pool_id) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(rows)

        figures["bare_copy_s"] = seconds_of(copied)
        session.rollback()
    return figures


def together(threads: int, total: int, done: Callable[[int], object]) -> float:
    """How often something is done a second, with threads."""
    with ThreadPoolExecutor(threads) as pool:
        return total / seconds_of(lambda: list(pool.map(done, range(total))))


def in_process(scope: Scope, codes: list[str]) -> dict[str, float]:
    """How many redemptions a second there are without HTTP, and how many bare updates of one row."""

    def redeemed(number: int) -> object:
        request = redeeming.Request(f"in-{number}", codes[number], f"C{number % CUSTOMERS}")
        return redeeming.redeem(scope, request)

    def bare(number: int) -> object:
        with scope.stores.records.session() as session:
            return session.execute(text("UPDATE bare_counter SET used = used + 1 WHERE used < 1000000000"))

    with scope.stores.records.session() as session:
        session.execute(text("CREATE TABLE bare_counter AS SELECT 0 AS used"))
    together(THREADS, 200, redeemed)
    codes = codes[200:]
    figures = {"bare_updates_per_s": together(THREADS, 3000, bare), "redeemed_per_s": 0.0}
    figures["redeemed_per_s"] = together(THREADS, 2000, lambda number: redeemed(number + 200))
    return figures


def to_the_cap(scope: Scope) -> int:
    """How many of 50 threads' redemptions a cap lets through."""
    with scope.reads() as session:
        before = int(session.execute(text("SELECT count(*) FROM redemptions")).scalar() or 0)
    bound(scope, before + CAP)
    granted = []

    def redeemed(number: int) -> None:
        try:
            redeeming.redeem(scope, redeeming.Request(f"cap-{number}", "P", f"C{number % CUSTOMERS}"))
            granted.append(number)
        except Conflict:
            pass

    together(PARALLEL, CAP + 500, redeemed)
    return len(granted)


def serve(folder: Path, count: int) -> None:
    """The server: it tells its port, a key, codes and figures on the standard output, and at its end the cap."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    stores = open_stores(Settings(data_dir=folder, rate_limit_calls=0))
    scope = create_tenant(stores, "Bench", "Europe/Berlin", "EUR")
    fill(scope)
    _, secret = keys.create_key(scope, "bench", "bench@example.com", "Admin")
    figures = of_codes(scope, count)
    with scope.reads() as session:
        chosen = text("SELECT code FROM pool_codes WHERE pool_id = 'generated' LIMIT 50000")
        codes = list(session.scalars(chosen))
    with carrying_out(stores, ALL_ROLES):
        figures |= in_process(scope, codes)
        answer(scope, create_app(stores), {"key": secret, "figures": figures, "codes": codes[5000:]})


def answer(scope: Scope, app: FastAPI, about: dict[str, Any]) -> None:
    """Serve until the standard input ends."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"port": port, **about}), flush=True)
    sys.stdin.readline()
    print(json.dumps({"granted": to_the_cap(scope)}), flush=True)
    sys.stdin.read()


def over_http(about: dict[str, Any], options: argparse.Namespace, seconds: float, first_code: int) -> list[float]:
    """The times of redemptions that begin at a steady rate, in milliseconds from when each should have begun."""
    measured: list[float] = []
    begin, total = time.perf_counter() + 0.2, int(options.rate * seconds)
    headers = {"X-API-KEY": about["key"], "Content-Type": "application/json"}

    def calls(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(about["port"]))
        for number in range(first, total, CONNECTIONS):
            due = begin + number / options.rate
            time.sleep(max(due - time.perf_counter(), 0))
            code = about["codes"][first_code + number]
            body = json.dumps({"promoCode": code, "customerId": f"C{number % CUSTOMERS}"})
            connection.request("POST", "/v1/promocodes/redemptions", body, headers | {"Idempotency-Key": code})
            answer = connection.getresponse()
            body = answer.read().decode()
            if answer.status != 201:
                raise SystemExit(f"{answer.status} {body[:200]!r}")
            measured.append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=calls, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(measured)


def main() -> None:
    """Measure, and print figures as JSON lines and a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.codes)
    folder = Path(tempfile.mkdtemp(prefix="bench-redemptions-"))
    folder.chmod(0o755)
    command = [sys.executable, __file__, "--serve", str(folder / "data"), "--codes", str(options.codes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        about = json.loads(process.stdout.readline())
        over_http(about, options, 1, 0)
        measured = over_http(about, options, options.seconds, int(options.rate) + CONNECTIONS)
        process.stdin.write("\n")
        process.stdin.flush()
        figures = about["figures"] | {
            "http_median_ms": statistics.median(measured),
            "http_p99_ms": measured[int(len(measured) * 0.99)],
            "granted_of_1000": json.loads(process.stdout.readline())["granted"],
        }
        print(json.dumps({"bench": "redemptions", "codes": options.codes, "rate": options.rate, **figures}))
        table = Table("figure", "value")
        for name, value in figures.items():
            table.add_row(name, f"{value:,.2f}")
        Console().print(table)
    finally:
        process.stdin.close()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
