"""Target groups over a million customers: counting a definition against the bare SQL, and storing its members."""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.audiences import counting, groups, membership
from rapport.conditions import parse
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.settings import Settings
from rapport.stores import open_stores

DATA_DATE = date(2026, 6, 30)
LIMIT = 1.3
ROUNDS = 25

ADDED = {
    "NUMBER_OF_ORDERS": ("Bigint", "toInt64(number * 7919 % 40)"),
    "TOTAL_AMOUNT": ("Decimal", "toDecimal64(number * 104729 % 500000 / 100, 4)"),
    "FUTURE_VALUE_PERCENTILE": ("Int", "toInt32(number * 31 % 100 + 1)"),
    "LIFECYCLE_STAGE": ("Varchar", "['New', 'Active', 'Churn', 'Dormant'][number % 4 + 1]"),
    "LAST_ORDER_DATE": ("Date", "toDate32('2026-06-30') - toInt32(number * 17 % 700)"),
    "FAVOURITE_CATEGORY": ("Nvarchar", "concat('Category ', toString(number * 13 % 50))"),
    "DAYS_SINCE_LAST_ORDER": ("Int", "toInt32(number * 17 % 700)"),
    "CHURN_PROBABILITY": ("Decimal", "toDecimal64(number * 7 % 1000 / 1000, 4)"),
}
FILLED = {
    "COUNTRY": "['DE', 'AT', 'FR', 'US', NULL][number % 5 + 1]",
    "EMAIL": "concat('c', toString(number), '@example.com')",
    "CITY": "concat('City ', toString(number * 3 % 1000))",
    "DATE_OF_BIRTH": "toDate32('1950-01-01') + toInt32(number * 11 % 20000)",
    "IS_OPTIN": "if(number % 10 = 0, 'No', 'Yes')",
    "REGISTRATION_DATE": "toDate('2019-01-01') + toInt32(number * 5 % 2500)",
}
SIX = {
    "all": [
        {"attribute": "COUNTRY", "operator": "in", "value": ["DE", "AT"]},
        {"attribute": "NUMBER_OF_ORDERS", "operator": "greater_or_equal", "value": 3},
        {"attribute": "TOTAL_AMOUNT", "operator": "between", "value": [100, 4000]},
        {"attribute": "LAST_ORDER_DATE", "operator": "in_last_days", "value": 180},
        {"attribute": "LIFECYCLE_STAGE", "operator": "not_equals", "value": "Churn"},
        {"attribute": "FAVOURITE_CATEGORY", "operator": "starts_with", "value": "Category 1"},
    ]
}
BARE_SIX = """
    SELECT count() FROM profiles
    WHERE data_date = '2026-06-30' AND COUNTRY IN ('DE', 'AT') AND NUMBER_OF_ORDERS >= 3
      AND TOTAL_AMOUNT BETWEEN 100 AND 4000
      AND LAST_ORDER_DATE BETWEEN toDate32('2026-07-01') - 180 AND toDate32('2026-07-01')
      AND (LIFECYCLE_STAGE != 'Churn' OR LIFECYCLE_STAGE IS NULL) AND startsWith(FAVOURITE_CATEGORY, 'Category 1')
"""
MIXED = {
    "all": [
        *SIX["all"][:4],
        {"history": "transactions", "measure": "sum", "window": {"days": 90}, "operator": "greater", "value": 100},
        {"not": {"history": "transactions", "where": {"platform": "app"}, "window": {"days": 30}}},
    ]
}
BARE_ROWS = """
    SELECT customer_id FROM transactions
    WHERE transaction_time >= toDateTime('{start} 00:00:00', 'UTC')
      AND lower(type) NOT IN ('withdrawal', 'bonus', 'refund')
      AND lower(status) NOT IN ('canceled', 'cancelled', 'failed', 'void') AND amount > 0
      AND transaction_time < toDateTime('2026-07-01 00:00:00', 'UTC')
"""
BARE_MIXED = f"""
    SELECT count() FROM profiles
    WHERE data_date = '2026-06-30' AND COUNTRY IN ('DE', 'AT') AND NUMBER_OF_ORDERS >= 3
      AND TOTAL_AMOUNT BETWEEN 100 AND 4000
      AND LAST_ORDER_DATE BETWEEN toDate32('2026-07-01') - 180 AND toDate32('2026-07-01')
      AND customer_id IN ({BARE_ROWS.format(start="2026-04-02")} GROUP BY customer_id HAVING sum(amount) > 100)
      AND customer_id NOT IN ({BARE_ROWS.format(start="2026-06-01")} AND platform = 'app')
"""


