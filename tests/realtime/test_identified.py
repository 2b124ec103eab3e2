"""Visitors who turn out to be customers, in triggers that need more than one event; and events out of order."""

from collections.abc import Iterator

import pytest
import trigger_world as world
from sqlalchemy import delete

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.triggered import definitions
from rapport.realtime.models import Visitor, VisitorOwner

REPEATED = {"kind": "repeated", "event": "page_view", "times": 3, "window_minutes": 30}
SEQUENCE = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "restart": [{"event": "page_view"}],
    "window_minutes": 30,
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope, [{"customer_id": f"C{n}"} for n in range(20)])


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> Iterator[None]:
    scope.clock.set(world.NOW)
    yield
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")
    with scope.records() as session:
        for table in (Visitor, VisitorOwner):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id))


def fired(scope: Scope, series: Series) -> list[tuple[str, bool, str]]:
    return [(one.customer_id, one.is_visitor, one.outcome or one.state) for one in world.firings(scope, series)]


# Sequences


@pytest.mark.parametrize("visitors", [False, True])
@pytest.mark.parametrize("then", [("add_to_cart", "V1"), ("page_view", "V1"), ("add_to_cart", ""), ("page_view", "V2")])
def test_a_visitors_sequence_that_goes_on_as_a_customers_fires_for_the_customer(
    scope: Scope, visitors: bool, then: tuple[str, str]
) -> None:
    series = world.trigger(scope, SEQUENCE, visitors=visitors)
    world.event(scope, "add_to_cart", visitor="V1", brand="first")
    world.process(scope, 0)
    world.identify(scope, "V1", "C5")
    name, visitor = then
    world.event(scope, name, "C5", 10, visitor=visitor, brand="second")
    world.process(scope, 10)
    world.process(scope, 60)
    assert fired(scope, series) == [("C5", False, "sent")]
    (payload,) = world.told(scope, series)
    assert (payload["customerID"], payload["isVisitor"], payload["event_brand"]) == ("C5", False, "first")


def test_what_closes_a_customers_sequence_may_have_been_done_as_a_visitor(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    world.event(scope, "add_to_cart", "C6")
    world.event(scope, "add_to_cart", "C7")
    world.event(scope, "purchase", visitor="V6", minutes=5)
    world.process(scope, 5)
    world.identify(scope, "V6", "C6")
    world.process(scope, 60)
    assert fired(scope, series) == [("C7", False, "sent")]


def test_what_closes_a_visitors_sequence_may_be_done_as_a_customer_on_a_server(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE, visitors=True)
    world.event(scope, "add_to_cart", visitor="V7")
    world.process(scope, 0)
    world.identify(scope, "V7", "C7")
    world.event(scope, "purchase", "C7", 5)
    world.process(scope, 60)
    assert fired(scope, series) == [] and world.states(scope, series)[0].person == "c7"


# Repeated


@pytest.mark.parametrize("visitor", ["", "V8", "of-C8"])
def test_what_a_visitor_did_counts_for_the_customer(scope: Scope, visitor: str) -> None:
    series = world.trigger(scope, REPEATED)
    for minutes in (0, 1):
        world.event(scope, "page_view", visitor="V8", minutes=minutes)
    world.process(scope, 1)
    world.identify(scope, "V8", "C8")
    world.event(scope, "page_view", "C8", 2, visitor=visitor)
    world.process(scope, 2)
    assert fired(scope, series) == [("C8", False, "sent")]
    assert [one.person for one in world.states(scope, series)] == ["c8"]


def test_what_a_visitor_did_is_not_given_to_whom_an_event_merely_names_with_it(scope: Scope) -> None:
    series = world.trigger(scope, REPEATED)
    for minutes in (0, 1):
        world.event(scope, "page_view", visitor="V9", minutes=minutes)
    world.process(scope, 1)
    world.identify(scope, "V9", "C9")
    world.event(scope, "page_view", "C10", 2, visitor="V9")
    world.process(scope, 2)
    assert fired(scope, series) == []
    world.event(scope, "page_view", "C9", 3)
    world.process(scope, 3)
    assert fired(scope, series) == [("C9", False, "sent")]


def test_events_of_the_same_second_all_count(scope: Scope) -> None:
    series = world.trigger(scope, {**REPEATED, "times": 2})
    for _ in range(4):
        world.event(scope, "page_view", "C11", 1)
    world.process(scope, 1)
    assert len(fired(scope, series)) == 2
    for _ in range(2):  # the one in another batch
        world.event(scope, "page_view", "C12", 1)
        world.process(scope, 1)
    assert len(fired(scope, series)) == 3


# Order


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_events_that_come_together_are_taken_in_the_order_of_their_times(scope: Scope, order: tuple[int, ...]) -> None:
    """The restart event moves the deadline beyond the closing event."""
    series = world.trigger(scope, SEQUENCE)
    some = [("add_to_cart", 0), ("page_view", 20), ("purchase", 45)]
    for n in order:
        name, minutes = some[n]
        world.event(scope, name, "C13", minutes, received=46)
    world.process(scope, 46)
    world.process(scope, 100)
    assert fired(scope, series) == []


def test_a_restart_event_may_come_after_the_closing_event(scope: Scope) -> None:
    """Within the moments that are waited after the deadline."""
    series = world.trigger(scope, SEQUENCE)
    for customer in ("C14", "C15"):
        world.event(scope, "add_to_cart", customer)
    world.event(scope, "purchase", "C14", 30.02)
    world.process(scope, 30.02)
    for customer in ("C14", "C15"):
        world.event(scope, "page_view", customer, 20, received=30.03)
    world.process(scope, 30.03)
    world.process(scope, 100)
    assert fired(scope, series) == [("C15", False, "sent")]


# Caps


def test_messages_to_a_visitor_count_for_the_caps_of_the_customer(scope: Scope) -> None:
    cap = {"frequency_cap": {"messages": 1, "days": 1}}
    series = world.trigger(scope, visitors=True, rules=cap)
    world.event(scope, "add_to_cart", visitor="V16")
    world.process(scope)
    world.identify(scope, "V16", "C16")
    world.event(scope, "add_to_cart", "C16")
    world.event(scope, "add_to_cart", "C17")
    world.process(scope)
    assert fired(scope, series) == [("V16", True, "sent"), ("C16", False, "capped"), ("C17", False, "sent")]
