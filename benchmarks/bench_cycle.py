"""One day's model of N customers with 20 transactions each, against the bare aggregation of the same transactions.

Figures: seconds of the whole model of a day, fits included; of a day whose fits are there; their ratio
to the engine's bare aggregation into features; peak memory of the process; growth from a quarter
of the customers. Each size runs in a process of its own, so that peaks do not mix.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from rapport.access import service
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.insight import service as insight
from rapport.settings import Settings
from rapport.stores import open_stores

D = date(2025, 12, 20)
ORDERS = 20
LIMIT_SECONDS, LIMIT_BYTES, LIMIT_GROWTH = 60, 4 * 2**30, 1.2

CUSTOMERS = """
    INSERT INTO customers (customer_id, REGISTRATION_DATE, COUNTRY)
    SELECT concat('C', leftPad(toString(number), 8, '0')), toDate('2024-01-01') + cityHash64(number, 7) % 640,
        ['NL', 'DE', 'FR'][number % 3 + 1]
    FROM numbers({customers:UInt64})
"""
# Each customer has a first day, a span of activity that may end early, and a mean value of their own.
TRANSACTIONS = """
    INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
    WITH
        intDiv(number, {orders:UInt64}) AS customer,
        toInt64(cityHash64(customer, 7) % 640) AS first,
        least(20 + toInt64(cityHash64(customer, 9) % 700), 719 - first) AS span
    SELECT
        concat('T', toString(number)),
        concat('C', leftPad(toString(customer), 8, '0')),
        toDateTime('2024-01-01 00:00:00', 'UTC')
            + toUInt32((first + span * pow(cityHash64(number, 3) % 100000 / 100000, 1.5)) * 86400),
        round(exp(3 + cityHash64(customer, 5) % 1000 / 500 + cityHash64(number, 6) % 1000 / 1000), 2)
    FROM numbers({customers:UInt64} * {orders:UInt64})
"""
# One item a transaction, out of 3000 products of which some sell far more than others.
ITEMS = """
    INSERT INTO transaction_items (transaction_id, line_number, customer_id, transaction_time, product_id, unit_price)
    SELECT transaction_id, 1, customer_id, transaction_time,
        concat('P', toString(toUInt32(3000 * pow(cityHash64(transaction_id) % 100000 / 100000, 3)))), amount
    FROM transactions
"""
PRODUCTS = """
    INSERT INTO products (product_id, name, category)
    SELECT concat('P', toString(number)), 'a product', concat('category ', toString(number % 20)) FROM numbers(3000)
"""
WINDOWS = ", ".join(f"countIf(day > d - {n}), sumIf(amount, day > d - {n})" for n in (7, 30, 90, 365))
BARE = f"""
    INSERT INTO bare
    WITH toDate('{D}') AS d
    SELECT customer_id, count(), sum(amount), max(amount), min(day), max(day), uniqExact(day),
        argMax(amount, transaction_time), {WINDOWS}
    FROM (
        SELECT customer_id, amount, transaction_time, toDate(transaction_time) AS day FROM transactions
        WHERE transaction_time < toDateTime(toDate('{D}') + 1, 'UTC') AND amount > 0
    )
    GROUP BY customer_id
"""
BARE_COLUMNS = [
    "n UInt64",
    "total Float64",
    "largest Float64",
    "first Date",
    "last Date",
    "days UInt64",
    "latest Float64",
]
BARE_COLUMNS += [f"{kind}{i} {kind_type}" for i in range(4) for kind, kind_type in (("n", "UInt64"), ("a", "Float64"))]


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(customers: int, items: bool = False) -> dict[str, float]:
    """Make the data and run bare aggregation and model on them, side by side."""
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        scope = create_tenant(stores, "bench", "UTC", "EUR")
        scope.warehouse.execute(CUSTOMERS, None, customers=customers)
        scope.warehouse.execute(TRANSACTIONS, None, customers=customers, orders=ORDERS)
        if items:
            scope.warehouse.execute(PRODUCTS)
            scope.warehouse.execute(ITEMS)
        scope.warehouse.execute(
            f"CREATE TABLE bare (customer_id String, {', '.join(BARE_COLUMNS)}) ENGINE = MergeTree ORDER BY customer_id"
        )
        bare = timed(lambda: scope.warehouse.execute(BARE))
        first, steps = timed_steps(scope, D)
        next_day, _ = timed_steps(scope, D + timedelta(days=1))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "bare": bare[0],
            "bare_cpu": bare[1],
            "first": first[0],
            "first_cpu": first[1],
            "next": next_day[0],
            "next_cpu": next_day[1],
            "peak": peak,
            **{f"step {name}": seconds for name, seconds in steps.items()},
        }
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)


def timed_steps(scope: Scope, day: date) -> tuple[tuple[float, float], dict[str, float]]:
    """The model of a day, and the seconds of each of its steps."""
    steps = {}
    wall, cpu = time.perf_counter(), time.process_time()
    for name, step in insight.MODEL_STEPS:
        steps[name] = timed(lambda step=step: step(scope, day))[0]
    service.publish_data_date(scope, day)
    return (time.perf_counter() - wall, time.process_time() - cpu), steps


def in_process(customers: int, items: bool) -> dict[str, float]:
    """measure() in a process of its own."""
    command = [sys.executable, __file__, "--size", str(customers), "--alone", *(["--items"] if items else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def report(customers: int, items: bool) -> None:
    """Print every figure as a JSON line and as a row of a table."""
    small, whole = in_process(customers // 4, items), in_process(customers, items)
    growth, daily = (whole[run] / small[run] / 4 for run in ("first_cpu", "next_cpu"))
    figures = [
        ("cycle, fits included", whole["first"], whole["bare"], LIMIT_SECONDS, "s"),
        ("cycle, fits at hand", whole["next"], whole["bare"], LIMIT_SECONDS, "s"),
        ("cycle, processor seconds", whole["first_cpu"], whole["bare_cpu"], None, "s"),
        ("peak memory", whole["peak"], LIMIT_BYTES, LIMIT_BYTES, "bytes"),
        ("growth from a quarter, against linear", growth, 1.0, LIMIT_GROWTH, "ratio"),
        ("the same, fits at hand", daily, 1.0, LIMIT_GROWTH, "ratio"),
    ]
    for name, ours, baseline, limit, unit in figures:
        line = {
            "name": name,
            "ours": round(ours, 3),
            "baseline": round(baseline, 3),
            "ratio": round(ours / baseline, 2),
        }
        print(json.dumps({**line, "limit": limit, "unit": unit}))
    print(f"\n{'figure':<40}{'ours':>16}{'baseline':>16}{'ratio':>8}")
    for name, ours, baseline, _, _ in figures:
        print(f"{name:<40}{ours:>18,.2f}{baseline:>16,.2f}{ours / baseline:>8.2f}")
    for name, seconds in whole.items():
        if name.startswith("step "):
            print(f"  {name:<38}{seconds:>16,.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="customers")
    parser.add_argument("--items", action="store_true", help="with an item for every transaction, and recommendations")
    parser.add_argument("--alone", action="store_true", help="measure this size only and print it as JSON")
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options.size, options.items)))
    else:
        report(options.size, options.items)
