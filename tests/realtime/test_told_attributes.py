"""Events that tell attributes of their own customers: written before triggers are judged, and never over newer ones."""

from dataclasses import replace
from datetime import timedelta

import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.campaigns.triggered import definitions
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.customers.attributes import attributes, save
from rapport.customers.privacy import persons
from rapport.customers.writes import attribute_requests, attribute_times, locks
from rapport.messaging import templates
from rapport.persons.declared import going

MAIL = 520


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)
    event_types.declare_event_type(scope, "set_email_event")
    event_types.declare_event_type(scope, "ootb_user_details_update", {"ootb_first_name": "String"})
    channels.create_channel(scope, "Letters", "external", id=MAIL, address_attribute="EMAIL")
    templates.save_template(scope, MAIL, "Offer", id=world.TEMPLATE)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def test_the_welcome_mail_goes_to_the_address_that_the_event_brings(scope: Scope) -> None:
    group = {"action_id": 2, "channels": [{"channel_id": MAIL, "template_id": world.TEMPLATE}]}
    series = world.trigger(scope, {"kind": "simple", "event": "set_email_event"}, groups=[group])
    for n in range(4):
        world.event(scope, "ootb_user_details_update", f"New-{n}", ootb_first_name="Ann")
        world.event(scope, "set_email_event", f"New-{n}", email=f"ann{n}@example.com")
    world.process(scope)
    assert world.fired(scope, series) == [(f"New-{n}", "sent", "") for n in range(4)]


@pytest.mark.parametrize("apart", [False, True])
def test_conditions_see_what_the_event_and_those_before_it_say(scope: Scope, apart: bool) -> None:
    name = f"Zoe-{apart}"
    condition = {"attribute": "FIRST_NAME", "operator": "equals", "value": name}
    own = world.trigger(scope, {"kind": "simple", "event": "ootb_user_details_update"}, customer_conditions=condition)
    next_one = world.trigger(scope, customer_conditions=condition)
    world.event(scope, "ootb_user_details_update", "C1", ootb_first_name=name)
    if apart:
        world.process(scope)
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    assert world.fired(scope, own) == world.fired(scope, next_one) == [("C1", "sent", "")]


def test_events_wait_while_another_changes_the_customers(scope: Scope) -> None:
    series = world.trigger(
        scope, customer_conditions={"attribute": "FIRST_NAME", "operator": "equals", "value": "Held"}
    )
    world.event(scope, "ootb_user_details_update", "C2", ootb_first_name="Held")
    world.event(scope, "add_to_cart", "C2")
    with locks.writing_if_free(scope) as free:
        assert free
        world.process(scope)
        assert (world.fired(scope, series), world.waiting(scope)) == ([], 2)
    world.process(scope)
    assert world.fired(scope, series) == [("C2", "sent", "")]


# Late events

DAY = 24 * 60


def held(scope: Scope, customer: str) -> tuple[str, str]:
    def handled() -> bool:  # what the API accepted may be on its way into the tables
        world.process(scope)
        return world.waiting(scope) == 0

    world.until(handled)
    names = "ifNull(EMAIL, ''), ifNull(FIRST_NAME, '')"
    sql = f"SELECT {names} FROM profiles WHERE customer_id = {{id:String}}"
    (row,) = scope.warehouse.rows(sql, id=customer)
    return str(row[0]), str(row[1])


def told(scope: Scope, customer: str, minutes: float, name: str, visitor: str = "") -> None:
    """Events of a customer's new name and address, which come now; a trigger waits for one of them."""
    world.event(scope, "set_email_event", customer, minutes, visitor, received=0, email=f"{name}@example.com".lower())
    world.event(scope, "ootb_user_details_update", customer, minutes, visitor, received=0, ootb_first_name=name)


@pytest.fixture
def watched(scope: Scope) -> None:
    world.trigger(scope, {"kind": "simple", "event": "set_email_event"})


@pytest.mark.parametrize("together", [False, True])
def test_what_comes_late_replaces_nothing_newer(scope: Scope, watched: None, together: bool) -> None:
    who = f"C{10 + together}"
    told(scope, who, 0, "New")
    if not together:
        assert held(scope, who) == ("new@example.com", "New")
    told(scope, who, -3 * DAY, "Old")
    assert held(scope, who) == ("new@example.com", "New")
    scope.clock.set(world.NOW + timedelta(minutes=2))
    told(scope, who.lower(), 1, "Newer")
    assert held(scope, who) == ("newer@example.com", "Newer")


def test_what_nobody_has_told_since_is_taken_from_a_late_event(scope: Scope, watched: None) -> None:
    world.event(scope, "ootb_user_details_update", "C12", 0, ootb_first_name="Now")
    told(scope, "C12", -3 * DAY, "Then")
    assert held(scope, "C12") == ("then@example.com", "Now")


@pytest.mark.parametrize("call", ["upsert", "update"])
def test_calls_of_the_api_are_newer_than_events_of_before_them(scope: Scope, watched: None, call: str) -> None:
    who = {"upsert": "C13", "update": "C14"}[call]
    # As a tenant has it that lets the API write addresses.
    save(scope, replace(attributes(scope)["EMAIL"], api_updatable=True))
    values = [["EMAIL", "api@example.com"]]
    if call == "upsert":
        attribute_requests.upsert(scope, who, values, None)
    else:
        attribute_requests.update_attributes(scope, [{"customer": who, "values": values}], None)
    told(scope, who, -1, "Event")
    assert held(scope, who) == ("api@example.com", "Event")
    scope.clock.set(world.NOW + timedelta(minutes=2))
    told(scope, who, 1, "Later")
    assert held(scope, who) == ("later@example.com", "Later")


def test_after_a_long_time_only_what_is_empty_is_filled(scope: Scope, watched: None) -> None:
    attribute_requests.upsert(scope, "C15", [["FIRST_NAME", "Known"]], None)
    scope.clock.set(world.NOW + timedelta(days=40))
    attribute_times.drop_old(scope)
    told(scope, "C15", -DAY, "Ancient")
    assert held(scope, "C15") == ("ancient@example.com", "Known")


def test_nothing_is_left_of_who_is_erased(scope: Scope, watched: None) -> None:
    told(scope, "C16", 0, "Gone")
    held(scope, "C16")
    assert attribute_times.times_of(scope, ["c16"])["c16"].keys() == {"EMAIL", "FIRST_NAME"}
    persons.erase(scope, "C16", going(scope))
    assert attribute_times.times_of(scope, ["C16"]) == {}
