"""How fast a transactions file is imported, against the same engine's bare insert of the same file.

python benchmarks/bench_import.py [--size ROWS]
"""

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers.importing import imports
from rapport.settings import Settings
from rapport.stores import open_stores

LIMIT = 2.5
MEMORY_LIMIT = 4.0
HEADER = "Transaction_ID,Customer_ID,Transaction_Date,Type,Amount,Status,Platform"
FILE = """
    INSERT INTO FUNCTION file('{path}', 'CSVWithNames') SELECT
        concat('T', toString(number)) AS Transaction_ID,
        concat('C', toString(cityHash64(number) % {customers})) AS Customer_ID,
        toString(toDateTime('2023-01-01 00:00:00', 'UTC') + cityHash64(number, 1) % 94608000) AS Transaction_Date,
        if(number % 10 = 0, 'deposit', 'order') AS Type,
        toString(round((cityHash64(number, 2) % 1000000) / 100, 2)) AS Amount,
        'paid' AS Status, ['web', 'app', 'shop'][number % 3 + 1] AS Platform
    FROM numbers({rows}) SETTINGS engine_file_truncate_on_insert = 1
"""
KNOWN = """
    INSERT INTO customers (customer_id)
    SELECT DISTINCT concat('C', toString(cityHash64(number) % {customers})) FROM numbers({rows})
"""
BARE = """
    INSERT INTO bare (transaction_id, customer_id, transaction_time, type, amount, status, platform)
    SELECT Transaction_ID, Customer_ID, Transaction_Date, Type, Amount, Status, Platform
    FROM file('{path}', 'CSVWithNames',
        'Transaction_ID String, Customer_ID String, Transaction_Date DateTime(\\'UTC\\'), Type String, Amount Float64,
         Status String, Platform String')
"""


def timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def figure(name: str, ours: float, baseline: float, limit: float, unit: str) -> None:
    ratio = ours / baseline
    row = {"name": name, "ours": round(ours, 3), "baseline": round(baseline, 3), "ratio": round(ratio, 3)}
    print(json.dumps({**row, "limit": limit, "unit": unit}))
    word = "ok" if ratio <= limit else "OVER"
    print(f"  {name:<27} {ours:>10.2f} {baseline:>10.2f} {ratio:>8.2f}  limit {limit} {word}")


def measured(scope: Scope, path: Path, size: int, customers: int) -> tuple[float, float]:
    """Seconds of the bare insert and of the import, which must give the same rows."""
    warehouse = scope.warehouse
    warehouse.execute(KNOWN.format(rows=size, customers=customers))
    warehouse.execute("CREATE TABLE bare AS transactions")
    warehouse.expect_many_rows()
    bare = timed(lambda: warehouse.execute(BARE.format(path=path)))
    ours = timed(lambda: imports.import_file(scope, "transactions", path, None, "full", allow_rejects=False))
    same = "SELECT count(), round(sum(amount)), uniqExact(customer_id) FROM "
    assert warehouse.row(same + "bare") == warehouse.row(same + "transactions")
    return bare, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10_000_000)
    size = parser.parse_args().size
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder / "data"))
    try:
        path = folder / "transactions.csv"
        customers = max(size // 20, 1)
        stores.warehouse.database("default").execute(FILE.format(path=path, rows=size, customers=customers))
        # The better of two each, in turn: what else the machine does weighs on both alike.
        times = [measured(create_tenant(stores, f"bench {turn}"), path, size, customers) for turn in (1, 2)]
        bare, ours = min(bare for bare, _ in times), min(ours for _, ours in times)
        figure("import of transactions", ours, bare, LIMIT, "s")
        print(json.dumps({"name": "import rows a second", "ours": round(size / ours), "unit": "rows/s"}))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
        figure("peak memory of the process", peak, MEMORY_LIMIT, 1.0, "GiB")
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
