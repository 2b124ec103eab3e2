"""Nothing of a trigger reaches the global hold-out: at once, after quiet hours, after the gateway, or as a visitor."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.campaigns import service as campaigns
from rapport.campaigns.service import HoldOut
from rapport.realtime import firings
from rapport.realtime import service as realtime

TOMORROW = world.NOW.date() + timedelta(days=1)
HELD = ("excluded", "kept back: global hold-out")
QUIET = {"start": "22:00", "end": "08:00"}
HOUR, DAY = 60, 24 * 60
HOLD_OUT = HoldOut(share=0.4, start_date=TOMORROW)
PEOPLE = [f"C{n}" for n in range(20)]
KEPT = [one for one in PEOPLE if campaigns.is_held_out(HOLD_OUT, one)]
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
    for one in campaigns.triggered(scope, "active"):
        campaigns.set_triggered_status(scope, one.id, "paused")


def told(scope: Scope, series: campaigns.Series) -> dict[str, tuple[str, str]]:
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
    campaigns.set_triggered_status(scope, today.id, "paused")
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
        firings.release(fresh, session, asked)
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
        firings.release(fresh, session, asked)
    assert told(scope, series) == {"unknown": HELD, "stranger": ("sent", "")}


def test_trials_and_dry_runs_tell_of_it(scope: Scope) -> None:
    series = world.trigger(scope)
    scope.clock.set(world.NOW + timedelta(days=1))
    fresh = update_tenant(scope, {})
    tried = realtime.try_event(fresh, series.id, "add_to_cart", {}, KEPT[0], "")
    assert (tried.outcome, tried.reason) == HELD
    counted = {(one.outcome, one.reason): one.units for one in realtime.dry_run(fresh, series.id).not_reached}
    assert counted == {HELD: len(KEPT)}
