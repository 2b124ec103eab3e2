"""kill -9 of a server that takes in, handles and files events: what it answered for is there, and once."""

import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from senders import stamp

from loaded_program import Forked, begin, said_by_script

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
SERVE = ["serve", "--port", "0", "--json"]
SETUP = """
import json
import sys
from pathlib import Path

from rapport.access.service import create_tenant
from rapport.realtime.events import tokens
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = create_tenant(stores, "Killed", settings={"events": {"events_per_person": 100000}})
found = tokens.tokens(scope)
print(json.dumps({"tenant": scope.tenant_id, "server": found["server"].value, "sdk": found["sdk"].value}))
stores.close()
"""
FINAL = """
import sys, json
from pathlib import Path
from rapport.settings import Settings
from rapport.stores import open_stores
stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
warehouse = stores.warehouse.database(sys.argv[2])
rows = "SELECT properties['n'], count(), {}, any(visitor_id) FROM {} GROUP BY 1"
found = {
    "activity_events": warehouse.rows(rows.format("any(customer_id)", "activity_events")),
    "visitor_events": warehouse.rows(rows.format("''", "visitor_events")),
}
stores.close()
print(json.dumps(found))
"""
WAITING = """
    SELECT (SELECT count(*) FROM accepted_events)
         + (SELECT count(*) FROM visitors WHERE NOT joined AND customer_id <> '')
"""
STORED = "SELECT sum(count)::int FROM event_counts WHERE status IN ('success', 'warning')"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base, ignore_errors=True)


def script(code: str, *arguments: object) -> Any:
    return json.loads(said_by_script(code, *arguments).splitlines()[-1])


def asked(data: Path, sql: str) -> int:
    """A number from the records of a server that runs."""
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def serve(folder: Path) -> tuple[Forked, str]:
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        process = begin([*SERVE, "--data-dir", str(folder)], dict(os.environ), log)
    return process, json.loads(process.stdout.readline())["base_url"]


def numbers(batch: list[dict[str, Any]]) -> set[int]:
    return {one["context"]["n"] for one in batch}


class Load:
    """Sends events, each under a number of its own, until the server is gone; what it answered for."""

    def __init__(self, tenant: dict[str, Any]) -> None:
        self.tenant = tenant
        self.answered: set[int] = set()
        self.bodies: list[list[dict[str, Any]]] = []
        self.number = 0

    def batch(self, luck: random.Random) -> list[dict[str, Any]]:
        made = []
        for _ in range(luck.randint(1, 100)):
            self.number += 1
            visitor = f"v{self.number % 40}"
            customer = f"C{self.number % 40}" if self.number % 40 < 20 and luck.random() < 0.05 else ""
            made.append(
                {
                    "tenant": self.tenant["tenant"],
                    "event": "set_page_visit",
                    "visitor": visitor,
                    "customer": customer,
                    "timestamp": stamp(),
                    "context": {"n": self.number},
                    "metadata": {"eventId": f"n-{self.number}"},
                }
            )
        return made

    def path(self, base_url: str) -> str:
        return f"{base_url}/v1/optistream/{self.tenant['sdk']}"

    def run(self, base_url: str, luck: random.Random, killed: threading.Event, most: int) -> None:
        with httpx.Client(timeout=30) as client:
            for _ in range(most):
                batch = self.batch(luck)
                self.bodies.append(batch)
                try:
                    answer = client.post(self.path(base_url), json=batch)
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                assert answer.status_code == 200, answer.text
                self.answered |= numbers(batch)


def kill(process: Forked) -> None:
    os.kill(process.pid, signal.SIGKILL)
    end(process)


def end(process: Forked) -> None:
    process.wait(60)
    process.stdout.close()


@pytest.mark.timeout(240)
def test_what_was_answered_for_is_there_once(folder: Path) -> None:
    data = folder / "data"
    load = Load(script(SETUP, data))
    luck = random.Random(5)
    for last in [False] * (KILLS - 1) + [True]:
        process, base_url = serve(data)
        killed = threading.Event()
        sender = threading.Thread(target=load.run, args=(base_url, luck, killed, 8 if last else 10_000))
        sender.start()
        if last:  # at the very moment that an answer came
            sender.join()
        else:
            time.sleep(luck.uniform(1.2, 2.2))
        killed.set()
        kill(process)
        sender.join()
    process, base_url = serve(data)
    try:
        # What was not answered, or was, comes again, as SDKs do.
        with httpx.Client(timeout=30) as client:
            for batch in load.bodies[-40:]:
                assert client.post(load.path(base_url), json=batch).status_code == 200
                load.answered |= numbers(batch)
        deadline = time.monotonic() + 60
        while asked(data, WAITING) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (asked(data, WAITING), asked(data, STORED)) == (0, len(load.answered))
    finally:
        process.terminate()
        end(process)
    check(load, script(FINAL, data, f"rapport_{load.tenant['tenant']}"))


def check(load: Load, found: dict[str, list[tuple[str, int, str, str]]]) -> None:
    rows = [*found["activity_events"], *found["visitor_events"]]
    there = Counter({int(n): count for n, count, _, _ in rows})
    assert set(there.values()) == {1} and len(there) == len(rows)
    assert load.answered == there.keys()
    assert len(load.answered) > 500
    # Whoever was identified has the whole history, the others none of it.
    owners = {visitor: customer for _, _, customer, visitor in found["activity_events"]}
    assert owners and all(customer == visitor.replace("v", "C") for visitor, customer in owners.items())
    assert {visitor for _, _, _, visitor in found["visitor_events"]}.isdisjoint(owners)
