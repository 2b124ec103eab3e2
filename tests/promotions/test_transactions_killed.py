"""kill -9 of a server amid transactions of promotions and of their tenant: each is there with all commands, or not."""

import itertools
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
from promotion_tenant import done, leaf, spins, tier

from loaded_program import Forked, begin, said_by_script

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
SERVE = ["serve", "--port", "0", "--json"]
SETUP = """
import sys
from pathlib import Path

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1])))
scope = create_tenant(stores, "Killed")
scope.warehouse.insert("customers", ["customer_id", "COUNTRY"], [("Ann", "NL"), ("Ben", "BE")])
print(keys.create_key(scope, "tests", "tests@example.com", "Admin")[1])
stores.close()
"""
# What a new promotion, a change of one and a change of the tenant are made of, in order.
LAUNCHING = ["create", "setConditionTree", "setPromotionTiers", "setProperties", "activate"]
CHANGING = ["deactivate", "setMetadata", "setProperties", "activate"]
EDITING = ["deactivate", "setMetadata", "setRewardTypes", "setSessionPropertySchema", "activate"]


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


def commands(names: list[str], number: int) -> list[dict[str, Any]]:
    """The commands of a transaction, each of which leaves its number."""
    tiers = [
        tier("dutch", [leaf("country", "equals", "NL")], spins(number + 1)),
        tier("all", [], spins(number + 2)),
    ]
    members: dict[str, dict[str, Any]] = {
        "create": {"name": f"P {number}", "code": f"CODE-{number}"},
        "setConditionTree": {"conditionTree": {"branches": [leaf("country", "notEquals", f"X{number}")]}},
        "setPromotionTiers": {"promotionTiers": tiers},
        "setProperties": {"properties": {"number": number}},
        "setMetadata": {"name": f"P {number}"},
        "setRewardTypes": {"rewardTypes": [{"key": "freeSpins", "name": f"P {number}", "category": "units"}]},
        "setSessionPropertySchema": {"properties": [{"key": f"number{number}", "type": "number"}]},
        "setCustomerPropertySchema": {
            "properties": [{"key": "country", "type": "string", "attribute": "COUNTRY"}],
        },
        "setPromotionPropertySchema": {"properties": [{"key": "number", "type": "number"}]},
    }
    return [{"type": name, **members.get(name, {})} for name in names]


class Sending:
    """Senders of transactions one after the other: the numbers sent, and those acknowledged, by the path."""

    def __init__(self, secret: str) -> None:
        self.headers = {"X-API-KEY": secret}
        self.numbers = itertools.count(1)
        self.sent: dict[str, list[int]] = {"launched": [], "steady": [], "tenant": []}
        self.acknowledged: dict[str, list[int]] = {"launched": [], "steady": [], "tenant": []}

    def client(self, base_url: str) -> httpx.Client:
        return httpx.Client(base_url=base_url, headers=self.headers, timeout=60)

    def run(self, what: str, base_url: str, killed: threading.Event) -> None:
        names = {"launched": LAUNCHING, "steady": CHANGING, "tenant": EDITING}[what]
        with self.client(base_url) as client:
            while not killed.is_set():
                number = next(self.numbers)
                path = {"launched": f"promotions/p{number}", "steady": "promotions/steady", "tenant": "tenants/play"}
                self.sent[what].append(number)
                try:
                    answer = client.post(f"/v1/{path[what]}/transactions", json={"commands": commands(names, number)})
                except httpx.HTTPError:
                    assert killed.is_set()
                    return
                done(answer)
                self.acknowledged[what].append(number)

    def newest(self, what: str) -> tuple[int, int]:
        """The last number that was acknowledged, and the last that was sent; 0 for none."""
        return max(self.acknowledged[what], default=0), max(self.sent[what], default=0)


@pytest.mark.timeout(240)
def test_each_transaction_is_whole_or_absent(folder: Path) -> None:
    data = folder / "data"
    sending = Sending(said_by_script(SETUP, data).split()[-1])
    luck = random.Random()
    for kill in range(KILLS + 1):
        process, base_url = serve(data)
        try:
            with sending.client(base_url) as client:
                if kill:
                    settled(client, sending)
                else:
                    begun(client)
            if kill < KILLS:
                killed_amid(process, base_url, sending, luck)
        finally:
            end(process, signal.SIGTERM)
    assert all(sending.acknowledged.values()), sending.acknowledged


