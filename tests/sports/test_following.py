"""The stream of changes: what it tells, from where it goes on, and when it ends."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from feed import TENNIS, Feed, events
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.api.http.event_streams import Streams
from rapport.api.manage.marketing import sports_changes
from rapport.app import create_app
from rapport.commands.connections import configured
from rapport.sports import storing
from served_app import running

NUMBERS = itertools.count(1)
ELSEWHERE = """
    INSERT INTO sports_calls (tenant_id, brand_group_id, number, at, outcomes)
    VALUES (:tenant, :brand, 2, now(), CAST(:outcomes AS jsonb))
"""


@pytest.fixture
def feed(scope: Scope, base_url: str) -> Iterator[Feed]:
    """A brand with a tennis match."""
    made = Feed(scope, base_url, f"Brand {next(NUMBERS)}")
    with made.client:
        made.done("POST", *TENNIS)
        yield made


def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it does not hold")


def price(feed: Feed, odds: float) -> None:
    feed.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": odds})


def told(changes: Any) -> list[tuple[str, str]]:
    """Keys and outcomes of the records of a call."""
    return [(change["record_key"], change["outcome"]) for change in changes["records"]]


def test_each_call_is_told_of_with_its_records_as_they_are(feed: Feed, scope: Scope, base_url: str) -> None:
    other = Feed(scope, base_url, f"Brand {next(NUMBERS)}")
    with other.client, feed.followed() as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = events(answer)
        assert next(stream) == ("begin", 1, {"call": 1})
        other.done("POST", {"categoryKey": "theirs"})
        price(feed, 3)
        name, number, call = next(stream)
        assert (name, number, call["call"], told(call)) == ("call", 2, 2, [("sl-1", "updated")])
        record = call["records"][0]["record"]
        assert record["odds"] == {"decimal": 3.0, "fractional": "2/1", "american": 200}
        assert (record["kind"], record["shown"], record["active"]) == ("Selection", True, True)
        feed.done("DELETE", {"eventKey": "ev-1"}, {"eventKey": "ev-404"})
        _, _, call = next(stream)
        assert told(call) == [("ev-1", "deleted"), ("ev-404", "unknown")]
        assert [change["record"] for change in call["records"]] == [None, None]


def test_a_stream_goes_on_after_the_last_event_that_is_known(feed: Feed) -> None:
    price(feed, 3)
    price(feed, 4)
    with feed.followed(**{"Last-Event-ID": "1"}) as answer:
        stream = events(answer)
        assert next(stream) == ("begin", 1, {"call": 1})
        assert [next(stream)[1] for _ in range(2)] == [2, 3]


def test_calls_that_are_kept_no_more_are_missed(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_CALLS", 2)
    for odds in (3, 4, 5):
        price(feed, odds)
    for last, name, after in (("1", "missed", 4), ("2", "begin", 2), ("4", "begin", 4), ("5", "missed", 4)):
        with feed.followed(**{"Last-Event-ID": last}) as answer:
            assert next(events(answer)) == (name, after, {"call": after})


def test_calls_that_other_processes_carry_out_are_told_of(feed: Feed, scope: Scope) -> None:
    outcomes = [{"kind": "Event", "event_key": "", "record_key": "gone", "outcome": "deleted"}]
    with feed.followed() as answer:
        stream = events(answer)
        next(stream)
        with scope.records() as session:
            session.execute(
                text(ELSEWHERE), {"tenant": scope.tenant_id, "brand": feed.brand, "outcomes": json.dumps(outcomes)}
            )
            session.execute(text("SELECT pg_notify('rapport_sports', :tenant)"), {"tenant": str(scope.tenant_id)})
        assert told(next(stream)[2]) == [("gone", "deleted")]


def test_more_calls_than_are_told_of_at_once_all_come(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sports_changes, "AT_ONCE", 1)
    for odds in (3, 4):
        price(feed, odds)
    with feed.followed(**{"Last-Event-ID": "0"}) as answer:
        stream = events(answer)
        assert [next(stream)[1] for _ in range(4)] == [0, 1, 2, 3]


def test_a_stream_ends_with_its_key(feed: Feed, scope: Scope, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sports_changes, "CHECKED_SECONDS", 0.0)
    key, secret = keys.create_key(scope, "short", "short@example.com", "Admin", rights="read")
    with feed.followed(**{"X-API-KEY": secret}) as answer:
        stream = events(answer)
        next(stream)
        keys.disable_key(scope, key.id)
        assert list(stream) == []


def test_a_stream_ends_with_who_listens(feed: Feed, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams[int](2, 1)
    monkeypatch.setattr(sports_changes, "STREAMS", streams)
    with feed.followed() as answer:
        stream = events(answer)
        next(stream)
        with feed.followed() as refused:
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")

    def has_room() -> bool:
        with feed.followed() as again:
            return again.status_code == 200

    eventually(has_room)


def test_a_stream_ends_in_order_when_the_server_stops(feed: Feed, scope: Scope) -> None:
    stopping, left = threading.Event(), []

    def listen(url: str) -> None:
        headers = {"X-API-KEY": feed.client.headers["x-api-key"]}
        path = f"{url}/manage/v1/sports/changes"
        with httpx.stream("GET", path, params={"brand": feed.brand}, headers=headers, timeout=60) as answer:
            stream = events(answer)
            next(stream)
            stopping.set()
            left.extend([*stream, "ended"])

    with running(configured(create_app(scope.stores), scope.stores.settings, port=0)) as url:
        listener = threading.Thread(target=listen, args=(url,))
        listener.start()
        assert stopping.wait(60)
    listener.join()
    assert left == ["ended"]


def test_who_may_follow(feed: Feed, scope: Scope, base_url: str) -> None:
    _, vendor = keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
    url = f"{base_url}/manage/v1/sports/changes"

    def status(brand: str, **headers: str) -> int:
        return httpx.get(url, params={"brand": brand}, headers=headers, timeout=60).status_code

    secret = feed.client.headers["x-api-key"]
    assert status(feed.brand) == 401
    assert status(feed.brand, **{"X-API-KEY": vendor}) == 403
    assert status("nowhere", **{"X-API-KEY": secret}) == 404
    assert status(feed.brand, **{"X-API-KEY": secret, "Last-Event-ID": "yesterday"}) == 400
