"""Feeds change the inventory: what a call may hold, what it leaves, and what is refused with which words."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from feed import PATH, TENNIS, Feed
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.messaging.topics import brand_groups
from rapport.realtime.retention import Purge
from rapport.sports import storing

NUMBERS = itertools.count(1)


@pytest.fixture
def feed(scope: Scope, base_url: str) -> Iterator[Feed]:
    """A brand with nothing in it."""
    made = Feed(scope, base_url, f"Brand {next(NUMBERS)}")
    with made.client:
        yield made


@pytest.fixture
def tennis(feed: Feed) -> Feed:
    """A brand with a tennis match."""
    feed.done("POST", *TENNIS)
    return feed


def test_records_of_all_kinds_are_kept_as_they_were_sent(tennis: Feed) -> None:
    records = tennis.records()
    assert {key: (record["kind"], record["parent_kind"], record["parent_key"]) for key, record in records.items()} == {
        "tennis": ("Category", "", ""),
        "intl": ("Class", "Category", "tennis"),
        "open-1": ("Type", "Class", "intl"),
        "ev-1": ("Event", "Type", "open-1"),
        "mk-1": ("Market", "Event", "ev-1"),
        "sl-1": ("Selection", "Market", "mk-1"),
        "sl-2": ("Selection", "Market", "mk-1"),
    }
    assert records["ev-1"]["starts_at"] == "2030-05-06T12:00:00Z"
    assert records["ev-1"]["members"] == {**TENNIS[3], "eventDateTime": "2030-05-06T12:00:00Z"}
    assert records["mk-1"]["members"] == TENNIS[4]


def test_put_merges_and_null_clears(tennis: Feed) -> None:
    tennis.done("PUT", {"eventKey": "ev-1", "isEventStarted": True, "eventStatus": None})
    event = tennis.records()["ev-1"]["members"]
    assert event["isEventStarted"] is True
    assert event["eventName"] == "Player A v Player B"
    assert "eventStatus" not in event


def test_post_replaces(tennis: Feed) -> None:
    tennis.done("POST", {"eventKey": "ev-1", "typeKey": "open-1", "homeName": "A"})
    event = tennis.records()["ev-1"]
    assert event["members"] == {"eventKey": "ev-1", "typeKey": "open-1", "homeName": "A"}
    assert (event["parent_key"], event["starts_at"]) == ("open-1", None)
    assert tennis.log(last_call=2, limit=1) == [(2, 0, "ev-1", "updated")]


def test_a_record_whose_parent_is_cleared_hangs_on_the_next_that_it_names(tennis: Feed) -> None:
    tennis.done("PUT", {"eventKey": "ev-1", "typeKey": None})
    event = tennis.records()["ev-1"]
    assert (event["parent_kind"], event["parent_key"]) == ("Class", "intl")
    tennis.done("POST", {"typeKey": "solo", "categoryKey": "tennis"}, {"eventKey": "ev-2", "typeKey": "solo"})
    tennis.done("PUT", {"eventKey": "ev-2", "classKey": "nowhere"})
    fault = tennis.refused("PUT", [{"eventKey": "ev-2", "typeKey": None}])
    assert fault.startswith("[0].classKey: the Class 'nowhere' is neither stored nor earlier in the request")
    assert tennis.records()["ev-2"]["parent_key"] == "solo"


def test_the_changes_of_a_call_are_made_in_order(feed: Feed) -> None:
    feed.done(
        "POST",
        {"categoryKey": "a", "categoryName": "First", "displayOrder": 1},
        {"eventKey": "e", "categoryKey": "a"},
        {"categoryKey": "a", "categoryName": "Second"},
    )
    assert feed.records()["a"]["members"] == {"categoryKey": "a", "categoryName": "Second"}
    feed.done("PUT", {"categoryKey": "a", "displayOrder": 5}, {"categoryKey": "a", "categoryName": "Third"})
    assert feed.records()["a"]["members"] == {"categoryKey": "a", "categoryName": "Third", "displayOrder": 5}


def test_keys_are_of_a_kind_and_of_an_event(feed: Feed) -> None:
    feed.done(
        "POST",
        {"categoryKey": "x"},
        {"eventKey": "x", "categoryKey": "x"},
        {"eventKey": "y", "categoryKey": "x"},
        {"marketKey": "x", "eventKey": "x"},
        {"marketKey": "x", "eventKey": "y"},
    )
    feed.done("DELETE", {"marketKey": "x", "eventKey": "y"})
    assert [(record["kind"], record["event_key"], record["record_key"]) for record in feed.listed("records")] == [
        ("Category", "", "x"),
        ("Event", "", "x"),
        ("Event", "", "y"),
        ("Market", "x", "x"),
    ]


def test_what_is_below_a_deleted_record_goes_with_it(tennis: Feed) -> None:
    tennis.done("POST", {"eventKey": "ev-9", "typeKey": "open-1"}, {"marketKey": "mk-1", "eventKey": "ev-9"})
    tennis.done("DELETE", {"eventKey": "ev-1", "anything": "else"}, {"eventKey": "ev-404"}, {"eventKey": "ev-1"})
    assert sorted(tennis.records()) == ["ev-9", "intl", "mk-1", "open-1", "tennis"]
    assert tennis.log(limit=3) == [(3, 0, "ev-1", "deleted"), (3, 1, "ev-404", "unknown"), (3, 2, "ev-1", "unknown")]


def test_what_is_unknown_is_passed_over_and_logged(tennis: Feed) -> None:
    tennis.done("PUT", {"eventKey": "nowhere", "eventName": "?"}, {"eventKey": "ev-1", "eventName": "!"})
    assert "nowhere" not in tennis.records()
    assert tennis.log(outcome="unknown") == [(2, 0, "nowhere", "unknown")]
    assert tennis.log(record_key="ev-1") == [(2, 1, "ev-1", "updated"), (1, 3, "ev-1", "created")]
    assert tennis.log(last_call=1, record_key="sl-2") == [(1, 6, "sl-2", "created")]


@pytest.mark.parametrize(
    ("method", "record", "fault"),
    [
        ("POST", 7, "[0] must be an object."),
        ("POST", {"name": "x"}, "[0] must have one of categoryKey, classKey, typeKey, eventKey, marketKey, selec"),
        ("POST", {"categoryKey": ""}, "[0].categoryKey must be a text of 1 to 200 characters."),
        ("POST", {"categoryKey": 7}, "[0].categoryKey must be a text of 1 to 200 characters."),
        ("POST", {"categoryKey": "k" * 201}, "[0].categoryKey must be a text of 1 to 200 characters."),
        ("POST", {"classKey": "c"}, "[0].categoryKey is required for a Class."),
        ("PUT", {"typeKey": "c"}, "[0].categoryKey is required for a Type."),
        ("POST", {"marketKey": "m"}, "[0].eventKey is required for a Market."),
        ("DELETE", {"selectionKey": "m"}, "[0].eventKey is required for a Selection."),
        ("POST", {"categoryKey": "c", "displayStatus": "Hidden"}, "[0].displayStatus must be Displayed or NotDisp"),
        ("POST", {"categoryKey": "c", "displayOrder": 2**31}, "[0].displayOrder must be a whole number from -214"),
        ("POST", {"categoryKey": "c", "displayOrder": True}, "[0].displayOrder must be a whole number from -214"),
        ("POST", {"categoryKey": "c", "extra": []}, "[0].extra must be an object."),
        ("POST", {"categoryKey": "c", "categoryNameTranslated": {"de": 1}}, "[0].categoryNameTranslated must have"),
        ("POST", {"eventKey": "e", "eventDateTime": "2030-05-06"}, "[0].eventDateTime must be an ISO 8601 time"),
        ("POST", {"eventKey": "e", "eventDateTime": 1890000000}, "[0].eventDateTime must be an ISO 8601 time"),
        ("POST", {"eventKey": "e", "isEventStarted": "yes"}, "[0].isEventStarted must be true or false."),
        ("POST", {"eventKey": "e", "eventStatus": "Open"}, "[0].eventStatus must be Active or Inactive."),
        ("POST", {"selectionKey": "s", "eventKey": "e", "decPrice": 0.5}, "[0].decPrice must be a number from 1"),
        ("POST", {"selectionKey": "s", "eventKey": "e", "numPrice": 5}, "[0].denPrice is required with numPrice."),
        ("POST", {"selectionKey": "s", "eventKey": "e", "numPrice": 5, "denPrice": 0}, "[0].denPrice must be a whole"),
        ("POST", {"eventKey": "e", "typeKey": "t"}, "[0].typeKey: the Type 't' is neither stored nor earlier"),
    ],
)
def test_the_first_fault_is_named_by_record_and_member(feed: Feed, method: str, record: Any, fault: str) -> None:
    assert feed.refused(method, [record]).startswith(fault)


def test_a_call_with_one_fault_stores_nothing(tennis: Feed) -> None:
    records = [{"categoryKey": "golf"}, {"eventKey": "ev-2", "typeKey": "nowhere"}]
    assert tennis.refused("POST", records).startswith("[1].typeKey: the Type 'nowhere' is")
    records = [{"categoryKey": "golf"}, {"marketKey": "m", "eventKey": "late"}, {"eventKey": "late"}]
    assert tennis.refused("POST", records).startswith("[1].eventKey: the Event 'late' is neither stored")
    faults = [{"categoryKey": "golf"}, {"categoryKey": 1}, {"eventKey": "e", "isEventFinished": 0}]
    told = tennis.refused("POST", faults)
    assert told == "[1].categoryKey must be a text of 1 to 200 characters. [2].isEventFinished must be true or false."
    assert len(tennis.records()) == len(TENNIS)
    assert {call for call, *_ in tennis.log()} == {1}


@pytest.mark.parametrize("body", [{}, [], [{"categoryKey": "c"}] * 501])
def test_a_body_has_1_to_500_records(feed: Feed, body: Any) -> None:
    assert feed.refused("POST", body) == "The body must be an array of 1 to 500 records."


def test_a_body_that_is_no_json_is_refused(feed: Feed) -> None:
    for body in (b"[{", b'[{"categoryKey": "a\\u0000"}]', b'[{"categoryKey": "\\ud800"}]'):
        answer = feed.client.post(PATH, content=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Validation failed")


def test_500_records_are_stored_in_a_call(feed: Feed) -> None:
    events = [{"eventKey": f"e{number}", "categoryKey": "c"} for number in range(499)]
    feed.done("POST", {"categoryKey": "c"}, *events)
    assert len(feed.listed("records", limit=1000)) == 500


def test_keys_of_the_call_and_of_the_brand_decide(feed: Feed, scope: Scope, base_url: str) -> None:
    client, body = feed.client, [{"categoryKey": "c"}]

    def status(**headers: str) -> int:
        wanted = {name: value for name, value in {**client.headers, **headers}.items() if value}
        answer = httpx.post(base_url + PATH, json=body, headers=wanted)
        assert "message" in answer.json()["error"]
        return answer.status_code

    other = create_tenant(scope.stores, f"other-{next(NUMBERS)}", "Europe/Berlin", "EUR")
    others_brand = brand_groups.create_brand_group(other, "Other", {}).id
    _, vendor = keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
    _, reader = keys.create_key(scope, "reader", "reader@example.com", "Admin", rights="read")
    assert status(**{"x-api-key": ""}) == 401
    assert status(**{"x-api-key": "rap_" + "x" * 43}) == 401
    assert status(**{"x-brand-key": ""}) == 401
    assert status(**{"x-brand-key": "brand"}) == 403
    assert status(**{"x-brand-key": others_brand}) == 403
    assert status(**{"x-api-key": vendor}) == 403
    assert status(**{"x-api-key": reader}) == 403
    assert feed.listed("records") == []
    assert client.get("/manage/v1/sports/records", params={"brand": others_brand}).status_code == 404


def test_brands_and_tenants_have_inventories_of_their_own(tennis: Feed, scope: Scope, base_url: str) -> None:
    other = create_tenant(scope.stores, f"other-{next(NUMBERS)}", "Europe/Berlin", "EUR")
    for neighbour in (Feed(scope, base_url, f"Brand {next(NUMBERS)}"), Feed(other, base_url, "Other")):
        with neighbour.client:
            assert neighbour.refused("POST", [{"eventKey": "ev-2", "typeKey": "open-1"}]).startswith("[0].typeKey")
            neighbour.done("POST", {"eventKey": "ev-1", "eventName": "Theirs"})
            neighbour.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": 9})
            neighbour.done("DELETE", {"categoryKey": "tennis"})
            assert sorted(neighbour.records()) == ["ev-1"]
    assert tennis.records()["ev-1"]["members"]["eventName"] == "Player A v Player B"
    assert tennis.records()["sl-1"]["odds"]["decimal"] == 2.25


def test_calls_about_one_record_lose_none_of_their_changes(tennis: Feed) -> None:
    names = ("homeName", "awayName", "eventSort", "participants")
    records = [{"eventKey": "ev-1", name: name} for name in names] * 3
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda record: tennis.send("PUT", [record]), records))
    assert {answer.status_code for answer in answers} == {202}
    event = tennis.records()["ev-1"]["members"]
    assert all(event[name] == name for name in names)
    assert [call for call, *_ in tennis.log(record_key="ev-1")] == list(range(13, 0, -1))


def test_no_child_is_left_when_its_parent_goes_at_once(feed: Feed) -> None:
    feed.done("POST", {"categoryKey": "c"})

    def turn(number: int) -> int:
        record = {"categoryKey": "c"} if number % 2 else {"eventKey": f"e{number}", "categoryKey": "c"}
        return feed.send("DELETE" if number % 2 else "POST", [record]).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(turn, range(8))) <= {202, 400}
    assert feed.records() == {}


def test_the_newest_calls_are_kept(tennis: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_CALLS", 2)
    for number in range(3):
        tennis.done("PUT", {"eventKey": "ev-1", "displayOrder": number})
    assert [call for call, *_ in tennis.log()] == [4, 3]


def test_what_is_old_or_of_no_brand_goes(tennis: Feed, scope: Scope, base_url: str) -> None:
    now = scope.clock.now()
    left = Feed(scope, base_url, f"Brand {next(NUMBERS)}")
    try:
        left.done("POST", {"eventKey": "e"}, {"selectionKey": "s", "eventKey": "e", "decPrice": 3})
        scope.clock.set(now + timedelta(days=8))
        tennis.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": 3})
        scope.clock.set(now + timedelta(days=91))
        brand_groups.delete_brand_group(scope, left.brand)
        while Purge(scope.stores).portion():
            pass
        assert [price["decimal"] for price in prices(tennis, "sl-1")] == [3]
        assert prices(tennis, "sl-2") == []
        assert {call for call, *_ in tennis.log()} == {2}
        tennis.done("PUT", {"eventKey": "ev-1", "displayOrder": 1})
        assert {call for call, *_ in tennis.log()} == {3, 2}
    finally:
        left.client.close()
        scope.clock.set(None)
    with scope.records() as session:
        for table in ("sports_records", "sports_prices", "sports_calls"):
            counted = text(f"SELECT count(*) FROM {table} WHERE brand_group_id = :brand")
            assert session.scalar(counted, {"brand": left.brand}) == 0


def prices(feed: Feed, selection: str) -> list[dict[str, Any]]:
    """The prices of a selection of the tennis match."""
    return feed.listed("prices", event_key="ev-1", selection_key=selection)
