"""A day of which every second step meets an outage of the records: it comes to what an undisturbed day comes to."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from engine_outages import full, hung, stopped
from loaded_program import Forked, begin_file
from rapport.stores.local.postgres import start_postgres

HERE = Path(__file__).parent
OUTAGE_SECONDS = 1.0
PLACES = {"before a note", "after scores", "after processing", "before the end"}


@pytest.fixture(scope="module")
def lived() -> Iterator[dict[str, Any]]:
    """What the calm and the tried day came to, and the places at which the records went away."""
    folder = Path(tempfile.mkdtemp(prefix="rapport-outage-"))
    folder.chmod(0o755)
    process = begin_file(HERE / "day_child.py", folder / "data")
    try:
        yield _lived_through(process, folder / "data")
    finally:
        process.kill()
        process.wait(60)
        start_postgres(folder / "data").stop()  # a process that failed has left it
        process.close()
        shutil.rmtree(folder, ignore_errors=True)


def _lived_through(process: Forked, data_dir: Path) -> dict[str, Any]:
    outages, places, come_to = cycle([stopped, hung, full]), set(), {}
    for line in process.stdout:
        told = json.loads(line)
        if "place" not in told:
            come_to = told
            continue
        if told["place"] in PLACES:
            places.add(told["place"])
            with next(outages)(start_postgres(data_dir)):
                process.stdin.write("\n")
                process.stdin.flush()
                time.sleep(OUTAGE_SECONDS)
        else:
            process.stdin.write("\n")
            process.stdin.flush()
    process.wait(60)
    return come_to | {"places": places}


def test_the_day_ends_finished_with_each_step_once(lived: dict[str, Any]) -> None:
    assert lived["places"] == PLACES
    assert lived["tried"]["state"] == ["finished", "", 0]
    assert lived["tried"]["steps"] == lived["calm"]["steps"]
    assert len(set(lived["tried"]["steps"])) == len(lived["tried"]["steps"])


def test_the_day_comes_to_what_a_calm_one_comes_to(lived: dict[str, Any]) -> None:
    for what in ("rows", "hashed", "campaigns", "recipients", "told"):
        assert lived["tried"][what] == lived["calm"][what], what
    assert lived["calm"]["rows"]["profiles"] > 0 and lived["calm"]["told"]
