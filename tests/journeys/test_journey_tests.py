"""Tests inside journeys: branches are drawn until a winner is known or its time has come, and then all follow it."""

from collections import Counter
from datetime import UTC, timedelta
from typing import Any

import pytest
from journey_world import DAY, customers, journey, members, message
from pydantic import ValidationError
from sqlalchemy import update
from trigger_world import NOW, add_customers, firings, process

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.conditions.interaction_codes import CLICKED
from rapport.errors import Invalid
from rapport.journeys import checking, definitions, reading, testing
from rapport.journeys.models import Journey
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import DecisionGround

PEOPLE = 120
BEGAN = -30  # days, long before the newest data date
LATER = [f"L{n}" for n in range(12)]


def divided(campaigns: list[Series], **test: Any) -> list[dict[str, Any]]:
    """A test of two messages, a week each, and then a wait."""
    branches = [{"share": 0.5, "next": f"offer_{n}"} for n in (1, 2)]
    own = {"metric": "orders", "window_minutes": 7 * DAY, "minimum_customers": 20, **test}
    offers = [{"id": f"offer_{n}", "kind": "message", "campaign_id": campaigns[n - 1].id} for n in (1, 2)]
    return [{"id": "offer", "kind": "test", "branches": branches, **own}, *offers]


def began(scope: Scope, campaigns: list[Series], re_entry: str = "once", **test: Any) -> Journey:
    """A journey that people came into 30 days ago."""
    scope.clock.set(NOW + timedelta(days=BEGAN))
    made = journey(scope, *divided(campaigns, **test), entry={"kind": "list"}, re_entry=re_entry)
    definitions.add_members(scope, made.id, [f"P{n}" for n in range(PEOPLE)])
    process(scope, BEGAN * DAY)
    return made


def branches(scope: Scope, made: Journey) -> dict[int, list[str]]:
    """The customers of each branch."""
    drawn: dict[int, list[str]] = {1: [], 2: []}
    for customer_id, member in members(scope, made).items():
        if customer_id.startswith("P"):
            (step, *_) = reading.way(scope, made.id, member.id).steps
            drawn[int(step.result.removeprefix("branch "))].append(customer_id)
    return drawn


def order(scope: Scope, bought: list[tuple[str, float, float]]) -> None:
    """Orders of customers, so many days after they came in, of an amount."""
    start = NOW + timedelta(days=BEGAN)
    rows = [
        (f"T{who}{days}", who, (start + timedelta(days=days)).astimezone(scope.time_zone).replace(tzinfo=UTC), amount)
        for who, days, amount in bought
    ]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)


def status_of(scope: Scope, made: Journey) -> testing.JourneyTestStatus:
    stored, body = definitions.journey(scope, made.id)
    return testing.statuses(scope, made.id, stored.version, body)["offer"]


def follow(scope: Scope, made: Journey, minutes: float) -> Counter[str]:
    """More customers come in: where the test led them."""
    definitions.add_members(scope, made.id, LATER)
    process(scope, minutes)
    ways = [reading.way(scope, made.id, members(scope, made)[who].id) for who in LATER]
    return Counter(way.steps[0].result for way in ways)


@pytest.fixture
def campaigns(world: Scope) -> list[Series]:
    add_customers(world, [{"customer_id": who} for who in [*(f"P{n}" for n in range(PEOPLE)), *LATER]])
    return [message(world), message(world)]


def test_whoever_comes_after_a_winner_is_known_follows_it(world: Scope, campaigns: list[Series]) -> None:
    made = began(world, campaigns)
    drawn = branches(world, made)
    assert sorted(customers(world, campaigns[0])) == sorted(drawn[1]) and min(map(len, drawn.values())) >= 40
    order(world, [(who, 2, 10) for who in drawn[2][:30]] + [(who, 2, 10) for who in drawn[1][:2]])
    order(world, [(drawn[1][9], 8, 10), (drawn[1][8], -1, 10), (drawn[2][0], 3, 5)])  # too late, before, again
    process(world, (BEGAN + 3) * DAY)
    assert status_of(world, made).winner is None and status_of(world, made).branches[0].measured == 0
    process(world, 0)
    decided = status_of(world, made)
    assert (decided.winner, decided.ground, decided.decided_at) == (2, DecisionGround.KNOWN, NOW)
    first, second = decided.branches
    assert (first.customers, first.measured, first.responders, first.value) == (len(drawn[1]), len(drawn[1]), 2, 20.0)
    assert (second.measured, second.responders, second.value) == (len(drawn[2]), 30, 305.0)
    assert (first.rate, second.rate) == (2 / len(drawn[1]), 30 / len(drawn[2]))
    assert first.interval is not None and first.interval[1] < 0 and second.interval is None
    assert follow(world, made, 60) == {"winner 2": len(LATER)}
    assert set(LATER) < set(customers(world, campaigns[1]))

    # Whatever is known later, nobody chooses again.
    order(world, [(who, 4, 10) for who in drawn[1]])
    with world.records() as session:
        session.execute(update(Journey).where(Journey.id == made.id).values(tests_at=NOW))
    process(world, 120)
    assert status_of(world, made) == decided


