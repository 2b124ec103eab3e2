"""kill -9 of a server amid writes of customers: what it acknowledged last is what stays."""

import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loaded_program import Forked, begin, said_by_script

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
SERVE = ["serve", "--port", "0", "--json"]
SETUP = """
import sys
from pathlib import Path

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = create_tenant(stores, "Killed")
names = ("N_UPDATE", "N_UPSERT", "N_MIXED")
attributes.declare(scope, [AttributeInfo(name, "", "", "Int", "batch", api_updatable=True) for name in names])
scope.warehouse.insert("customers", ["customer_id"], [(f"C{n}",) for n in range(500)])
scope.warehouse.insert("customers", ["customer_id"], [("Ann",)])
print(keys.create_key(scope, "tests", "tests@example.com", "Admin")[1])
stores.close()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def serve(data: Path) -> tuple[Forked, str]:
    with (data.parent / "log").open("a") as log:
        process = begin([*SERVE, "--data-dir", str(data)], dict(os.environ), log)
    return process, json.loads(process.stdout.readline())["base_url"]


def end(process: Forked, by: signal.Signals) -> None:
    process.send_signal(by)
    process.wait(60)
    process.stdout.close()


class Writing:
    """One sender of numbers that only grow: the last that was acknowledged, and the last that was sent."""

    def __init__(self, secret: str) -> None:
        self.headers = {"X-API-KEY": secret}
        self.number = 0
        self.acknowledged = {"N_UPDATE": 0, "N_UPSERT": 0, "N_MIXED": 0}
        self.sent = dict(self.acknowledged)

    def run(self, base_url: str, killed: threading.Event) -> None:
        luck = random.Random(self.number)
        with httpx.Client(base_url=base_url, headers=self.headers, timeout=60) as client:
            while not killed.is_set():
                self.number += 1
                kind = luck.choice(("update", "upsert"))
                names = ("N_UPDATE" if kind == "update" else "N_UPSERT", "N_MIXED")
                self.sent.update(dict.fromkeys(names, self.number))
                try:
                    answer = self.send(client, kind, names)
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                assert answer.status_code in (200, 429), answer.text
                if answer.status_code == 200:
                    self.acknowledged.update(dict.fromkeys(names, self.number))
                else:
                    time.sleep(0.5)

    def send(self, client: httpx.Client, kind: str, names: tuple[str, ...]) -> httpx.Response:
        values = [{"RealFieldName": name, "Value": self.number} for name in names]
        if kind == "upsert":
            return client.put("/Customers/UpsertCustomer", json={"CustomerId": "Ann", "Attributes": values})
        others = [{"CustomerID": f"C{n}", "Attributes": values} for n in range(500)]
        items = [*others, {"CustomerID": "Ann", "Attributes": values}]
        return client.post("/Customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": items})


def values(base_url: str, headers: dict[str, str], customer: str) -> dict[str, int]:
    rows: list[dict[str, Any]] = httpx.get(f"{base_url}/Customers/{customer}/Attributes", headers=headers).json()
    return {row["RealFieldName"]: int(row["Value"] or 0) for row in rows if row["RealFieldName"].startswith("N_")}


@pytest.mark.timeout(240)
def test_what_was_acknowledged_last_stays(folder: Path) -> None:
    data = folder / "data"
    secret = said_by_script(SETUP, data).split()[-1]
    writing = Writing(secret)
    for kill in range(KILLS + 1):
        process, base_url = serve(data)
        try:
            if kill:
                settle(base_url, writing)
            killed = threading.Event()
            sender = threading.Thread(target=writing.run, args=(base_url, killed))
            sender.start()
            before = writing.number
            while writing.number < before + 8 + 3 * kill and sender.is_alive():
                time.sleep(0.01)
            killed.set()
        finally:
            end(process, signal.SIGKILL if kill < KILLS else signal.SIGTERM)
        sender.join()
    assert writing.acknowledged["N_UPDATE"] and writing.acknowledged["N_UPSERT"]


def settle(base_url: str, writing: Writing) -> None:
    """What is read is what was acknowledged last, or what was sent after it and has no answer."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = values(base_url, writing.headers, "Ann")
        if all(writing.acknowledged[name] <= found[name] <= writing.sent[name] for name in found):
            break
        time.sleep(0.1)
    time.sleep(0.5)  # nothing older is written over it
    found, other = values(base_url, writing.headers, "Ann"), values(base_url, writing.headers, "C1")
    for name, number in found.items():
        assert writing.acknowledged[name] <= number <= writing.sent[name], (found, writing.acknowledged, writing.sent)
    assert writing.acknowledged["N_UPDATE"] <= other["N_UPDATE"] <= writing.sent["N_UPDATE"]
