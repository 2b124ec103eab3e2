"""kill -9 of whoever redeems, reserves, generates, imports or allocates codes: what was answered for is there, and
nothing is half or twice."""

import itertools
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from redemption_calls import create_code, lifetime, redeem, set_budgets

from loaded_program import Forked, begin, said_by_script, talk_to_script

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
SERVE = ["serve", "--port", "0", "--json"]
CAP, BATCH = 100_000, 4000
SETUP = """
import json
import sys
from pathlib import Path

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.promotions import editing, tenants
from rapport.promotions.changing import commands_of
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = create_tenant(stores, "Killed")
_, secret = keys.create_key(scope, "tests", "tests@example.com", "Admin")
scope.warehouse.insert("customers", ["customer_id"], [[f"Q{number}"] for number in range(20)])
commands = [
    {"type": "create", "name": "Killed"},
    {"type": "setRewardTypes", "rewardTypes": [{"key": "spins", "name": "Spins", "category": "units"}]},
    {"type": "activate"},
]
tenants.change_tenant(scope, None, commands_of(commands, tenants.COMMANDS))
rewards = [{"rewardType": "spins", "calculation": {"type": "fixed", "value": 3}}]
launched = [
    {"type": "create", "name": "P", "code": "P"},
    {"type": "setPromotionTiers", "promotionTiers": [{"name": "T", "conditionTree": [], "rewards": rewards}]},
    {"type": "activate"},
]
editing.change_promotion(scope, "P", commands_of(launched, editing.COMMANDS))
print(json.dumps(secret))
stores.close()
"""
ALLOCATE = """
import json
import sys
from pathlib import Path

from rapport.access.scope import scope_of
from rapport.redemptions.allocation import Wanted, allocate
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
pool_id, scope = sys.argv[2], scope_of(stores, int(sys.argv[4]))
for number in range(int(sys.argv[3])):
    drafts = [Wanted(f"m{number}-{place}", f"Q{place}", pool_id) for place in range(20)]
    with scope.records() as session:
        codes = allocate(scope, session, 7, drafts)
    print(json.dumps(codes), flush=True)
stores.close()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base, ignore_errors=True)


def asked(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the records of a server that runs."""
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        return connection.execute(sql.encode()).fetchall()


