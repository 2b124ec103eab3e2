"""Nothing of a trigger reaches the global hold-out: at once, after quiet hours, after the gateway, or as a visitor."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.campaigns.models import Series
from rapport.campaigns.runs import hold_out
from rapport.campaigns.settings import HoldOut
from rapport.campaigns.triggered import definitions
from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.realtime.matching import dry_runs, releasing, trials

TOMORROW = world.NOW.date() + timedelta(days=1)
HELD = ("excluded", "kept back: global hold-out")
QUIET = {"start": "22:00", "end": "08:00"}
HOUR, DAY = 60, 24 * 60
HOLD_OUT = HoldOut(share=0.4, start_date=TOMORROW)
PEOPLE = [f"C{n}" for n in range(20)]
KEPT = [one for one in PEOPLE if hold_out.is_held_out(HOLD_OUT, one)]
OTHERS = [one for one in PEOPLE if one not in KEPT]


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> Iterator[None]:
    world.fill(scope)
    update_tenant(scope, {"settings": {"campaigns": {"hold_out": HOLD_OUT.model_dump(mode="json")}}})
    yield
    update_tenant(scope, {"settings": {"campaigns": None}})
    scope.clock.set(None)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def told(scope: Scope, series: Series) -> dict[str, tuple[str, str]]:
    return {one.customer_id: (one.outcome, one.reason) for one in world.firings(scope, series)}


def all_at(scope: Scope, minutes: float, people: list[str] = PEOPLE) -> None:
    world.process(scope, minutes)
    for one in people:
        world.event(scope, "add_to_cart", one, minutes)
    world.process(scope, minutes)


def expected() -> dict[str, tuple[str, str]]:
    return {**dict.fromkeys(KEPT, HELD), **dict.fromkeys(OTHERS, ("sent", ""))}


def test_it_begins_with_its_day(scope: Scope) -> None:
    assert 4 < len(KEPT) < 16
    today = world.trigger(scope)
    all_at(scope, HOUR)
    assert told(scope, today) == dict.fromkeys(PEOPLE, ("sent", ""))
    definitions.set_triggered_status(scope, today.id, "paused")
    tomorrow = world.trigger(scope)
    all_at(scope, DAY, [*PEOPLE[:10], *(one.lower() for one in PEOPLE[10:])])
    assert told(scope, tomorrow) == expected()


def test_what_waits_overnight_is_looked_at_again(scope: Scope) -> None:
    series = world.trigger(scope, quiet_hours=QUIET, control_share=0)
    all_at(scope, 13 * HOUR)
    world.process(scope, 22 * HOUR)
    assert told(scope, series) == expected()


def test_what_the_gateway_was_asked_about_before_is_looked_at_again(scope: Scope) -> None:
    series = world.trigger(scope, conditional=True)
    all_at(scope, 13 * HOUR)
    asked = [one.id for one in world.firings(scope, series)]
    assert len(asked) == len(PEOPLE)
    scope.clock.set(world.NOW + timedelta(days=1))
    fresh = update_tenant(scope, {})
    with fresh.records() as session:
        releasing.release(fresh, session, asked)
    assert told(scope, series) == expected()


def test_a_visitor_who_turns_out_to_be_one_of_it_gets_nothing_any_more(scope: Scope) -> None:
    series = world.trigger(scope, visitors=True, conditional=True)
    world.process(scope, 13 * HOUR)
    world.event(scope, "add_to_cart", visitor="unknown", minutes=13 * HOUR)
    world.event(scope, "add_to_cart", visitor="stranger", minutes=13 * HOUR)
    world.process(scope, 13 * HOUR)
    asked = [one.id for one in world.firings(scope, series)]
    world.identify(scope, "unknown", KEPT[0])
    scope.clock.set(world.NOW + timedelta(days=1))
    fresh = update_tenant(scope, {})
    with fresh.records() as session:
        releasing.release(fresh, session, asked)
    assert told(scope, series) == {"unknown": HELD, "stranger": ("sent", "")}


def test_trials_and_dry_runs_tell_of_it(scope: Scope) -> None:
    series = world.trigger(scope)
    scope.clock.set(world.NOW + timedelta(days=1))
    fresh = update_tenant(scope, {})
    tried = trials.try_event(fresh, series.id, "add_to_cart", {}, KEPT[0], "")
    assert (tried.outcome, tried.reason) == HELD
    counted = {(one.outcome, one.reason): one.units for one in dry_runs.dry_run(fresh, series.id).not_reached}
    everybody = [one for (one,) in scope.warehouse.rows("SELECT customer_id FROM customers")]
    assert counted == {HELD: sum(hold_out.is_held_out(HOLD_OUT, one) for one in everybody)}


def test_an_address_of_somebody_of_it_gets_nothing_of_a_trigger_either(scope: Scope) -> None:
    """Told of at once and by what waited, of a channel with addresses; the customer itself is in no hold-out."""
    partner, apart = "P1", "P2"
    while any(hold_out.is_held_out(HOLD_OUT, one) for one in (partner, apart)):
        partner, apart = partner + "x", apart + "y"
    holder = next(one for n in range(99) if hold_out.is_held_out(HOLD_OUT, one := f"H{n}"))
    numbers = {holder: "+491701234567", partner: "+49 170 1234567", apart: "0170 999"}
    world.add_customers(scope, [{"customer_id": one, "MOBILE_NUMBER": number} for one, number in numbers.items()])
    channels.create_channel(scope, "Phone", "external", id=507, address_attribute="MOBILE_NUMBER")
    templates.save_template(scope, 507, "Offer", id=world.TEMPLATE)
    group = {"action_id": 2, "channels": [{"channel_id": 507, "template_id": world.TEMPLATE}]}
    series = world.trigger(scope, groups=[group])
    asked = world.trigger(scope, {"kind": "simple", "event": "level_up"}, groups=[group], conditional=True)
    minutes = 14 * HOUR - 5
    for one in (partner, apart):
        world.event(scope, "level_up", one, minutes)
    world.process(scope, minutes)
    waiting = [one.id for one in world.firings(scope, asked)]
    all_at(scope, 2 * DAY, [holder, partner, apart])
    shared = ("excluded", "kept back: address of the global hold-out")
    assert told(scope, series) == {holder: HELD, partner: shared, apart: ("sent", "")}
    fresh = update_tenant(scope, {})
    with fresh.records() as session:
        releasing.release(fresh, session, waiting)
    assert told(scope, asked) == {partner: shared, apart: ("sent", "")}
