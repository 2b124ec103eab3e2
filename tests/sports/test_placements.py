"""What placements recommend: open events only, by rules, exclusions, and what customers and all others bet on."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from feed import Feed

from rapport.access.scope import Scope
from rapport.access.service import create_tenant, publish_data_date
from rapport.customers import event_types
from rapport.customers.activity import add_activity
from rapport.persons import service as persons
from rapport.placements import ranking
from rapport.placements.betting import Activity, Bet
from rapport.placements.crowd import EVERYBODY, Crowd
from rapport.sports.offers import OpenEvent

SOON, LATER = "2030-05-06T12:00:00Z", "2030-06-06T12:00:00Z"
INVENTORY: list[dict[str, Any]] = [
    {"categoryKey": "tennis", "categoryName": "Tennis"},
    {"typeKey": "open-1", "categoryKey": "tennis"},
    {"typeKey": "hidden", "categoryKey": "tennis", "displayStatus": "NotDisplayed"},
    {"categoryKey": "13", "categoryName": "Football"},
    {"classKey": "eng", "categoryKey": "13"},
    {"typeKey": "premier", "categoryKey": "13", "classKey": "eng"},
    {"eventKey": "ev-1", "typeKey": "open-1", "eventName": "A v B", "eventDateTime": SOON, "extra": {"court": 1}},
    {"eventKey": "ev-2", "typeKey": "open-1", "homeName": "C", "awayName": "D", "eventDateTime": LATER},
    {"eventKey": "ev-3", "typeKey": "premier", "eventName": "Reds v Blues", "eventDateTime": SOON, "displayOrder": 5},
    {"eventKey": "ev-4", "typeKey": "premier", "eventName": "Greens v Whites", "displayOrder": 1},
    {"eventKey": "ev-under-hidden", "typeKey": "hidden", "eventDateTime": SOON},
    {"eventKey": "ev-started", "typeKey": "open-1", "eventDateTime": SOON, "isEventStarted": True},
    {"eventKey": "ev-finished", "typeKey": "open-1", "isEventFinished": True},
    {"eventKey": "ev-past", "typeKey": "open-1", "eventDateTime": "2020-01-01T12:00:00Z"},
    {"eventKey": "ev-inactive", "typeKey": "open-1", "eventDateTime": SOON, "eventStatus": "Inactive"},
    {"marketKey": "mk-1", "eventKey": "ev-1", "marketName": "Winner"},
    {"marketKey": "mk-2", "eventKey": "ev-1", "marketName": "Sets", "marketStatus": "Inactive"},
    {"selectionKey": "sl-1", "eventKey": "ev-1", "marketKey": "mk-1", "selectionName": "A", "decPrice": 1.5},
    {"selectionKey": "sl-2", "eventKey": "ev-1", "marketKey": "mk-1", "selectionName": "B", "decPrice": 3},
    {"selectionKey": "sl-9", "eventKey": "ev-1", "marketKey": "mk-2", "selectionName": "3", "decPrice": 3},
    {"marketKey": "mk-3", "eventKey": "ev-3", "marketName": "Match result"},
    {"selectionKey": "77", "eventKey": "ev-3", "marketKey": "mk-3", "selectionName": "Reds", "decPrice": 2},
]
REDS = {
    "discipline_key": "13",
    "class_key": "eng",
    "meeting_key": "premier",
    "event_key": "ev-3",
    "market_key": "mk-3",
    "selection_key": "77",
}
A_WINS = {"discipline_key": "tennis", "meeting_key": "open-1", "event_key": "ev-1", "selection_key": "sl-1"}
C_WON = {"discipline_key": "tennis", "meeting_key": "open-1", "event_name": "C v E", "selection_name": "C"}
NUMBERS = itertools.count(1)
HOUR = timedelta(hours=1)


def did(scope: Scope, customer_id: str, name: str, hours_ago: float = 0, prefix: str = "ootb_", **values: str) -> None:
    """File an event of betting activity."""
    properties = {prefix + key: value for key, value in values.items()}
    event_type_id = event_types.ensure(scope, [prefix + name], properties)[prefix + name]
    row = {
        "event_id": f"e{next(NUMBERS)}",
        "event_type_id": event_type_id,
        "customer_id": customer_id,
        "event_at": scope.clock.now() - hours_ago * HOUR,
        "properties": list(properties.items()),
        "visitor_id": "",
        "origin": "server",
        "seq": 0,
    }
    add_activity(scope, [row])


@pytest.fixture(scope="module")
def feed(scope: Scope, base_url: str) -> Iterator[Feed]:
    """A brand with an inventory, and customers who bet."""
    made = Feed(scope, base_url, "Bets")
    for number in range(4):
        did(scope, "Fan", "sports_bet_placed", betslip_key=f"s{number}", event_key=f"old-{number}", **C_WON)
        did(scope, "Fan", "sports_bet_settled", betslip_key=f"s{number}", event_key=f"old-{number}", **C_WON)
    did(scope, "one", "bet_placed", prefix="", **REDS)
    did(scope, "two", "sports_bet_settle", **REDS)
    did(scope, "adder", "added_to_bet_slip", hours_ago=1, **REDS)
    did(scope, "remover", "added_to_betslip", hours_ago=2, prefix="", **REDS)
    did(scope, "remover", "removed_from_betslip", hours_ago=1, prefix="", **REDS)
    did(scope, "three", "add_to_bet_slip", hours_ago=2, **REDS)
    did(scope, "three", "sports_bet_placed", hours_ago=1, **REDS)
    did(scope, "four", "sports_bet_placed", **A_WINS)
    with made.client:
        made.done("POST", *INVENTORY)
        place(made, "events")
        place(made, "selections", level="Selection")
        ask(made, "events")  # what all customers bet on is kept from here on
        yield made


def place(feed: Feed, key: str, rules: dict[str, Any] | None = None, **members: Any) -> None:
    """Save a placement."""
    body = {"name": key, "product": "Sports", "level": "Event", "rules": rules or {}} | members
    answer = feed.client.put(f"/manage/v1/placements/{key}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["key"] == key


def ask(feed: Feed, key: str, customer_id: str = "nobody", category: str | None = None, **exclusions: Any) -> Any:
    """What a placement recommends: the members of the answer's recommendation."""
    context = {"product": "Sports", "page": {"url": "https://example.com"}} | (
        {"category": category} if category else {}
    )
    body = {
        "context": context,
        "userId": customer_id,
        "type": "recommendation",
        "recommendation": {"target": {"exclusions": exclusions}},
    }
    answer = feed.client.post(f"/recommend/v1/placements/{key}/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["recommendation"]


def keys(feed: Feed, *asked: Any, **more: Any) -> list[str]:
    """The keys of what is recommended, in order."""
    items = [next(iter(item.items())) for item in ask(feed, *asked, **more)["result"]]
    return [item[f"{kind}Key"] for kind, item in items]


def test_a_new_customer_gets_what_is_popular_then_by_display_order(feed: Feed) -> None:
    recommendation = ask(feed, "events")
    assert recommendation["explanation"] == {"reason": "popular"}
    events = [item["event"] for item in recommendation["result"]]
    # Three customers placed or settled ev-3, two only added it; one bet on ev-1; ev-4 has a display order.
    assert [event["eventKey"] for event in events] == ["ev-3", "ev-1", "ev-4", "ev-2"]
    assert [event["score"] for event in events] == pytest.approx([3.6, 1, 0, 0], abs=0.01)
    assert [event["rank"] for event in events] == [1, 2, 3, 4]
    assert events[1]["extra"] == {"court": 1}


def test_a_known_customer_gets_what_the_own_bets_tell(feed: Feed) -> None:
    recommendation = ask(feed, "events", "FAN")
    assert recommendation["explanation"] == {"reason": "personal"}
    scores = {item["event"]["eventKey"]: item["event"]["score"] for item in recommendation["result"]}
    # Bets by all customers and three each: ev-1 4, ev-2 3, ev-3 6.6, ev-4 3. Four own bets, five from all.
    # Of seven customers, five have the football league and two the tennis league, none both; 10/7 were to be expected.
    football_of_all = 9.6 / 16.6 * (20 / (20 + 2 * 5 / 7))
    football_share = football_of_all / (football_of_all + 7 / 16.6)
    tennis = (4 + 5 * (1 - football_share)) / 9
    football = 5 * football_share / 9
    # C was in the name of each event, which counts half, and the selection.
    assert scores == pytest.approx(
        {
            "ev-2": 0.7 * tennis * (6 + 5 * 3 / 7) / 11 + 0.3 * 3 / 16.6,
            "ev-1": 0.7 * tennis * (5 * 4 / 7) / 11 + 0.3 * 4 / 16.6,
            "ev-3": 0.7 * football * 6.6 / 9.6 + 0.3 * 6.6 / 16.6,
            "ev-4": 0.7 * football * 3 / 9.6 + 0.3 * 3 / 16.6,
        },
        rel=0.01,
    )
    assert list(scores) == ["ev-2", "ev-3", "ev-1", "ev-4"]
    assert sum(scores.values()) == pytest.approx(1)


def test_what_is_in_the_slip_is_left_out(feed: Feed) -> None:
    assert "ev-3" not in keys(feed, "events", "adder", inBetSlip=True)
    assert "ev-3" in keys(feed, "events", "adder", inBetSlip=False)
    for customer_id in ("remover", "three", "one"):
        assert "ev-3" in keys(feed, "events", customer_id, inBetSlip=True), customer_id
    assert keys(feed, "events", additionalItemList=["sl-2", 77]) == ["ev-4", "ev-2"]


def test_rules_and_the_category_of_the_request(feed: Feed) -> None:
    assert keys(feed, "events", category="FOOTBALL") == keys(feed, "events", category="13") == ["ev-3", "ev-4"]
    place(feed, "rules", {"categories": ["Tennis"]})
    assert keys(feed, "rules") == ["ev-1", "ev-2"]
    place(feed, "rules", {"excluded_categories": ["tennis"]}, most_items=1)
    assert keys(feed, "rules") == ["ev-3"]
    place(feed, "rules", {"order": "start"})
    assert keys(feed, "rules") == ["ev-1", "ev-3", "ev-2", "ev-4"]
    place(feed, "rules", {"order": "display_order"})
    assert keys(feed, "rules") == ["ev-4", "ev-3", "ev-1", "ev-2"]
    place(feed, "rules", {"starts_within_hours": 1})
    assert keys(feed, "rules") == []
    assert ask(feed, "rules")["explanation"] == {"reason": None}


def test_markets_and_selections(feed: Feed) -> None:
    place(feed, "markets", level="Market")
    assert keys(feed, "markets") == ["mk-3", "mk-1"]
    # Of two selections of a market, one: that on which a customer has bet.
    assert keys(feed, "selections") == ["77", "sl-1"]
    place(feed, "odds", {"least_odds": 2, "most_odds": 3}, level="Selection")
    assert keys(feed, "odds") == ["77", "sl-2"]


def test_what_is_refused(feed: Feed) -> None:
    good = {"context": {"product": "Sports"}, "userId": "x", "type": "recommendation"}
    path = "/recommend/v1/placements/events/recommendations"
    for change, fault in (
        ({"context": {"product": "Gaming"}}, "context.product"),
        ({"context": None}, "context must"),
        ({"context": {"product": "Products"}}, "context.product"),
        ({"userId": ""}, "userId"),
        ({"type": "other"}, "type"),
        ({"recommendation": {"target": {"exclusions": {"inBetSlip": "yes"}}}}, "exclusions.inBetSlip"),
        ({"recommendation": {"target": {"exclusions": {"additionalItemList": [True]}}}}, "additionalItemList[0]"),
    ):
        answer = feed.client.post(path, json=good | change)
        assert answer.status_code == 400 and answer.json()["error"]["message"] == "Validation failed", change
        assert fault in answer.json()["error"]["errors"]
    answer = feed.client.post(path.replace("events", "unknown"), json=good)
    assert (answer.status_code, answer.json()) == (404, {"error": {"message": "There is no placement 'unknown'."}})
    assert feed.client.post(path, json=good, headers={"x-brand-key": "x"}).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"product": "Sports", "level": None},
        {"product": "Sports", "level": "Category"},
        {"product": "Products", "level": "Event"},
        {"product": "Products", "level": None, "rules": {"starts_within_hours": 2}},
        {"product": "Sports", "level": "Event", "rules": {"least_odds": 2}},
        {"product": "Sports", "level": "Selection", "rules": {"least_odds": 3, "most_odds": 2}},
    ],
)
def test_rules_that_do_not_go_together(feed: Feed, body: dict[str, Any]) -> None:
    answer = feed.client.put("/manage/v1/placements/bad", json={"name": "bad", **body})
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"
    assert feed.client.get("/manage/v1/placements/bad").status_code == 404