class Load:
    """Redeems and generates until the server is gone; what it answered for, by key or pool."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.redeemed: dict[str, Any] = {}
        self.asked_for: list[tuple[str, str, str]] = []
        self.reservations: set[str] = set()  # keys
        self.generated: set[str] = set()
        self.imported: set[str] = set()
        self.reserved: dict[str, str] = {}  # what became of reservations, by id

    def client(self, base_url: str) -> httpx.Client:
        return httpx.Client(base_url=base_url, headers={"X-API-KEY": self.secret}, timeout=30)

    def redeem(self, base_url: str, killed: threading.Event, thread: str, codes: list[str]) -> None:
        with self.client(base_url) as api:
            for number, code in enumerate(codes):
                request = (code, f"Q{number % 20}", f"{thread}-{number}")
                self.asked_for.append(request)
                try:
                    answer = redeem(api, *request)
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                assert answer.status_code == 201, answer.text
                self.redeemed[request[2]] = answer.json()["redemptionId"]

    def reserve(self, base_url: str, killed: threading.Event, thread: str, codes: list[str]) -> None:
        """Reserve; commit every third, roll back another third. A state is known where the answer came."""
        with self.client(base_url) as api:
            for number, code in enumerate(codes):
                request = (code, f"Q{number % 20}", f"{thread}-{number}")
                self.reservations.add(request[2])
                try:
                    answer = redeem(api, *request, reserveSeconds=3600)
                    assert answer.status_code == 201, answer.text
                    id, ending = answer.json()["redemptionId"], ("commit", "rollback", None)[number % 3]
                    self.reserved[id] = "unknown" if ending else "reserved"
                    if ending:
                        ended = api.post(f"/v1/promocodes/redemptions/{id}/{ending}")
                        assert ended.status_code == 200, ended.text
                        self.reserved[id] = ended.json()["state"]
                except httpx.HTTPError:
                    assert killed.is_set()
                    return

    def import_codes(self, base_url: str, killed: threading.Event, thread: str) -> None:
        with self.client(base_url) as api:
            for number in itertools.count():
                file = "\n".join(f"{thread}-{number}-{code:05}" for code in range(BATCH))
                try:
                    id = create_code(api, type="unique", promotionId="P")
                    answer = api.post(f"/manage/v1/promocodes/{id}/file", files={"file": ("codes.csv", file)})
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                assert answer.status_code == 201, answer.text
                self.imported.add(id)

    def generate(self, base_url: str, killed: threading.Event) -> None:
        with self.client(base_url) as api:
            while True:
                try:
                    id = create_code(api, type="unique", promotionId="P")
                    answer = api.post(f"/manage/v1/promocodes/{id}/generate", json={"count": BATCH})
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                assert answer.status_code == 201, answer.text
                self.generated.add(id)


def serve(folder: Path) -> tuple[Forked, str]:
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        process = begin([*SERVE, "--data-dir", str(folder)], {**os.environ, "RAPPORT_RATE_LIMIT_CALLS": "0"}, log)
    return process, json.loads(process.stdout.readline())["base_url"]


def end(process: Forked, number: int) -> None:
    os.kill(process.pid, number)
    process.wait(60)
    process.stdout.close()


@pytest.mark.timeout(240)
def test_what_was_answered_for_is_there_and_nothing_is_half(folder: Path) -> None:
    data = folder / "data"
    load = Load(json.loads(said_by_script(SETUP, data).splitlines()[-1]))
    unique: list[str] = []
    for kill in range(KILLS):
        process, base_url = serve(data)
        with load.client(base_url) as api:
            if kill == 0:
                set_budgets(
                    api, "P", lifetime("redemptions", CAP), lifetime("audience", 20), lifetime("reward", CAP, "spins")
                )
                id = create_code(api, type="unique", promotionId="P")
                assert api.post(f"/manage/v1/promocodes/{id}/generate", json={"count": BATCH}).status_code == 201
                listed = api.get(f"/manage/v1/promocodes/{id}/codes", params={"limit": BATCH}).json()
                unique = [code["code"] for code in listed]
                load.generated.add(id)
        killed = threading.Event()
        part = unique[kill * len(unique) // KILLS : (kill + 1) * len(unique) // KILLS]
        codes = [["P"] * 5000, part[::2]]
        threads = [
            threading.Thread(target=load.redeem, args=(base_url, killed, f"{kill}-{place}", of_thread))
            for place, of_thread in enumerate(codes)
        ]
        threads.append(threading.Thread(target=load.generate, args=(base_url, killed)))
        threads.append(threading.Thread(target=load.reserve, args=(base_url, killed, f"{kill}-r", part[1::2])))
        threads.append(threading.Thread(target=load.import_codes, args=(base_url, killed, f"i{kill}")))
        for thread in threads:
            thread.start()
        time.sleep(1.2 + kill / 3)
        killed.set()
        end(process, signal.SIGKILL)
        for thread in threads:
            thread.join()
    process, base_url = serve(data)
    try:
        check(data, load)
        with load.client(base_url) as api:
            for request in load.asked_for[-30:]:
                again = redeem(api, *request)
                assert again.status_code in (200, 201)
                assert (
                    load.redeemed.setdefault(request[2], again.json()["redemptionId"]) == again.json()["redemptionId"]
                )
        check(data, load)
        ((pool_id, tenant_id),) = asked(data, "SELECT id, tenant_id FROM code_pools ORDER BY created_at LIMIT 1")
    finally:
        end(process, signal.SIGTERM)
    allocate_until_killed(data, pool_id, tenant_id)


def check(data: Path, load: Load) -> None:
    redemptions = asked(data, "SELECT idempotency_key, id, person, state, pool_id FROM redemptions")
    by_key = {row[0]: row[1] for row in redemptions}
    assert len(by_key) == len(redemptions) and load.redeemed.items() <= by_key.items()
    assert by_key.keys() <= {key for _, _, key in load.asked_for} | load.reservations
    assert len(load.redeemed) > 10 and len(load.generated) > 1 and load.imported
    states = {row[1]: row[3] for row in redemptions}
    assert {"committed", "rolledBack", "reserved"} <= set(load.reserved.values())
    assert all(state in ("unknown", states[id]) for id, state in load.reserved.items())
    live = [row for row in redemptions if row[3] != "rolledBack"]
    counters = asked(data, "SELECT counted, used FROM budget_counters WHERE person = '' ORDER BY counted")
    count, customers = len(live), len({person for _, _, person, _, _ in live})
    assert counters == [("audience", customers), ("redemptions", count), ("reward", 3 * count)]
    taken = asked(data, "SELECT redemption_id FROM pool_codes WHERE redemption_id IS NOT NULL")
    assert sorted(id for (id,) in taken) == sorted(id for _, id, _, _, pool_id in live if pool_id)
    pools = dict(asked(data, "SELECT pool_id, count(*) FROM pool_codes GROUP BY pool_id"))
    assert set(pools.values()) == {BATCH} and load.generated | load.imported <= pools.keys()


def allocate_until_killed(data: Path, pool_id: str, tenant_id: int) -> None:
    """Messages that had their codes when the process was killed keep them, and no two ever have the same."""
    process = talk_to_script(ALLOCATE, data, pool_id, 5000, tenant_id)
    said = [json.loads(process.stdout.readline()) for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    said += [json.loads(line) for line in process.stdout if line.endswith("\n")]
    process.wait(60)
    process.close()
    lines = said_by_script(ALLOCATE, data, pool_id, len(said) + 2, tenant_id).splitlines()
    again = [json.loads(line) for line in lines[-len(said) - 2 :]]
    assert again[: len(said)] == said, "a message that is written again has the same code"
    codes = [code for codes in again for code in codes.values()]
    assert None not in codes and len(set(codes)) == len(codes) == 20 * len(again)
