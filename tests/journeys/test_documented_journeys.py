"""The journeys of docs/journeys.md do what the page says about them."""

import json
import re
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from journey_world import customers, message
from trigger_world import NOW, add_customers, event, process

from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.campaigns.models import Series
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.customers import event_types
from rapport.journeys import definitions
from rapport.journeys.schemas import JourneyBody

PAGE = (Path(__file__).parents[2] / "docs" / "journeys.md").read_text()
COMMANDS = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", PAGE, re.DOTALL)]
BODIES = {body["name"]: body for body in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))}
BODIES |= {body["name"]: body for body in COMMANDS if "steps" in body}
BERLIN = ZoneInfo("Europe/Berlin")
GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}


@pytest.fixture
def messages(world: Scope) -> list[Series]:
    """What the page takes for granted: campaigns 1 and 2, target groups 1 and 2, the events."""
    event_types.declare_event_type(world, "sign_up", {})
    for name in ("Not ordered for 90 days", "Birthday"):
        groups.create_target_group(world, name, GERMAN)
    made = [message(world), message(world)]
    assert [campaign.id for campaign in made] == [1, 2]
    return made


def test_every_journey_of_the_page_can_be_created(world: Scope, messages: list[Series]) -> None:
    assert sorted(BODIES) == ["Birthday", "Cart rescue", "Welcome series", "Win-back"]
    for body in BODIES.values():
        made = definitions.create_journey(world, JourneyBody.model_validate(body))
        assert definitions.journey(world, made.id)[1].name == body["name"]


def test_the_messages_of_the_page_are_those_of_journeys() -> None:
    bodies: list[dict[str, Any]] = [body for body in COMMANDS if "trigger" in body]
    kinds = [TriggeredBody.model_validate(body).trigger.kind for body in bodies]
    assert kinds == ["journey", "journey"]


def test_birthday_wishes_go_out_in_the_morning(world: Scope, messages: list[Series]) -> None:
    tomorrow = (NOW.astimezone(BERLIN) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    born = {"B1": tomorrow.date().replace(year=1984), "B2": tomorrow.date().replace(year=1984) + timedelta(days=1)}
    add_customers(world, [{"customer_id": name, "DATE_OF_BIRTH": day} for name, day in born.items()])
    definitions.create_journey(world, JourneyBody.model_validate(BODIES["Birthday"]))
    midnight = (tomorrow - NOW) / timedelta(minutes=1)
    process(world, midnight)
    process(world, midnight + 9 * 60 - 1)
    assert not customers(world, messages[0])
    process(world, midnight + 9 * 60)
    assert customers(world, messages[0]) == ["B1"]


def test_a_cart_is_rescued_after_an_hour_and_in_the_evening(world: Scope, messages: list[Series]) -> None:
    definitions.create_journey(world, JourneyBody.model_validate(BODIES["Cart rescue"]))
    for customer in ("C1", "C2"):
        event(world, "add_to_cart", customer)
    process(world, 59)
    assert not customers(world, messages[0])
    process(world, 60)
    assert customers(world, messages[0]) == ["C1", "C2"]
    event(world, "purchase", "C1", minutes=70)
    process(world, 70)
    process(world, 70 + 24 * 60)
    assert customers(world, messages[1]) == ["C2"]


def test_the_better_win_back_message_wins(world: Scope, messages: list[Series]) -> None:
    """A week after 250 customers came in it is known that more of them order after the second message."""
    people = [f"W{number}" for number in range(270)]
    add_customers(world, [{"customer_id": who} for who in people])
    world.clock.set(NOW - timedelta(days=30))
    by_call = {**BODIES["Win-back"], "entry": {"kind": "list"}, "hold_out_share": 0}
    made = definitions.create_journey(world, JourneyBody.model_validate(by_call))
    definitions.add_members(world, made.id, people[:250])
    process(world, -30 * 24 * 60)
    of_a, of_b = (customers(world, campaign) for campaign in messages)
    assert len(of_a) + len(of_b) == 250
    at = (NOW - timedelta(days=28)).astimezone(BERLIN).replace(tzinfo=UTC)
    rows = [[f"T{who}", who, at, 20.0] for who in (*of_a[:5], *of_b[:50])]
    world.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    process(world, -22 * 24 * 60)  # those who did not buy go on, and have not spent enough for the other message
    definitions.add_members(world, made.id, people[250:])
    process(world, -22 * 24 * 60 + 1)
    assert set(people[250:]) <= set(customers(world, messages[1])) and customers(world, messages[0]) == of_a


def test_whoever_signs_up_gets_a_welcome_and_a_reminder_unless_held_out(world: Scope, messages: list[Series]) -> None:
    definitions.create_journey(world, JourneyBody.model_validate(BODIES["Welcome series"]))
    for number in range(20):
        event(world, "sign_up", f"C{number}")
    process(world, 0)
    welcomed = customers(world, messages[0])
    assert 10 <= len(welcomed) < 20
    event(world, "purchase", welcomed[0], minutes=5)
    process(world, 5)
    process(world, 3 * 24 * 60 - 1)
    assert not customers(world, messages[1])
    process(world, 3 * 24 * 60)
    process(world, 7 * 24 * 60)
    assert sorted(customers(world, messages[1])) == sorted(welcomed[1:])
