"""kill -9 in the middle of an import: the table is as it was, and the next import begins anew."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loaded_program import talk_to_script

ROWS = 400_000
HEADER = "Order_ID,Customer_ID,Order_Date,Total_Amount\n"
SCRIPT = """
import sys
from pathlib import Path

from rapport.access.scope import scope_of
from rapport.access.service import create_tenant
from rapport.customers.importing import imports
from rapport.settings import Settings
from rapport.stores import open_stores

folder, stop = Path(sys.argv[1]), int(sys.argv[2])
began = (folder / "data").exists()
stores = open_stores(Settings(data_dir=folder / "data"))
scope = scope_of(stores, 3001) if began else create_tenant(stores, "t")

def progress(done, total):
    print("step", done, flush=True)
    if done == stop:
        input()

def look():
    tables = "SELECT count() FROM system.tables WHERE database = 'rapport_3001' AND startsWith(name, 'import_')"
    sums = "SELECT count(), uniqExact(transaction_id), sum(amount) FROM transactions"
    states = [str(row.state) for row in imports.imports(scope)]
    print("found", scope.warehouse.row(sums), scope.warehouse.value(tables), states, flush=True)

if not began:
    imports.import_file(scope, "transactions", folder / "small.csv", None, "incremental", allow_rejects=False)
look()
imports.import_file(scope, "transactions", folder / "large.csv", None, "incremental", progress, allow_rejects=False)
look()
stores.close()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    made.chmod(0o755)
    (made / "small.csv").write_text(HEADER + "S1,C1,2025-01-01,1\nS2,C2,2024-01-01,2\n")
    with (made / "large.csv").open("w") as file:
        file.write(HEADER)
        file.writelines(f"L{n},C{n % 999},202{n % 5}-03-0{n % 9 + 1},{n % 100}\n" for n in range(ROWS))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def killed_at(folder: Path, stop: int, pause: float) -> str:
    """What the process found when it began; then it is killed at a step, or a pause after it."""
    process = talk_to_script(SCRIPT, folder, stop)
    try:
        found = str(process.stdout.readline())
        while line := process.stdout.readline():
            if f"step {stop}" in line:
                break
        assert line, f"it ended before step {stop}"
        if pause:
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(pause)
    finally:
        process.kill()
        process.wait()
        process.close()
    return found.strip()


def undisturbed(folder: Path) -> list[str]:
    """What a process found that is not killed."""
    process = talk_to_script(SCRIPT, folder, -1)
    try:
        lines = process.stdout.read().splitlines()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.close()
    return [line for line in lines if line.startswith("found")]


def test_killed_imports_leave_nothing_half_done(folder: Path) -> None:
    assert killed_at(folder, 0, 0.3) == "found (2, 2, 3.0) 0 ['loaded']"
    found = killed_at(folder, 3, 0.0)
    assert found.startswith("found (2, 2, 3.0)") and "running" in found
    before, *_, after = undisturbed(folder)
    assert before.startswith("found (2, 2, 3.0)") and " 0 [" not in before
    amounts = float(3 + sum(n % 100 for n in range(ROWS)))
    assert after == f"found ({ROWS + 2}, {ROWS + 2}, {amounts}) 0 ['loaded', 'failed', 'failed', 'loaded']"
