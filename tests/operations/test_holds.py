"""A copy is silent: nothing goes out of it until it is told to be the real one."""

import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.campaigns.cycle.scheduler import HELD_SECONDS, Scheduler
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.errors import Withheld
from rapport.realtime.matching.processor import Processor
from rapport.stores import Stores, holds
from rapport.stores.workers.claiming import ClaimingWorker
from rapport.stores.workers.listening import Topic


class Looker(ClaimingWorker):
    """Counts how often it is let take."""

    name = "looker"
    topic = Topic.DELIVERIES
    poll = 0.05

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, threads=1)
        self.looked = 0

    async def take(self) -> None:
        self.looked += 1

    async def opened(self) -> None:
        """Nothing."""

    async def closed(self) -> None:
        """Nothing."""


@pytest.fixture
def held(stores: Stores) -> Iterator[None]:
    holds.hold(stores.records, stores.clock.now())
    yield
    holds.resume(stores.records)


def mail_channel(scope: Scope) -> Channel:
    return channels.create_channel(scope, f"Mail {time.time_ns()}", "email", settings={"host": "127.0.0.1", "port": 25})


def test_nothing_is_taken_sent_or_scheduled_while_it_is_held(
    stores: Stores, scope: Scope, held: None, api: httpx.Client
) -> None:
    assert "since a restore on" in str(holds.why_held(stores))
    with pytest.raises(Withheld, match="rapport resume"):
        opening.transport(scope, mail_channel(scope))
    assert Scheduler(stores).look() == HELD_SECONDS
    looker, processor = Looker(stores), Processor(stores)
    looker.start()
    processor.start()
    time.sleep(1)
    assert looker.looked == 0
    with stores.records.reading() as connection:
        leads = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7100 AND objid = 1"
        assert connection.execute(text(leads)).scalar_one() == 0
    assert api.get("/manage/v1/channels").status_code == 200
    holds.resume(stores.records)
    deadline = time.monotonic() + 30
    while not looker.looked:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    looker.stop()
    processor.stop()
    assert Scheduler(stores).look() != HELD_SECONDS
    opening.transport(scope, mail_channel(scope)).close()


def test_a_process_that_is_told_to_send_nothing(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not holds.is_held(stores)
    monkeypatch.setattr(stores.settings, "outbound", "off")
    assert holds.is_held(stores)
