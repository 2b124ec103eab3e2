"""kill -9 of a server that moves customers on in a journey: nobody is lost, and nothing is sent twice."""

import random
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from test_intake_killed import end, kill, script, serve
from test_triggers_killed import KILLS, kill_under_load, wait_for_none
from test_triggers_killed import data as data

SETUP = """
import json
import sys
from pathlib import Path

from rapport.access.service import create_tenant
from rapport.campaigns import definitions as campaigns
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as triggers
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.journeys import definitions
from rapport.journeys.schemas import JourneyBody
from rapport.realtime.events import tokens
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1]), allow_private_addresses=True))
scope = create_tenant(stores, "Killed", settings={"events": {"events_per_person": 100000}})
channels.create_channel(scope, "SMS", "external")
campaigns.create_action(scope, ActionBody(name="Voucher"))
for name in ("sign_up", "purchase"):
    event_types.declare_event_type(scope, name, {})
group = {"action_id": 2, "channels": [{"channel_id": 505, "template_id": 1}]}
welcome, thanks, reminder = (
    triggers.create_triggered(scope, TriggeredBody.model_validate({
        "name": name, "trigger": {"kind": "journey"}, "groups": [group], "control_share": 0, "re_entry": "unlimited",
    })).id
    for name in ("Welcome", "Thanks", "Reminder")
)
definitions.create_journey(scope, JourneyBody.model_validate({
    "name": "Welcome series",
    "entry": {"kind": "event", "match": {"event": "sign_up"}},
    "steps": [
        {"id": "welcome", "kind": "message", "campaign_id": welcome, "next": "buys"},
        {"id": "buys", "kind": "wait_for", "match": {"event": "purchase"}, "minutes": 60, "next": "thanks",
            "otherwise": "reminder"},
        {"id": "thanks", "kind": "message", "campaign_id": thanks},
        {"id": "reminder", "kind": "message", "campaign_id": reminder},
    ],
}))
told = {"tenant": scope.tenant_id, "sdk": tokens.tokens(scope)["sdk"].value}
print(json.dumps(told | {"welcome": welcome, "thanks": thanks, "reminder": reminder}))
stores.close()
"""
UNDONE = "SELECT count(*) FROM accepted_events WHERE state = 0"
SENT = "SELECT series_id, customer_id, count(*) FROM trigger_firings GROUP BY series_id, customer_id"
ENDED = "SELECT customer_id, count(*), min(ending), min(taken) FROM journey_members GROUP BY customer_id"
STEPS = "SELECT count(*), count(DISTINCT (member_id, step)) FROM journey_steps_taken"
# The hour of some of those who wait is over now, and that of the others a little later.
HURRY = "UPDATE journey_members SET due_at = now() + random() * interval '1 second' WHERE due_at > now()"


class Load:
    """Signs customers up, each once; those of even numbers buy, too. Each event is sent until it is answered for."""

    def __init__(self, tenant: dict[str, Any]) -> None:
        self.tenant, self.customers = tenant, 0
        self.unanswered: list[list[dict[str, Any]]] = []

    def batch(self, luck: random.Random) -> list[list[dict[str, Any]]]:
        first = self.customers
        self.customers += luck.randint(1, 20)
        customers = range(first, self.customers)
        buyers = [number for number in customers if not number % 2]
        return [[self.event("sign_up", n) for n in customers], [self.event("purchase", n) for n in buyers]]

    def event(self, name: str, number: int) -> dict[str, Any]:
        at = datetime.now(UTC)
        return {
            "tenant": self.tenant["tenant"],
            "event": name,
            "customer": f"K{number}",
            "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
            "context": {},
            "metadata": {"eventId": f"{name}-{number}"},
        }

    def run(self, base_url: str, luck: random.Random, most: int) -> None:
        again, self.unanswered = self.unanswered, []
        batches = [*again, *(batch for _ in range(most) for batch in self.batch(luck))]
        with httpx.Client(timeout=30) as client:
            for batch in batches:
                if not batch:
                    continue
                try:
                    answer = client.post(f"{base_url}/v1/optistream/{self.tenant['sdk']}", json=batch)
                    assert answer.status_code == 200, answer.text
                except httpx.HTTPError:
                    self.unanswered.append(batch)


def rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        return connection.execute(sql.encode()).fetchall()


def hurry(data: Path) -> None:
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        connection.execute(HURRY.encode())


def test_a_killed_server_loses_nobody_and_sends_nothing_twice(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_ALLOW_PRIVATE_ADDRESSES", "true")
    luck = random.Random()
    load = Load(script(SETUP, data))
    kill_under_load(data, load, luck)
    process, base_url = serve(data)
    load.run(base_url, luck, 3)
    assert not load.unanswered
    wait_for_none(data, UNDONE)
    for _ in range(max(1, KILLS // 2)):
        hurry(data)
        time.sleep(luck.uniform(0.1, 1.2))
        kill(process)
        process, base_url = serve(data)
    try:
        hurry(data)
        wait_for_none(data, "SELECT count(*) FROM journey_members WHERE state = 'active'")
        sent = Counter({(series_id, customer): count for series_id, customer, count in rows(data, SENT)})
        ended = {customer: (count, ending, taken) for customer, count, ending, taken in rows(data, ENDED)}
        ((taken, different),) = rows(data, STEPS)
    finally:
        process.terminate()
        end(process)
    customers = [f"K{number}" for number in range(load.customers)]
    assert ended == dict.fromkeys(customers, (1, "completed", 3))
    assert taken == different == 3 * len(customers)
    assert set(sent.values()) == {1}
    expected = {(load.tenant["welcome"], customer) for customer in customers}
    assert {key for key in sent if key[0] == load.tenant["welcome"]} == expected
    second = {customer: series_id for series_id, customer in sent if series_id != load.tenant["welcome"]}
    assert second.keys() == set(customers)
    # A purchase that was handled before its sign-up, after a kill between the two, was not waited for.
    assert all(second[f"K{n}"] == load.tenant["reminder"] for n in range(1, load.customers, 2))
    assert sum(second[f"K{n}"] == load.tenant["thanks"] for n in range(0, load.customers, 2)) > load.customers // 4
