"""Each engine goes away in each way in the middle of all work at once, and comes back minutes or an hour later.

What lasts a second here lasts as long by every clock of the server; its pauses are those of the server's child.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from served import UNDONE, Outside, Served, event
from shop_over_http import beside
from url_engines import WarehouseServer
from webhook_receiver import eventually

from engine_outages import full, hung, stopped
from rapport.stores.outages import RECORDS_AWAY, WAREHOUSE_AWAY, refusal

OUTAGE_SECONDS, MOST_WAIT = 1.5, 120.0
MINUTES, HOUR = 120, 3600
PEOPLE, LOADED, EVENTS = 30, 300, 12
DAY = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
READS = ("/general/getlastdataupdate", "/manage/v1/channels", "/manage/v1/imports")
AWAY = {RECORDS_AWAY, WAREHOUSE_AWAY, refusal("starting up"), refusal("too many clients"), refusal("recovery mode")}


@pytest.fixture(scope="module", autouse=True)
def computed(served: Served) -> None:
    """A day is there, so that campaigns have customers."""
    begin_day(served)
    eventually(lambda: see(served, f"cycles/{DAY}")["state"] == "finished")


@dataclass
class Works:
    """One of each work, held in its middle. merge and copy: where the import and the backup are then.

    number tells it from those of before.
    """

    served: Served
    outside: Outside
    folder: Path
    merge: str
    copy: str
    number: int = field(default_factory=count(1).__next__)
    campaign: int = 0
    loading: "Future[httpx.Response]" = field(default_factory=Future)
    backing: "Future[dict[str, Any]]" = field(default_factory=Future)

    @property
    def events(self) -> range:
        """What the events of the work are numbered by."""
        return range(1500 + self.number * EVENTS, 1500 + (self.number + 1) * EVENTS)

    def begin(self) -> None:
        """Begin each, and wait until it is in its middle."""
        self.served.say(hold=[self.merge, "scores", self.copy])
        begin_day(self.served)
        assert self.served.hear() == {"place": "scores"}
        self.loading = beside(load, self.served, self.number)
        assert self.served.hear() == {"place": self.merge}
        self.backing = beside(backup, self.served, self.folder / "first.rapport")
        assert self.served.hear() == {"place": self.copy}
        box, receiver = self.outside.box, self.outside.receiver
        box.messages.clear(), box.to.clear(), receiver.posts.clear()
        box.shut_after = PEOPLE // 2
        self.campaign = blast(self.served, self.number)
        eventually(lambda: len(box.messages) >= PEOPLE // 2)
        receiver.gate.clear()
        for name in ("mailed", "told"):  # all at once: what a listener has it must answer within seconds
            events = [one for number in self.events for one in event(self.served, name, number)]
            assert self.served.client.post(self.served.sdk, json=events).is_success
        eventually(lambda: len(receiver.posts) >= EVENTS)

    def go_on(self) -> None:
        """Let all of it go on, until the listener has answered: clocks that move on before it has make it late."""
        receiver, answered = self.outside.receiver, self.outside.receiver.answered
        self.served.say(go=True)
        self.outside.box.gate.set()
        receiver.gate.set()
        eventually(lambda: receiver.answered >= answered + EVENTS)

    def have_ended_well(self, backed_up: bool) -> None:
        """Wait for each to end: once, whole, and nothing of it failed; a backup that was not at its end says so."""
        answer = self.loading.result(MOST_WAIT)
        assert (answer.status_code, answer.json()["counts"].get("new")) == (201, LOADED), answer.text
        told = self.backing.result(MOST_WAIT)
        assert [path.name for path in self.folder.iterdir()] == ["first.rapport"] * backed_up
        if not backed_up:
            assert told["error"]["status"] == 503 and told["error"]["detail"] in AWAY
        told = backup(self.served, self.folder / "second.rapport")
        assert "result" in told, self.served.log.read_text()[-5000:]
        eventually(lambda: see(self.served, f"cycles/{DAY}")["state"] not in ("running", "waiting"), MOST_WAIT)
        day = see(self.served, f"cycles/{DAY}")
        steps = Counter(step["name"] for step in day["steps"])
        assert (day["state"], day["error"], set(steps.values())) == ("finished", "", {1})
        at = f"campaigns/{self.campaign}"
        eventually(lambda: see(self.served, at)["state"] in ("successful", "failed"), MOST_WAIT)
        ended = see(self.served, at)
        assert (ended["state"], ended["error"], ended["counts"]) == ("successful", "", {"sent": PEOPLE})
        eventually(lambda: self.served.asked(UNDONE) == 0, MOST_WAIT)
        expected = Counter(f"c{number}@example.com" for number in [*range(PEOPLE), *self.events])
        assert self.outside.box.to == expected, "every mail has come once"

    def told(self) -> Counter[int]:
        """The numbers of the events that the listener was told of."""
        return Counter(json.loads(post.body)["event_n"] for post in self.outside.receiver.posts)


def see(served: Served, path: str) -> dict[str, Any]:
    return dict(served.client.get(f"/manage/v1/{path}").json())


def begin_day(served: Served) -> None:
    answer = served.client.post("/manage/v1/cycles", json={"data_date": DAY})
    assert answer.is_success, answer.text


def load(served: Served, number: int) -> httpx.Response:
    lines = [f"N{number}-{n},2025-01-01,n{number}-{n}@example.com" for n in range(LOADED)]
    text = "\n".join(["Customer_ID,Registered_Date,Email", *lines]).encode()
    return served.client.post("/manage/v1/imports", data={"kind": "customers"}, files={"file": ("new.csv", text)})


def backup(served: Served, path: Path) -> dict[str, Any]:
    """The last line that a backup answers."""
    answer = served.operator.post("/manage/v1/operator/backups", json={"path": str(path)})
    assert answer.status_code == 200, answer.text
    return dict(orjson.loads(answer.text.splitlines()[-1]))


def blast(served: Served, number: int) -> int:
    channel = {"channel_id": 504, "template_id": 1, "send_time": "00:00"}
    ids = [f"c{n}@example.com" for n in range(PEOPLE)]
    body = {"name": f"Sorry {number}", "customer_ids": ids, "action_id": 2, "channels": [channel]}
    answer = served.client.post("/manage/v1/campaigns/one-time", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def in_warehouse(served: Served, warehouse: WarehouseServer, sql: str) -> list[str]:
    """The words of an answer of the tenant's warehouse."""
    database = f"rapport_{served.told['tenant']}"
    return httpx.post(warehouse.url, params={"database": database}, content=sql, timeout=60).text.split()