def test_placements_are_listed_and_deleted(feed: Feed) -> None:
    place(feed, "short-lived")
    listed = feed.client.get("/manage/v1/placements").json()
    assert [placement["key"] for placement in listed] == sorted(placement["key"] for placement in listed)
    assert feed.client.delete("/manage/v1/placements/short-lived").status_code == 204
    assert feed.client.delete("/manage/v1/placements/short-lived").status_code == 404


def test_another_tenant_has_neither_placements_nor_activity(feed: Feed, base_url: str) -> None:
    other = Feed(create_tenant(feed.scope.stores, f"other {next(NUMBERS)}", "UTC", "EUR"), base_url, "Bets")
    with other.client:
        other.done("POST", *INVENTORY)
        unknown = other.client.get("/manage/v1/placements/events")
        assert unknown.status_code == 404
        place(other, "events")
        recommendation = ask(other, "events", "Fan")
        assert recommendation["explanation"] == {"reason": "popular"}
        assert [item["event"]["score"] for item in recommendation["result"]] == [0, 0, 0, 0]


def test_an_erased_customer_is_new(feed: Feed) -> None:
    did(feed.scope, "Gone", "sports_bet_placed", **A_WINS)
    assert ask(feed, "events", "gone")["explanation"] == {"reason": "personal"}
    feed.scope.warehouse.insert("customers", ["customer_id"], [("Gone",)])
    persons.erase(feed.scope, "Gone")
    assert ask(feed, "events", "gone")["explanation"] == {"reason": "popular"}


