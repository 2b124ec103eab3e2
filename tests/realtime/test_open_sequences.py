"""Sequences of several devices, one after the other, and those of a trigger that changes."""

from typing import Any

import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.triggered import definitions
from rapport.campaigns.triggered.schemas import TriggeredBody

CART: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "restart": [{"event": "page_view"}],
    "window_minutes": 30,
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def test_what_is_bought_on_one_device_ends_the_sequence_of_the_other(scope: Scope) -> None:
    series = world.trigger(scope, CART)
    world.event(scope, "add_to_cart", visitor="Laptop")
    world.event(scope, "purchase", visitor="Phone", minutes=2)
    world.process(scope, 2)
    world.identify(scope, "Phone", "C1", 5)
    world.identify(scope, "Laptop", "C1", 5)
    world.process(scope, 40)
    assert world.fired(scope, series) == []


def test_the_other_device_moves_the_deadline_on(scope: Scope) -> None:
    series = world.trigger(scope, CART)
    for visitor, minutes in (("Old", 0), ("New", 10)):
        world.event(scope, "add_to_cart", visitor=visitor, minutes=minutes)
        world.event(scope, "page_view", visitor=visitor, minutes=2 * minutes)
    world.process(scope, 20)
    for visitor in ("Old", "New"):
        world.identify(scope, visitor, "C2", 21)
    world.process(scope, 40)
    assert world.fired(scope, series) == [], "the last page was seen at 20"
    world.process(scope, 51)
    assert world.fired(scope, series) == [("C2", "sent", "")]


@pytest.mark.parametrize("visitors", [False, True])
def test_a_visitor_s_sequence_that_fired_nothing_takes_none_from_the_customer(scope: Scope, visitors: bool) -> None:
    series = world.trigger(scope, CART, visitors=visitors)
    who = f"Tablet{int(visitors)}"
    for customer, visitor, minutes in (("", who, 0), ("C10", "", 10)):
        world.event(scope, "add_to_cart", customer, minutes, visitor)
        world.process(scope, minutes)
    world.process(scope, 31)
    world.identify(scope, who, "C10", 35)
    world.process(scope, 41)
    assert world.fired(scope, series) == [(who if visitors else "C10", "sent", "")]


@pytest.mark.parametrize("together", [False, True])
def test_the_next_sequence_is_opened_although_the_one_before_is_not_taken_off(scope: Scope, together: bool) -> None:
    series = world.trigger(scope, CART)
    for minutes in (-50, -10):
        world.event(scope, "add_to_cart", "C3", minutes, received=0)
        if not together:
            world.process(scope, 0)
    world.process(scope, 0)
    assert len(world.firings(scope, series)) == 1
    world.process(scope, 21)
    assert world.fired(scope, series) == [("C3", "sent", "")] * 2


def test_every_session_of_a_late_batch_fires(scope: Scope) -> None:
    series = world.trigger(scope, {**CART, "window_minutes": 10})
    for minutes in (-55, -40, -20):
        world.event(scope, "add_to_cart", "C4", minutes, received=0, amount=-minutes)
    world.event(scope, "purchase", "C4", -35, received=0)
    world.process(scope, 0)
    assert [one.parameters for one in world.firings(scope, series)] == [{"amount": 55}, {"amount": 20}]


def test_a_closing_event_in_the_moments_after_the_deadline_still_closes(scope: Scope) -> None:
    """Also when the next sequence was opened meanwhile."""
    series = world.trigger(scope, CART)
    world.event(scope, "add_to_cart", "C5")
    world.process(scope)
    second = 1 / 60
    world.event(scope, "add_to_cart", "C5", 30 + second)
    world.process(scope, 30 + second)
    world.event(scope, "purchase", "C5", 30, received=30 + second)
    world.process(scope, 31)
    assert world.fired(scope, series) == []
    world.process(scope, 61)
    assert world.fired(scope, series) == [("C5", "sent", "")]


# A trigger that changes


def change(scope: Scope, series: Series, **changes: Any) -> None:
    """Replace members of a triggered campaign."""
    now = definitions.triggered_series(scope, series.id)
    body = definitions.triggered_body(now).model_dump(mode="json") | changes
    definitions.update_triggered(scope, series.id, TriggeredBody.model_validate(body), now.version)


@pytest.mark.parametrize("bought", [False, True])
def test_what_was_open_before_a_pause_fires_nothing_after_it(scope: Scope, bought: bool) -> None:
    series = world.trigger(scope, CART)
    world.event(scope, "add_to_cart", "C6")
    world.process(scope)
    definitions.set_triggered_status(scope, series.id, "paused")
    if bought:
        world.event(scope, "purchase", "C6", 5)
    world.process(scope, 5)
    definitions.set_triggered_status(scope, series.id, "active")
    world.process(scope, 40)
    assert world.fired(scope, series) == []
    world.event(scope, "add_to_cart", "C6", 41)
    world.process(scope, 41)
    world.process(scope, 72)
    assert world.fired(scope, series) == [("C6", "sent", "")]


@pytest.mark.parametrize(
    "kind",
    [
        {"kind": "simple", "event": "level_up"},
        {**CART, "event": "page_view", "restart": []},
        {**CART, "window_minutes": 120},
        {**CART, "conditions": {"attribute": "amount", "operator": "greater", "value": 1}},
    ],
)
def test_another_trigger_begins_anew(scope: Scope, kind: dict[str, Any]) -> None:
    series = world.trigger(scope, CART)
    world.event(scope, "add_to_cart", "C7", amount=5)
    world.process(scope)
    change(scope, series, trigger=kind, name=f"Another {series.id}")
    world.process(scope, 150)
    assert (world.fired(scope, series), world.states(scope, series)) == ([], [])


def test_counts_are_of_the_trigger_that_they_were_made_for(scope: Scope) -> None:
    kind = {"kind": "repeated", "event": "add_to_cart", "times": 3, "window_minutes": 60}
    series = world.trigger(scope, kind)
    for minutes in (0, 1):
        world.event(scope, "add_to_cart", "C8", minutes)
    world.process(scope, 1)
    change(scope, series, trigger={**kind, "event": "level_up"})
    for minutes in (2, 3):
        world.event(scope, "level_up", "C8", minutes)
        world.process(scope, minutes)
    assert world.fired(scope, series) == []
    world.event(scope, "level_up", "C8", 4)
    world.process(scope, 4)
    assert world.fired(scope, series) == [("C8", "sent", "")]


def test_who_changes_anything_but_the_trigger_keeps_what_is_open(scope: Scope) -> None:
    series = world.trigger(scope, CART)
    world.event(scope, "add_to_cart", "C9")
    world.process(scope)
    change(scope, series, name=f"Renamed {series.id}", control_share=0, duration=3)
    world.process(scope, 31)
    assert world.fired(scope, series) == [("C9", "sent", "")]
