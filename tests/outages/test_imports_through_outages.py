"""A file that is being loaded while the records are away: it is loaded once, and nothing that others write is lost."""

import json
import select
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine_outages import Outage, hung, stopped
from loaded_program import begin_file
from rapport.stores.local.postgres import Postgres, start_postgres
from rapport.stores.records import locks

CHILD = Path(__file__).parent / "import_child.py"
TENANT = 3001  # the first of an installation
ROWS = 500
OUTAGE_SECONDS = 1.0


class Importer:
    """The process that imports; files are numbered, so that each has rows of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, 0
        self.process = begin_file(CHILD, folder / "data")
        assert self.hear() == {"ready": True}
        self.postgres: Postgres = start_postgres(folder / "data")

    def hear(self) -> Any:
        return json.loads(self.process.stdout.readline())

    def say(self, what: object) -> None:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def load(self, kind: str, text: str, stop: int | str | None) -> None:
        """Begin to load a text, and wait until it has come to a step."""
        path = self.folder / f"{self.files}.csv"
        path.write_text(text)
        self.files += 1
        self.say({"kind": kind, "path": str(path), "stop": stop})
        if stop is not None:
            assert self.hear() == {"step": stop}

    def end(self) -> None:
        self.say(None)
        self.process.wait(60)
        self.process.close()


@pytest.fixture(scope="module")
def importer() -> Iterator[Importer]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-outage-"))
    folder.chmod(0o755)
    made = Importer(folder)
    yield made
    try:
        made.end()
    finally:
        made.postgres.stop()  # a process that failed has left it
        shutil.rmtree(folder, ignore_errors=True)


def orders(file: int) -> str:
    lines = [f"F{file}-{n},C{n % 9},2025-03-0{n % 9 + 1},{n % 100}" for n in range(ROWS)]
    return "\n".join(["Order_ID,Customer_ID,Order_Date,Total_Amount", *lines])


def people(*ids: str, domain: str = "example.com") -> str:
    return "\n".join(["Customer_ID,Registered_Date,Email", *(f"{one},2025-01-01,{one}@{domain}" for one in ids)])


@pytest.mark.parametrize(
    ("step", "outage"),
    [(0, stopped), (1, hung), (2, stopped), (3, stopped), ("merged", stopped), ("merged", hung), (4, stopped)],
)
def test_a_file_is_loaded_once(importer: Importer, step: int | str, outage: Outage) -> None:
    importer.load("transactions", orders(importer.files), step)
    with outage(importer.postgres):
        importer.say({})
        time.sleep(OUTAGE_SECONDS)
    found = importer.hear()
    assert (found["state"], found["message"]) == ("loaded", "")
    assert (found["counts"]["new"], found["counts"]["updated"]) == (ROWS, 0)
    files = sum(1 for number in range(importer.files) if "Order_ID" in (importer.folder / f"{number}.csv").read_text())
    assert found["sums"] == [ROWS * files, ROWS * files, float(files * sum(n % 100 for n in range(ROWS)))]
    assert found["states"] == ["loaded"] * importer.files


def test_a_file_waits_for_another_process_that_took_its_lock(importer: Importer) -> None:
    importer.load("transactions", orders(importer.files), 3)
    with stopped(importer.postgres):
        pass
    place = {"host": str(importer.postgres.folder), "user": "postgres", "dbname": "postgres", "autocommit": True}
    with psycopg.connect(**place) as other:  # type: ignore[arg-type]
        locks.take(other, locks.Lock.CUSTOMER_WRITES, TENANT)
        importer.say({})
        assert not select.select([importer.process.stdout], [], [], 1)[0], "nothing is swapped in without the lock"
    found = importer.hear()
    assert (found["state"], found["counts"]["new"]) == ("loaded", ROWS)


def test_what_others_write_meanwhile_is_not_lost(importer: Importer) -> None:
    importer.load("customers", people("P1", "P2", "P3"), None)
    importer.hear()
    importer.load("customers", people("P1", "P4", domain="new.example.com"), 3)
    with stopped(importer.postgres):
        pass
    importer.say({"write": ["P2", "EMAIL", "own@example.com"]})  # by who would come in, now that the lock is lost
    assert importer.hear() == {"written": False}
    found = {one: address for one, address in importer.hear()["people"] if one.startswith("P")}
    assert found == {
        "P1": "P1@new.example.com",
        "P2": "own@example.com",
        "P3": "P3@example.com",
        "P4": "P4@new.example.com",
    }


@pytest.mark.parametrize(
    ("known", "file", "written", "left"),
    [(("E1", "E2"), ("E1", "E3"), "E2", "own@example.com"), (("A1",), ("A2",), "A2", "A2@example.com")],
    ids=["exchanged", "attached"],
)
def test_nothing_takes_the_place_of_what_another_process_wrote(
    importer: Importer, known: tuple[str, ...], file: tuple[str, ...], written: str, left: str
) -> None:
    importer.load("customers", people(*known), None)
    importer.hear()
    importer.load("customers", people(*file), "looked")  # the lock is lost after the last look at it
    with stopped(importer.postgres):
        pass
    importer.say({"elsewhere": [written, "EMAIL", "own@example.com"]})
    found = importer.hear()
    assert found["state"] == "loaded"
    assert [address for who, address in found["people"] if who == written] == [left]


def test_a_type_that_the_tables_have_is_told_to_the_records(importer: Importer) -> None:
    importer.load("customers", "Customer_ID,Registered_Date,Level\nL1,2025-01-01,7.5", None)
    importer.hear()
    importer.load("customers", "Customer_ID,Registered_Date,Level\nL1,2025-01-01,7", None)
    importer.hear()
    importer.say({"kind": "retype", "path": "LEVEL", "stop": "exchanged"})
    assert importer.hear() == {"step": "exchanged"}
    with stopped(importer.postgres):
        importer.say({})
        time.sleep(OUTAGE_SECONDS)
    told = importer.hear()
    assert told["told"] == "Int" and "Int" in told["stored"]
