"""Devices that change hands, visitors who become customers, and ids in alphabets with special lower case."""

from datetime import timedelta
from typing import Any

import pytest
import trigger_world as world
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.campaigns.triggered import definitions
from rapport.realtime import persons
from rapport.realtime.events.owners import Owners, owners

CART: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "window_minutes": 30,
}
GREEK, TURKISH = "ΟΔΟΣ", "İzmir-1"


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    people = [*(f"C{n}" for n in range(60)), GREEK, TURKISH]
    world.fill(scope, [{"customer_id": one} for one in people])


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def owned(scope: Scope, visitor: str) -> Owners:
    with scope.records() as session:
        return owners(scope, session, [visitor])


@pytest.mark.parametrize("together", [False, True])
def test_a_cart_stays_with_who_had_the_device_then(scope: Scope, together: bool) -> None:
    series, device = world.trigger(scope, CART), f"Tablet-{together}"
    world.event(scope, "add_to_cart", visitor=device, amount=5)
    if not together:
        world.process(scope)
    world.identify(scope, device, "C1", 1)
    world.identify(scope, device, "C2", 2)
    world.process(scope, 2)
    world.process(scope, 31)
    assert world.fired(scope, series) == [("C1", "sent", "")]


def test_a_late_event_is_of_who_had_the_device_at_its_time(scope: Scope) -> None:
    series = world.trigger(scope)
    for minutes, customer in ((10, "C3"), (20, "C4"), (30, "C5")):
        world.identify(scope, "Shop", customer, minutes)
    for minutes in (5, 15, 20, 25, 35):
        world.event(scope, "add_to_cart", visitor="Shop", minutes=minutes, received=36)
    world.process(scope, 36)
    assert [who for who, _, _ in world.fired(scope, series)] == ["C3", "C3", "C4", "C4", "C5"]


def test_who_a_device_was_is_told_by_the_senders_times(scope: Scope) -> None:
    for minutes, customer in ((10, "C6"), (20, "c6"), (15, "C7"), (30, "C7"), (5, "C8")):
        world.identify(scope, "Told", customer, minutes)
    found = owned(scope, "Told")
    at = [found.at("Told", world.NOW + timedelta(minutes=n)) for n in (0, 7, 12, 25, 40)]
    assert at == ["C8", "C8", "C6", "C6", "C7"], "what is older than the last word about C6 changes nothing"


def test_messages_stay_with_who_had_them(scope: Scope) -> None:
    series = world.trigger(scope, re_entry="once", visitors=True)
    world.event(scope, "add_to_cart", visitor="Phone")
    world.process(scope)
    world.identify(scope, "Phone", "C9", 1)
    world.identify(scope, "Phone", "C10", 2)
    for customer in ("C9", "C10"):
        world.event(scope, "add_to_cart", customer, 3)
    world.process(scope, 3)
    assert world.fired(scope, series)[1:] == [("C9", "excluded", "fired before"), ("C10", "sent", "")]


def test_visitors_keep_their_group_when_they_are_identified(scope: Scope) -> None:
    groups = [
        {"action_id": 2, "share": 0.5, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}
    ] * 2
    series = world.trigger(scope, visitors=True, control_share=0.4, campaign_type="A/B", groups=groups)
    numbers = range(20, 50)
    for n in numbers:
        world.event(scope, "add_to_cart", visitor=f"Later{n}")
    world.process(scope)
    for n in numbers:
        world.identify(scope, f"Later{n}", f"C{n}", 1)
        world.event(scope, "add_to_cart", f"C{n}", 2)
    world.process(scope, 2)
    found = world.firings(scope, series)
    before = {one.customer_id.removeprefix("Later"): one.recipient_group_id for one in found if one.is_visitor}
    after = {one.customer_id.removeprefix("C"): one.recipient_group_id for one in found if not one.is_visitor}
    assert before == after and set(before.values()) == {0, 1, 2}


# Ids


@pytest.mark.parametrize("customer", [GREEK, TURKISH])
def test_what_a_visitor_did_joins_in_every_alphabet(scope: Scope, customer: str) -> None:
    series = world.trigger(scope, {"kind": "repeated", "event": "page_view", "times": 2, "window_minutes": 30})
    world.event(scope, "page_view", visitor=f"V-{customer}")
    world.process(scope)
    world.identify(scope, f"V-{customer}", customer, 1)
    world.event(scope, "page_view", customer.lower(), 2)
    world.process(scope, 2)
    assert world.fired(scope, series) == [(customer, "sent", "")]


@pytest.mark.parametrize("customer", [GREEK, TURKISH])
def test_an_erasure_finds_every_spelling(scope: Scope, customer: str) -> None:
    series = world.trigger(scope, visitors=True)
    visitor = f"W-{customer}"
    world.event(scope, "add_to_cart", visitor=visitor)
    world.event(scope, "page_view", "C50")
    world.process(scope)
    world.identify(scope, visitor, customer, 1)
    for spelled in (customer, customer.lower()):
        world.event(scope, "purchase", spelled, 2)
    held = persons.held(scope, customer.lower())
    named = {row["customer_id"] for row in held["accepted_events"]}
    assert named >= {customer, customer.lower()} and "C50" not in named
    assert series.id in {row["series_id"] for row in held["trigger_firings"]}
    assert {row["visitor_id"] for row in held["visitors"]} >= {visitor}
    followed: list[str] = []
    persons.forget(scope, customer, followed.append)
    assert f"v:{visitor}" in followed, "the accounts of the visitor are cleared, too"
    assert not any(persons.held(scope, customer.lower()).values())
    assert world.fired(scope, series) == []
    with scope.records() as session:
        left = session.execute(
            text("SELECT count(*) FROM accepted_events WHERE tenant_id = :t AND customer_id = 'C50'"),
            {"t": scope.tenant_id},
        )
        assert left.scalar_one() >= 1
    assert owned(scope, visitor).first(visitor) == ""


def test_an_erasure_leaves_what_others_did_on_the_same_device(scope: Scope) -> None:
    series = world.trigger(scope, visitors=True)
    world.event(scope, "add_to_cart", visitor="Family")
    world.process(scope)
    world.identify(scope, "Family", "C51", 1)
    world.identify(scope, "Family", "C52", 2)
    persons.forget(scope, "C52", lambda name: None)
    assert world.fired(scope, series) == [("Family", "sent", "")], "what was done before C51 was known is of C51"
    assert owned(scope, "Family").first("Family") == "", "nobody is taken for who went"