@contextmanager
def later(served: Served, seconds: float) -> Iterator[None]:
    """What happens in the block takes so long by every clock of the server, and half of it after it."""
    try:
        yield
        served.say(later=seconds)
        time.sleep(OUTAGE_SECONDS / 2)
    finally:
        served.ahead += seconds


def is_told_to_come_again(served: Served, paths: tuple[str, ...]) -> None:
    for path in paths:
        answer = served.client.get(path)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True), path
    assert served.client.get("/health").status_code == 200


Gone = Callable[[Served, WarehouseServer], AbstractContextManager[None]]
# How long each lasts, where the import and the backup are then, and whether the backup is written nevertheless.
WAYS: dict[str, tuple[Gone, int, str, str, bool]] = {
    "records stopped": (lambda served, _: stopped(served.postgres), HOUR, "merging", "copied", False),
    "records hung": (lambda served, _: hung(served.postgres), MINUTES, "merged", "copying", True),
    "records full": (lambda served, _: full(served.postgres), HOUR, "merging", "written", True),
    "warehouse stopped": (lambda _, warehouse: warehouse.stopped(), HOUR, "merged", "copying", False),
    "warehouse hung": (lambda _, warehouse: warehouse.hung(), MINUTES, "merging", "copied", True),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_work_waits(served: Served, warehouse: WarehouseServer, outside: Outside, tmp_path: Path, way: str) -> None:
    gone, seconds, merge, copy, backed_up = WAYS[way]
    works = Works(served, outside, tmp_path, merge, copy)
    backups = served.asked("SELECT count(*) FROM backups")
    counted = "SELECT count(), uniqExact(customer_id) FROM customers"
    before, logged = int(in_warehouse(served, warehouse, counted)[0]), served.log.stat().st_size
    works.begin()
    expected, last = Counter(works.events), event(served, "told", works.events[0] + 300)
    with gone(served, warehouse), later(served, seconds):
        works.go_on()
        if way != "records hung":
            expected.update([works.events[0] + 300] * served.client.post(served.sdk, json=last).is_success)
        if not way.endswith("hung"):
            is_told_to_come_again(served, READS if way.startswith("records") else ("/ready",))
        time.sleep(OUTAGE_SECONDS / 2)
    ended = time.monotonic()
    works.have_ended_well(backed_up)
    assert served.asked("SELECT count(*) FROM backups") == backups + 1 + backed_up
    assert works.told() == expected, "an event that was accepted is told of once"
    assert in_warehouse(served, warehouse, counted) == [str(before + LOADED)] * 2
    outcomes = f"SELECT outcome, count() FROM campaign_outcomes WHERE campaign_id = {works.campaign} GROUP BY 1"
    assert in_warehouse(served, warehouse, outcomes) == ["sent", str(PEOPLE)]
    assert served.asked("SELECT count(*) FROM imports WHERE state <> 'loaded'") == 0
    assert served.asked("SELECT count(*) FROM trigger_firings WHERE outcome = 'failed'") == 0
    told = [json.loads(line) for line in served.log.read_text()[logged:].splitlines()]
    assert not [line for line in told if "exception" in line], "an outage takes a sentence and no traceback"
    about = Counter((line["event"], line.get("tenant_id"), line.get("step")) for line in told)
    assert max(about.values(), default=0) <= time.monotonic() - ended + 2 * OUTAGE_SECONDS + 10, about
