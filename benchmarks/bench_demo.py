"""A day of the demo (imports, cycle, campaigns, sends, reactions), against the day's model alone."""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from datetime import date
from itertools import pairwise
from pathlib import Path

from rapport.access.scope import scope_of
from rapport.demo.run import run_demo
from rapport.insight import service as insight
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

DAYS, ROUNDS = 6, 3
LIMIT_SECONDS, LIMIT_SIZE = 2.0, 6_000


def cpu_seconds() -> float:
    """What this process has used, all threads together; PostgreSQL is not in it."""
    used = os.times()
    return used.user + used.system


def demo(stores: Stores, size: int) -> tuple[float, float, int, date]:
    """Seconds and CPU seconds of the median day, the tenant and its last date."""
    marks: list[tuple[float, float]] = []
    result = run_demo(stores, size, DAYS, tell=lambda done, days: marks.append((time.perf_counter(), cpu_seconds())))
    days = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(marks)]
    seconds, used = (statistics.median(column) for column in zip(*days, strict=True))
    return seconds, used, result.tenant_id, date.fromisoformat(result.last_data_date)


def model(stores: Stores, tenant_id: int, day: date) -> float:
    """Seconds of the model of a date, the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        insight.run_model(scope_of(stores, tenant_id), day)
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    """Live through a demo, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=LIMIT_SIZE)
    size = parser.parse_args().size
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        stores.start_work()
        seconds, used, tenant_id, day = demo(stores, size)
        baseline = model(stores, tenant_id, day)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
    figure = {
        "name": f"a demo day of {size:,} customers",
        "ours": round(seconds, 3),
        "baseline": round(baseline, 3),
        "ratio": round(seconds / baseline, 2),
        "cpu": round(used, 3),
        "limit": round(LIMIT_SECONDS * max(1.0, size / LIMIT_SIZE), 3),
        "unit": "s (limit on ours)",
    }
    print(json.dumps(figure))
    print(
        f"{figure['name']:35} ours {seconds:7.3f} s ({used:.3f} s of CPU)   its model alone {baseline:7.3f} s"
        f"   limit {figure['limit']} s"
    )


if __name__ == "__main__":
    main()
