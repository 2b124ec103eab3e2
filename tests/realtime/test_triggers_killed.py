"""kill -9 of a server that evaluates triggers and tells of firings: each fires once, and is told under one id."""

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
import pytest
from test_intake_killed import asked, end, kill, script, serve
from webhook_receiver import Post, Receiver, receiving

KILLS = int(os.environ.get("RAPPORT_KILLS", "2"))
CUSTOMERS = 25
SETUP = """
import json
import sys
from pathlib import Path

from rapport.access import keys
from rapport.access.service import create_tenant
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.notifications import service as notifications
from rapport.realtime.events import tokens
from rapport.settings import Settings
from rapport.stores import open_stores

stores = open_stores(Settings(data_dir=Path(sys.argv[1]), allow_private_addresses=True))
scope = create_tenant(stores, "Killed", settings={"events": {"events_per_person": 100000}})
channels.create_channel(scope, "SMS", "external")
definitions.create_action(scope, ActionBody(name="Voucher"))
for name in ("level_up", "page_view"):
    event_types.declare_event_type(scope, name, {"n": "Number"})
group = {"action_id": 2, "channels": [{"channel_id": 505, "template_id": 1}]}
counted = {"kind": "repeated", "event": "page_view", "times": 3, "window_minutes": 10}
for kind in ({"kind": "simple", "event": "level_up"}, counted):
    campaign_definitions.create_triggered(scope, TriggeredBody.model_validate({
        "name": kind["kind"], "trigger": kind,
        "groups": [group], "control_share": 0, "re_entry": "unlimited", "visitors": True,
    }))
notifications.register_listener(scope, 11, sys.argv[2])
found = tokens.tokens(scope)
_, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
print(json.dumps({"tenant": scope.tenant_id, "sdk": found["sdk"].value, "key": key}))
stores.close()
"""
UNDONE = """
    SELECT (SELECT count(*) FROM accepted_events)
         + (SELECT count(*) FROM trigger_firings WHERE state <> 'filed')
         + (SELECT count(*) FROM deliveries WHERE state <> 'delivered')
"""


@pytest.fixture
def data() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="rapport-kill-"))
    base.chmod(0o755)
    yield base / "data"
    shutil.rmtree(base, ignore_errors=True)


class Load:
    """Sends batches of events, each again until it is answered for."""

    def __init__(self, tenant: dict[str, Any]) -> None:
        self.tenant, self.number = tenant, 0
        self.levels: set[int] = set()
        self.views: Counter[str] = Counter()
        self.unanswered: list[list[dict[str, Any]]] = []

    def batch(self, luck: random.Random) -> list[dict[str, Any]]:
        made = []
        for _ in range(luck.randint(1, 30)):
            self.number += 1
            name = luck.choice(["level_up", "page_view", "page_view"])
            customer = f"C{luck.randrange(CUSTOMERS)}"
            if name == "level_up":
                self.levels.add(self.number)
            else:
                self.views[customer] += 1
            # Times apart from each other, so that the order of times is told.
            at = datetime.now(UTC) - timedelta(seconds=60) + timedelta(milliseconds=10 * self.number)
            made.append(
                {
                    "tenant": self.tenant["tenant"],
                    "event": name,
                    "customer": customer,
                    "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
                    "context": {"n": self.number},
                    "metadata": {"eventId": f"n-{self.number}"},
                }
            )
        return made

    def run(self, base_url: str, luck: random.Random, most: int) -> None:
        again, self.unanswered = self.unanswered, []
        with httpx.Client(timeout=30) as client:
            for batch in [*again, *(self.batch(luck) for _ in range(most))]:
                try:
                    answer = client.post(f"{base_url}/v1/optistream/{self.tenant['sdk']}", json=batch)
                    assert answer.status_code == 200, answer.text
                except httpx.HTTPError:
                    self.unanswered.append(batch)


class Loading(Protocol):
    """What sends events to a server, and again those that it did not answer for."""

    unanswered: list[list[dict[str, Any]]]

    def run(self, base_url: str, luck: random.Random, most: int) -> None: ...


def kill_under_load(data: Path, load: Loading, luck: random.Random) -> None:
    """Kill servers, one after the other, while events come in."""
    for _ in range(KILLS):
        process, base_url = serve(data)
        thread = threading.Thread(target=load.run, args=(base_url, luck, 25))
        thread.start()
        time.sleep(luck.uniform(0.1, 1.2))
        kill(process)
        thread.join()


def wait_for_none(data: Path, sql: str) -> None:
    """Wait until a count of the records is 0."""
    deadline = time.monotonic() + 60
    while asked(data, sql):
        assert time.monotonic() < deadline, f"what was accepted has not come to its end: {sql}"
        time.sleep(0.1)


@contextmanager
def survivor(data: Path, load: Loading, luck: random.Random) -> Iterator[str]:
    """The address of a server that lives until all that was accepted has come to its end."""
    process, base_url = serve(data)
    try:
        run_out(data)
        load.run(base_url, luck, 3)
        assert not load.unanswered
        wait_for_none(data, UNDONE)
        yield base_url
    finally:
        process.terminate()
        end(process)


def test_a_killed_server_fires_each_trigger_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_ALLOW_PRIVATE_ADDRESSES", "true")
    luck = random.Random()
    with receiving() as receiver:
        load = Load(script(SETUP, data, receiver.url))
        kill_under_load(data, load, luck)
        with survivor(data, load, luck) as base_url:
            accounts = sent(base_url, load.tenant["key"])
        check(load, [json.loads(post.body) | {"id": post.headers["webhook-id"]} for post in whole(receiver)], accounts)


def whole(receiver: Receiver) -> list[Post]:
    """The posts that were not cut off by a kill."""
    return [post for post in receiver.posts if len(post.body) == int(post.headers["content-length"])]


def run_out(data: Path) -> None:
    """Let the leases of those that were killed run out."""
    with psycopg.connect(host=str(data / "records"), user="postgres", dbname="postgres") as connection:
        connection.execute("UPDATE deliveries SET leased_until = NULL WHERE state = 'pending'")


def sent(base_url: str, key: str) -> dict[int, int]:
    """Rows of recipients by campaign, which the sums of the campaigns say too."""
    found = {}
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=30) as client:
        for day in client.get("/manage/v1/campaigns").json():
            asked_for = {"CampaignID": day["id"], "ChannelID": 505, "$top": 10_000}
            rows = client.get("/current/customers/GetCustomerSendDetailsByChannel", params=asked_for).json()
            assert day["counts"] == {"sent": len(rows)} and day["targeted"] == len(rows)
            found[day["id"]] = len(rows)
    return found


def check(load: Load, posts: list[dict[str, Any]], accounts: dict[int, int]) -> None:
    """What was told and entered in the accounts is what the events come to, which were accepted as they were sent."""
    by_id: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for post in posts:
        by_id[post["id"]].add((post["campaignID"], post["event_n"]))
    assert all(len(told) == 1 for told in by_id.values()), "an id stands for one firing"
    firings = Counter(next(iter(told)) for told in by_id.values())
    assert set(firings.values()) == {1}, "and a firing has one id"
    assert sorted(n for _, n in firings if n in load.levels) == sorted(load.levels)
    counted = Counter(campaign for campaign, n in firings if n not in load.levels)
    assert sum(counted.values()) == sum(times // 3 for times in load.views.values())
    assert accounts == Counter(campaign for campaign, _ in firings)
