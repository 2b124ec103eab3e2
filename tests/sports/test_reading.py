"""The inventory as it is read: filters, the state of what is above a record, odds in three forms, prices that were."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from feed import TENNIS, Feed

from rapport.access.scope import Scope
from rapport.sports import storing, tree

NUMBERS = itertools.count(1)


@pytest.fixture
def feed(scope: Scope, base_url: str) -> Iterator[Feed]:
    """A brand with a tennis match."""
    made = Feed(scope, base_url, f"Brand {next(NUMBERS)}")
    with made.client:
        made.done("POST", *TENNIS)
        yield made


def states(feed: Feed) -> dict[str, tuple[bool, bool]]:
    """Whether each record is shown and active."""
    return {key: (record["shown"], record["active"]) for key, record in feed.records().items()}


def test_status_comes_from_everything_above(feed: Feed) -> None:
    assert set(states(feed).values()) == {(True, True)}
    feed.done("PUT", {"typeKey": "open-1", "categoryKey": "tennis", "displayStatus": "NotDisplayed"})
    feed.done("PUT", {"marketKey": "mk-1", "eventKey": "ev-1", "marketStatus": "Inactive"})
    assert states(feed) == {
        "tennis": (True, True),
        "intl": (True, True),
        "open-1": (False, True),
        "ev-1": (False, True),
        "mk-1": (False, False),
        "sl-1": (False, False),
        "sl-2": (False, False),
    }
    assert sorted(feed.records(shown=True)) == ["intl", "tennis"]
    assert sorted(feed.records(active=False)) == ["mk-1", "sl-1", "sl-2"]
    feed.done("PUT", {"typeKey": "open-1", "categoryKey": "tennis", "displayStatus": None})
    assert states(feed)["ev-1"] == (True, True)


def test_records_are_filtered(feed: Feed) -> None:
    later = "2030-06-01T12:00:00Z"
    feed.done(
        "POST",
        {"eventKey": "ev-2", "typeKey": "open-1", "eventName": "100% C_D", "eventDateTime": later, "displayOrder": 9},
        {"eventKey": "ev-3", "categoryKey": "tennis", "displayOrder": -1},
    )
    assert sorted(feed.records(kind="Selection")) == ["sl-1", "sl-2"]
    assert list(feed.records(kind="Event")) == ["ev-3", "ev-2", "ev-1"]
    assert sorted(feed.records(parent_kind="Type", parent_key="open-1")) == ["ev-1", "ev-2"]
    assert sorted(feed.records(event_key="ev-1")) == ["mk-1", "sl-1", "sl-2"]
    assert list(feed.records(search="spielerin a GEGEN")) == ["ev-1"]
    assert list(feed.records(search="0% c_")) == ["ev-2"]
    assert list(feed.records(search="%")) == ["ev-2"]
    assert list(feed.records(starts_from="2030-05-06T12:00:00Z", starts_to=later)) == ["ev-1"]
    assert list(feed.records(starts_from="2030-05-06T12:00:01Z")) == ["ev-2"]


def test_a_page_says_how_many_there_are(feed: Feed) -> None:
    answer = feed.client.get("/manage/v1/sports/records", params={"brand": feed.brand, "limit": 2, "offset": 5})
    assert [record["record_key"] for record in answer.json()] == ["sl-1", "sl-2"]
    assert answer.headers["X-Total-Count"] == "7"


@pytest.mark.parametrize(
    ("sent", "decimal", "fractional", "american"),
    [
        ({"decPrice": 2.25}, 2.25, "5/4", 125),
        ({"numPrice": 5, "denPrice": 4}, 2.25, "5/4", 125),
        ({"numPrice": 4, "denPrice": 9}, 1.4444, "4/9", -225),
        ({"decPrice": 2}, 2.0, "1/1", 100),
        ({"decPrice": 1.01}, 1.01, "1/100", -10000),
        ({"decPrice": 1.3333}, 1.3333, "1/3", -300),
        ({"decPrice": 1}, 1.0, "0/1", None),
        ({"decPrice": 1001}, 1001.0, "1000/1", 100000),
        ({"numPrice": 10, "denPrice": 11, "decPrice": 1.91}, 1.91, "10/11", -110),
        ({"numPrice": 2, "denPrice": 4}, 1.5, "2/4", -200),
    ],
)
def test_whichever_odds_come_the_others_follow(
    feed: Feed, sent: dict[str, Any], decimal: float, fractional: str, american: int | None
) -> None:
    feed.done("POST", {"selectionKey": "sl", "eventKey": "ev-1", **sent})
    record = feed.records()["sl"]
    assert record["odds"] == {"decimal": decimal, "fractional": fractional, "american": american}
    numerator, denominator = map(int, fractional.split("/"))
    members = record["members"]
    assert (members["numPrice"], members["denPrice"], members["decPrice"]) == (numerator, denominator, decimal)


def test_one_form_replaces_the_price_and_null_removes_it(feed: Feed) -> None:
    def odds(**members: Any) -> Any:
        feed.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", **members})
        price = feed.records()["sl-1"]["odds"]
        return price and (price["decimal"], price["fractional"])

    assert odds(decPrice=3) == (3.0, "2/1")
    assert odds(numPrice=3) == (4.0, "3/1")
    assert odds(denPrice=2) == (2.5, "3/2")
    assert odds(selectionName="A") == (2.5, "3/2")
    assert odds(decPrice=None) is None
    assert odds(selectionName="B") is None
    fault = feed.refused("PUT", [{"selectionKey": "sl-1", "eventKey": "ev-1", "numPrice": 3}])
    assert fault == "[0].denPrice is missing: a fraction needs both."
    assert odds(numPrice=7, denPrice=2, decPrice=4.51) == (4.51, "7/2")


def test_each_price_that_a_selection_has_had_is_kept(feed: Feed, scope: Scope) -> None:
    begun = scope.clock.now()
    try:
        for minutes, price in enumerate((2.5, 2.5, 2.0, None), start=1):
            scope.clock.set(begun + timedelta(minutes=minutes))
            feed.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": price})
    finally:
        scope.clock.set(None)
    prices = feed.listed("prices", event_key="ev-1", selection_key="sl-1")
    told = [(price["decimal"], price["fractional"], price["american"]) for price in prices]
    assert told == [(None, None, None), (2.0, "1/1", 100), (2.5, "3/2", 150), (2.25, "5/4", 125)]
    assert [price["at"] for price in prices] == sorted((price["at"] for price in prices), reverse=True)


def test_the_newest_prices_are_kept(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_PRICES", 3)
    for price in (3, 4, 5, 6):
        feed.done("PUT", {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": price})
    prices = feed.listed("prices", event_key="ev-1", selection_key="sl-1")
    assert [price["decimal"] for price in prices] == [6, 5, 4]


def test_words_that_are_not_known_are_refused(feed: Feed) -> None:
    for asked in ({"kind": "Sport"}, {"limit": 0}, {"starts_from": "soon"}, {"colour": "red"}):
        answer = feed.client.get("/manage/v1/sports/records", params={"brand": feed.brand, **asked})
        assert answer.status_code == 400
        assert next(iter(asked)) in answer.json()["detail"]
    assert feed.client.get("/manage/v1/sports/records").status_code == 400


def grown(nodes: list[Any]) -> list[Any]:
    """The keys of a tree, each with those below it."""
    return [(node["record_key"], grown(node["children"])) if node["children"] else node["record_key"] for node in nodes]


def test_the_inventory_is_a_tree(feed: Feed) -> None:
    feed.done(
        "POST",
        {"categoryKey": "golf", "displayOrder": 1},
        {"eventKey": "ev-2", "typeKey": "open-1", "eventDateTime": "2030-01-01T00:00:00Z"},
        {"marketKey": "mk-2", "eventKey": "ev-2"},
        {"selectionKey": "sl-3", "eventKey": "ev-1"},
    )
    feed.done("PUT", {"classKey": "intl", "categoryKey": "tennis", "classStatus": "Inactive"})
    tree = feed.listed("tree", depth=6)
    event = ("ev-1", [("mk-1", ["sl-1", "sl-2"]), "sl-3"])
    assert grown(tree) == ["golf", ("tennis", [("intl", [("open-1", [("ev-2", ["mk-2"]), event])])])]
    competition = tree[1]["children"][0]["children"][0]
    assert (competition["name"], competition["shown"], competition["active"]) == ("Northwind Open", True, False)
    assert grown(feed.listed("tree")) == ["golf", ("tennis", [("intl", ["open-1"])])]
    assert feed.listed("tree")[1]["children"][0]["children"][0]["number_of_children"] == 2
    below = feed.listed("tree", kind="Event", record_key="ev-1")
    assert grown(below) == [event]
    assert below[0]["active"] is below[0]["children"][0]["children"][0]["active"] is False
    assert below[0]["children"][0]["children"][0]["odds"]["american"] == 125
    assert grown(feed.listed("tree", kind="Selection", event_key="ev-1", record_key="sl-3")) == ["sl-3"]


def test_a_tree_that_is_too_large_is_refused(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(**asked: Any) -> int:
        return feed.client.get("/manage/v1/sports/tree", params={"brand": feed.brand, **asked}).status_code

    monkeypatch.setattr(tree, "MOST_NODES", 4)
    assert (status(depth=4), status(depth=5)) == (200, 400)
    assert (status(kind="Event"), status(kind="Event", record_key="ev-404")) == (400, 404)