def begun(client: httpx.Client) -> None:
    """The promotion tenant, and the promotion that is changed again and again."""
    defining = ["setCustomerPropertySchema", "setPromotionPropertySchema", *EDITING[1:]]
    created = [{"type": "create", "name": "Northwind Play"}, *commands(defining, 0)]
    done(client.post("/v1/tenants/play/transactions", json={"commands": created}))
    done(client.post("/v1/promotions/steady/transactions", json={"commands": commands(LAUNCHING, 0)}))


def killed_amid(process: Forked, base_url: str, sending: Sending, luck: random.Random) -> None:
    """Kill the server at some moment after each sender was answered several times."""
    killed = threading.Event()
    senders = [threading.Thread(target=sending.run, args=(what, base_url, killed)) for what in sending.sent]
    wanted = {what: len(numbers) + luck.randint(2, 6) for what, numbers in sending.acknowledged.items()}
    for sender in senders:
        sender.start()
    while any(len(sending.acknowledged[what]) < count for what, count in wanted.items()):
        assert all(sender.is_alive() for sender in senders), "a transaction was refused"
        time.sleep(0.005)
    time.sleep(luck.uniform(0, 0.05))
    killed.set()
    end(process, signal.SIGKILL)
    for sender in senders:
        sender.join()


def settled(client: httpx.Client, sending: Sending) -> None:
    """What is there now is what whole transactions make, at least those that were acknowledged."""
    for number in sending.sent["launched"]:
        promotion = client.get(f"/v1/promotions/p{number}")
        if promotion.status_code == 404:
            assert number not in sending.acknowledged["launched"]
            assert client.get(f"/manage/v1/promotions/p{number}/versions").status_code == 404
        else:
            launched(client, f"p{number}", done(promotion), number)
    steady = done(client.get("/v1/promotions/steady"))
    least, most = sending.newest("steady")
    number = steady["properties"]["number"]
    assert least <= number <= most and steady["metadata"]["name"] == f"P {number}"
    history = client.get("/manage/v1/promotions/steady/versions", params={"limit": 1000}).json()
    changed = [version["document"]["properties"]["number"] for version in reversed(history)]
    acknowledged = sending.acknowledged["steady"]
    assert changed == sorted(set(changed)) and set(acknowledged) <= set(changed) <= {0, *sending.sent["steady"]}
    assert all(version["commands"] == CHANGING for version in history[:-1])
    validates(client, "steady", steady, history, 0)
    tenant = done(client.get("/v1/tenants/play"))
    least, most = sending.newest("tenant")
    number = int(tenant["metadata"]["name"].removeprefix("P "))
    assert least <= number <= most and tenant["status"] == "active"
    assert [reward["name"] for reward in tenant["rewardTypes"]] == [f"P {number}"]
    assert [definition["key"] for definition in tenant["sessionPropertySchema"]["properties"]] == [f"number{number}"]
    audited = client.get("/manage/v1/audit-entries", params={"object": "promotion tenant", "limit": 1000}).json()
    assert len(audited) == tenant["version"]


def launched(client: httpx.Client, id: str, promotion: dict[str, Any], number: int) -> None:
    """A promotion that is there has what each of its commands set."""
    wanted = dict(zip(LAUNCHING, commands(LAUNCHING, number), strict=True))
    assert promotion["code"] == wanted["create"]["code"] and promotion["properties"] == {"number": number}
    (branch,) = promotion["conditionTree"]["branches"]
    assert branch["condition"]["value"] == f"X{number}"
    assert [shown["id"] for shown in promotion["promotionTiers"]] == ["dutch", "all"]
    history = client.get(f"/manage/v1/promotions/{id}/versions").json()
    assert [version["commands"] for version in history] == [LAUNCHING]
    validates(client, id, promotion, history, number)


def validates(
    client: httpx.Client, id: str, promotion: dict[str, Any], history: list[dict[str, Any]], number: int
) -> None:
    """The history ends with the promotion, misses no version, and its tiers decide."""
    assert [version["version"] for version in history] == list(range(promotion["version"], 0, -1))
    newest, times = history[0]["document"], ("createdAt", "updatedAt", "activatedAt")
    assert {name: value for name, value in newest.items() if name not in times} == {
        name: value for name, value in promotion.items() if name not in times
    }
    assert promotion["status"] == "active"
    contexts = [{"customerId": "Ann"}, {"customerId": "Ben"}]
    answer = done(client.post(f"/v1/promotions/{id}/validateCustomers", json={"contexts": contexts}))
    granted = [context["effects"][0]["rewards"][0]["value"] for context in answer["contexts"]]
    assert granted == [number + 1, number + 2]