def test_products_are_those_of_the_model_then_the_popular_ones(feed: Feed, scope: Scope) -> None:
    scope.warehouse.insert(
        "products",
        ["product_id", "name", "category", "is_active"],
        [("p1", "One", "Shoes", 1), ("p2", "Two", "Hats", 1), ("p3", "Three", "Shoes", 1), ("p4", "Four", "Shoes", 0)],
    )
    now = scope.clock.now().replace(microsecond=0)
    bought = [(f"t{n}", 1, f"c{n}", now, p, 1.0) for n, p in enumerate(["p3", "p3", "p2", "p4", "p4", "p4"])]
    columns = ["transaction_id", "line_number", "customer_id", "transaction_time", "product_id", "unit_price"]
    scope.warehouse.insert("transaction_items", columns, bought)
    place(feed, "shop", product="Products", level=None)
    path, body = "/recommend/v1/placements/shop/recommendations", {"userId": "buyer", "type": "recommendation"}

    def products(**more: Any) -> list[tuple[str, str]]:
        context = {"product": "Products"} | {name: value for name, value in more.items() if name == "category"}
        exclusions = {name: value for name, value in more.items() if name != "category"}
        whole = body | {"context": context, "recommendation": {"target": {"exclusions": exclusions}}}
        answer = feed.client.post(path, json=whole)
        assert answer.status_code == 200, answer.text
        shown = [item["product"] for item in answer.json()["recommendation"]["result"]]
        return [(product["product_id"], product["basis"]) for product in shown]

    assert products() == [("p3", "popular"), ("p2", "popular")]
    day = scope.today()
    scope.warehouse.insert(
        "product_recommendations",
        ["data_date", "customer_id", "recommendation_type", "priority", "product_id"],
        [(day, "buyer", 1, 1, "p1"), (day, "buyer", 2, 2, "p4"), (day, "buyer", 2, 3, "p2")],
    )
    publish_data_date(scope, day)
    assert products() == [("p1", "personal"), ("p2", "personal"), ("p3", "popular")]
    assert products(category="shoes") == [("p1", "personal"), ("p3", "popular")]
    assert products(additionalItemList=["p1"]) == [("p2", "personal"), ("p3", "popular")]


def test_leagues_that_go_together_are_likelier() -> None:
    events = [OpenEvent(f"{league}-1", ("c", league), frozenset(), None, None, {}) for league in ("x", "y", "z")]
    crowd = Crowd()
    # Of 100 customers, 10 have the seen league, and 50 each other one; 10 of the seen league's were to be expected.
    crowd.together[EVERYBODY] = {EVERYBODY: 100.0, ("c", "seen"): 10.0, **{("c", name): 50.0 for name in "xyz"}}
    crowd.together["c", "seen"] = {("c", "x"): 0.0, ("c", "y"): 10.0, ("c", "z"): 5.0}
    now = datetime(2030, 5, 6, tzinfo=UTC)
    bet = Bet("c", "seen", "old", "", "", "s", "", 1.0, now)
    chances = ranking.event_chances(events, ranking.tastes_of(Activity([bet]), now), crowd)
    total = 20 / 25 + 30 / 25 + 25 / 25
    own = {"x-1": 20 / 25 / total, "y-1": 30 / 25 / total, "z-1": 25 / 25 / total}
    assert chances == pytest.approx({key: 0.7 * share + 0.3 / 3 for key, share in own.items()})
