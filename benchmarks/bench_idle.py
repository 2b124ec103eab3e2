"""What a server costs that has nothing to do: with one empty tenant and with many, side by side.

Transactions a second of the records, and the share of a core that the server and its PostgreSQL take together. The
tenants have a key date behind them, so that the scheduler looks for their data.
Run: python benchmarks/bench_idle.py [--size TENANTS] [--seconds S]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

# A server settles first: what it looks at once after its start is not what it costs.
SETTLE_SECONDS = 25
# What many tenants may cost to what one does: transactions, and time of a processor.
MOST_TRANSACTIONS, MOST_SHARE = 1.5, 2.0
ADD = """
import sys
from pathlib import Path
from rapport.access.service import create_tenant
from rapport.settings import Settings
from rapport.stores import open_stores
stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    create_tenant(stores, f"tenant {number}", settings={"campaigns": {"data_ready_time": "00:00"}})
stores.close()
"""
COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


@contextmanager
def serving(folder: Path) -> Iterator[psutil.Process]:
    code = "from rapport.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--json", "--data-dir", str(folder)]
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), "the server did not start"
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def processor_seconds(server: psutil.Process, postmaster: psutil.Process) -> float:
    """What the server and PostgreSQL's processes have used until now."""
    used = 0.0
    for process in (server, postmaster, *postmaster.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used


def committed(folder: Path) -> int:
    with psycopg.connect(host=str(folder / "records"), user="postgres", dbname="postgres") as connection:
        row: Any = connection.execute(COMMITTED).fetchone()
    return int(row[0])


def idle(folder: Path, seconds: int) -> tuple[float, float]:
    """Transactions a second and share of a core of a server that has settled."""
    with serving(folder) as server:
        postmaster = psutil.Process(int((folder / "records" / "postmaster.pid").read_text().split()[0]))
        time.sleep(SETTLE_SECONDS)
        began, used, transactions = time.monotonic(), processor_seconds(server, postmaster), committed(folder)
        time.sleep(seconds)
        took = time.monotonic() - began
        shared = (processor_seconds(server, postmaster) - used) / took
        return (committed(folder) - transactions) / took, shared


def add(folder: Path, first: int, end: int) -> None:
    command = [sys.executable, "-c", ADD, str(folder), str(first), str(end)]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)


def figure(name: str, ours: float, baseline: float, limit: float, unit: str) -> None:
    ratio = ours / baseline if baseline else 0.0
    row = {"name": name, "ours": round(ours, 3), "baseline": round(baseline, 3), "ratio": round(ratio, 3)}
    print(json.dumps({**row, "limit": limit, "unit": unit}))
    print(f"  {name:<44} {ours:>10.2f} {baseline:>10.2f} {ratio:>7.2f}  {unit}, limit {limit}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=51, help="tenants, beside one")
    parser.add_argument("--seconds", type=int, default=60, help="how long each is measured")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    base.chmod(0o755)
    folder = base / "data"
    try:
        add(folder, 0, 1)
        one = idle(folder, options.seconds)
        add(folder, 1, options.size)
        many = idle(folder, options.seconds)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"  {options.size} tenants without data beside one, {options.seconds} s each")
    figure("transactions a second", many[0], one[0], MOST_TRANSACTIONS, "transactions/s")
    figure("share of a core, in percent", many[1] * 100, one[1] * 100, MOST_SHARE, "%")


if __name__ == "__main__":
    main()