def fill(scope: Scope, size: int) -> None:
    """A million profiles of thirty columns, and two transactions a customer in the last year."""
    added = [AttributeInfo(name, name, "", kind, "calculated") for name, (kind, _) in ADDED.items()]
    attributes.declare(scope, added)
    values = FILLED | {name: sql for name, (_, sql) in ADDED.items()}
    columns = ", ".join(("data_date", "customer_id", *values))
    expressions = ", ".join(("toDate('2026-06-30')", "concat('c', toString(number))", *values.values()))
    scope.warehouse.execute(f"INSERT INTO profiles ({columns}) SELECT {expressions} FROM numbers({size})")
    scope.warehouse.execute("OPTIMIZE TABLE profiles FINAL")
    scope.warehouse.execute(f"""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount, platform)
        SELECT toString(number), concat('c', toString(number % {size})),
            toDateTime('2026-06-30 12:00:00', 'UTC') - toIntervalDay(number * 37 % 365),
            number * 7 % 20000 / 100, ['web', 'app'][number % 2 + 1]
        FROM numbers({2 * size})
    """)
    scope.warehouse.execute("OPTIMIZE TABLE transactions FINAL")
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


def side_by_side(ours: Callable[[], Any], bare: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds of both, each the best of rounds in turn, so that other work on the machine counts for neither."""
    assert ours() == bare(), (ours(), bare())
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for seconds, run in zip(taken, (ours, bare), strict=True):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
    return min(taken[0]) * 1000, min(taken[1]) * 1000


def told(name: str, ours: float, baseline: float | None, limit: float | None) -> None:
    """A figure as a JSON line."""
    ratio = None if baseline is None else round(ours / baseline, 2)
    baseline = None if baseline is None else round(baseline, 1)
    figure = {"name": name, "ours": round(ours, 1), "baseline": baseline, "ratio": ratio, "limit": limit, "unit": "ms"}
    print(json.dumps(figure))
    TABLE.append(f"{name:<46}{figure['ours']:>10}{figure['baseline'] or '':>10}{ratio or '':>8}{limit or '':>7}")


TABLE = [f"{'':<46}{'ours ms':>10}{'bare ms':>10}{'ratio':>8}{'limit':>7}"]


def measure(scope: Scope) -> None:
    """Count both definitions, and store the members of one."""
    for name, definition, bare in (("six attributes", SIX, BARE_SIX), ("with two histories", MIXED, BARE_MIXED)):
        ours, baseline = side_by_side(
            lambda definition=definition: counting.size_now(scope, parse(definition)),  # type: ignore[misc]
            lambda bare=bare: scope.warehouse.value(bare),  # type: ignore[misc]
        )
        told(f"size now, {name}", ours, baseline, LIMIT)
    for name, definition in (("six attributes", SIX), ("everyone", {"all": []})):
        group = groups.create_target_group(scope, name, definition)
        began = time.perf_counter()
        size = membership.compute_members(scope, group.id, DATA_DATE)
        told(f"compute members, {name} ({size})", (time.perf_counter() - began) * 1000, None, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="customers")
    size = parser.parse_args().size
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    try:
        stores = open_stores(Settings(data_dir=folder))
        try:
            scope = create_tenant(stores, "Audiences", "Europe/Berlin", "EUR")
            fill(scope, size)
            measure(scope)
        finally:
            stores.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(TABLE))


if __name__ == "__main__":
    main()