def test_the_best_branch_wins_when_the_time_is_over(world: Scope, campaigns: list[Series]) -> None:
    """What the customers of a branch spend decides, however few of them order."""
    made = began(world, campaigns, metric="value", when_known=False, decide_after_minutes=31 * DAY)
    drawn = branches(world, made)
    order(world, [(who, 2, 10) for who in drawn[2][:3]] + [(who, 2, 200) for who in drawn[1][:2]])
    process(world, 0)
    waiting = status_of(world, made)
    assert (waiting.winner, waiting.decision_at) == (None, NOW + timedelta(days=1))
    assert waiting.branches[0].value == 400.0
    assert set(follow(world, made, 1)) == {"branch 1", "branch 2"}
    process(world, 1 * DAY)
    decided = status_of(world, made)
    assert (decided.winner, decided.ground, decided.branches[0].customers) == (
        1,
        DecisionGround.BEST,
        len(drawn[1]) + 6,
    )


def test_equally_good_branches_and_too_few_customers(world: Scope, campaigns: list[Series]) -> None:
    made = began(world, campaigns, decide_after_minutes=8 * DAY, minimum_customers=100)
    process(world, 0)
    assert status_of(world, made).winner is None
    body = definitions.journey(world, made.id)[1]
    (step, *others) = body.steps
    fewer = body.model_copy(update={"steps": [step.model_copy(update={"minimum_customers": 1}), *others]})
    definitions.update_journey(world, made.id, fewer, 1)
    assert status_of(world, made).branches[0].customers == 0  # each version has a test of its own
    definitions.add_members(world, made.id, LATER)
    process(world, 1)
    process(world, 1 + 9 * DAY)
    assert status_of(world, made).winner is None  # no data of these days are there
    for version in (1, 2):
        assert all(test.version == version for test in testing.statuses(world, made.id, version, fewer).values())


def test_clicks_in_messages_of_the_journey(world: Scope, campaigns: list[Series]) -> None:
    made = began(world, campaigns, re_entry="unlimited", metric="clicks", window_minutes=DAY)
    drawn = branches(world, made)
    of_customers = {firing.customer_id: firing for firing in firings(world)}
    columns = ["delivery_date", "campaign_id", "customer_id", "event_id", "interaction_at"]
    clicked = [(who, 1) for who in drawn[1][:35]] + [(who, 1) for who in drawn[2][:3]] + [(drawn[2][4], 25)]
    rows = [
        [of_customers[who].fired_at.date(), of_customers[who].campaign_id, who, CLICKED,
         of_customers[who].fired_at + timedelta(hours=hours)]
        for who, hours in clicked
    ]  # fmt: skip
    world.warehouse.insert("campaign_interactions", columns, rows)
    # Who comes in again counts once, from the first time, in the branch that was drawn then.
    world.clock.set(NOW + timedelta(days=BEGAN, minutes=5))
    definitions.add_members(world, made.id, drawn[1][:5])
    process(world, BEGAN * DAY + 10)
    assert branches(world, made) == drawn
    process(world, (BEGAN + 2) * DAY)
    decided = status_of(world, made)
    assert [(branch.measured, branch.responders, branch.value) for branch in decided.branches] == [
        (len(drawn[1]), 35, None),
        (len(drawn[2]), 3, None),
    ]
    assert (decided.winner, decided.ground) == (1, DecisionGround.KNOWN)
    numbers = reading.numbers(world, made.id)
    reached = {step.step: step.results for step in numbers.steps}["offer"]
    assert reached == {"branch 1": len(drawn[1]) + 5, "branch 2": len(drawn[2])}


def test_warnings_and_what_cannot_be_tested(world: Scope, campaigns: list[Series]) -> None:
    steps = divided(campaigns)
    base = {"name": "Refused", "entry": {"kind": "list"}}

    def body(**test: Any) -> JourneyBody:
        return JourneyBody.model_validate({**base, "steps": [{**steps[0], **test}, *steps[1:]]})

    assert checking.warnings(world, body(metric="clicks")) == []
    for test, fault in (
        ({"when_known": False}, "decide_after_minutes must be set"),
        ({"decide_after_minutes": 7 * DAY}, "decide_after_minutes must be greater than window_minutes"),
        ({"metric": "opens"}, "metric"),
    ):
        with pytest.raises(ValidationError, match=fault):
            body(**test)
    with pytest.raises(Invalid, match="shares that add up to 1"):
        definitions.create_journey(world, body(branches=[{"share": 0.5, "next": "offer_1"}] * 2 + steps[0]["branches"]))
    with pytest.raises(Invalid, match="cannot be reached"):
        definitions.create_journey(world, body(branches=[{"share": 0.5, "next": "offer_1"}] * 2))
