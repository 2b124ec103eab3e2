"""Caps and re-entry by the day on which something leaves, whoever waits and however events come together."""

from collections.abc import Sequence
from typing import Any

import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.triggered import definitions
from rapport.channels import service as channels
from rapport.customers.writes import attribute_requests
from rapport.messaging.contactability import suppressions
from rapport.realtime.matching import releasing

QUIET = {"start": "22:00", "end": "08:00"}
ONE = {"frequency_cap": {"messages": 1, "days": 1}}
LETTERS = 521
HOUR = 60
ELEVEN, MORNING = 13 * HOUR, 22 * HOUR  # 23:00 of the first day and 08:00 of the next in Berlin


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    people = [{"customer_id": f"P{n}", "IS_OPTIN": "Yes"} for n in range(30)]
    world.fill(scope, [*people, {"customer_id": "OptedOut", "IS_OPTIN": "No"}])
    world.channel(scope, world.PUSH, "Push")
    channels.create_channel(scope, "Letters", "external", id=LETTERS, address_attribute="EMAIL")


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def outcomes(scope: Scope, series: Series) -> list[str]:
    return [outcome for _, outcome, _ in world.fired(scope, series)]


def cart(scope: Scope, customer: str, minutes: Sequence[float], event: str = "add_to_cart") -> None:
    for one in minutes:
        world.process(scope, one)
        world.event(scope, event, customer, one)
        world.process(scope, one)


def test_what_waits_overnight_counts_on_the_day_on_which_it_leaves(scope: Scope) -> None:
    series = world.trigger(scope, quiet_hours=QUIET, rules=ONE)
    cart(scope, "P1", [ELEVEN, MORNING + 2 * HOUR])
    assert outcomes(scope, series) == ["sent", "capped"]
    cart(scope, "P1", [MORNING + 26 * HOUR])
    assert outcomes(scope, series)[2:] == ["sent"]


def test_what_leaves_tomorrow_does_not_count_today(scope: Scope) -> None:
    waits = world.trigger(scope, quiet_hours=QUIET, rules=ONE)
    at_once = world.trigger(scope, {"kind": "simple", "event": "level_up"}, rules=ONE)
    cart(scope, "P2", [ELEVEN])
    cart(scope, "P2", [ELEVEN + 5, MORNING - 120], "level_up")
    assert (outcomes(scope, waits), outcomes(scope, at_once)) == (["delayed"], ["sent", "capped"])
    world.process(scope, MORNING)
    assert outcomes(scope, waits) == ["sent"]


def test_whoever_is_held_back_counts_for_caps_as_if_it_had_been_written_to(scope: Scope) -> None:
    held_back = world.trigger(scope, control_share=0.9)
    capped = world.trigger(scope, {"kind": "simple", "event": "level_up"}, rules=ONE)
    for n in (12, 13, 14, 15):
        cart(scope, f"P{n}", [HOUR])
        cart(scope, f"P{n}", [2 * HOUR], "level_up")
    assert "control" in outcomes(scope, held_back)
    assert outcomes(scope, capped) == ["capped"] * 4
    assert {one.drawn_group for one in world.firings(scope, held_back)} == {1}


@pytest.mark.parametrize(("quiet_hours", "who"), [(None, range(20, 25)), (QUIET, range(25, 30))])
def test_whoever_is_held_back_counts_as_often_as_it_would_have_been_written_to(
    scope: Scope, quiet_hours: Any, who: range
) -> None:
    """Two messages, but one to the first, which wants nothing on one of the channels."""
    first, *others = (f"P{n}" for n in who)
    suppressions.suppress(scope, first, world.PUSH)
    places = [{"channel_id": number, "template_id": world.TEMPLATE} for number in (world.SMS, world.PUSH)]
    groups = [{"action_id": 2, "channels": places}]
    held_back = world.trigger(scope, groups=groups, control_share=0.9, quiet_hours=quiet_hours)
    two = {"frequency_cap": {"messages": 2, "days": 1}}
    capped = world.trigger(scope, {"kind": "simple", "event": "level_up"}, rules=two)
    for customer in (first, *others):
        cart(scope, customer, [ELEVEN])
    for customer in (first, *others):
        cart(scope, customer, [MORNING + HOUR if quiet_hours else ELEVEN + 1], "level_up")
    assert "control" in outcomes(scope, held_back)
    assert world.fired(scope, capped) == [(first, "sent", ""), *((customer, "capped", "") for customer in others)]


def test_the_cap_is_looked_at_again_when_quiet_hours_end(scope: Scope) -> None:
    waits = world.trigger(scope, quiet_hours=QUIET, rules=ONE)
    uncapped = world.trigger(scope, {"kind": "simple", "event": "level_up"})
    cart(scope, "P3", [ELEVEN])
    cart(scope, "P3", [MORNING - 60], "level_up")
    world.process(scope, MORNING)
    assert (outcomes(scope, uncapped), outcomes(scope, waits)) == (["sent"], ["capped"])


@pytest.mark.parametrize(("customer", "visitor"), [("P18", ""), ("", "Cafe")])
def test_the_cap_counts_what_left_and_was_held_back_until_quiet_hours_end(
    scope: Scope, customer: str, visitor: str
) -> None:
    """Of customers, and of visitors whose ids have capital letters."""
    two = {"frequency_cap": {"messages": 2, "days": 1}}
    held_back = world.trigger(scope, quiet_hours=QUIET, control_share=0.9, visitors=True)
    waits = world.trigger(scope, quiet_hours=QUIET, rules=two, visitors=True)
    world.trigger(scope, {"kind": "simple", "event": "level_up"}, visitors=True)
    for minutes, event in ((ELEVEN, "add_to_cart"), (MORNING - 60, "level_up")):
        world.process(scope, minutes)
        world.event(scope, event, customer, minutes, visitor)
        world.process(scope, minutes)
    assert outcomes(scope, waits) == ["delayed"]
    world.process(scope, MORNING)
    assert outcomes(scope, held_back) in (["control"], ["sent"])
    assert outcomes(scope, waits) == ["capped"]


def test_a_visitor_that_waits_is_judged_as_the_customer_that_it_turned_out_to_be(scope: Scope) -> None:
    suppressions.suppress(scope, "P16", world.SMS)
    waits = world.trigger(scope, quiet_hours=QUIET, rules=ONE, visitors=True)
    asks = world.trigger(scope, {"kind": "simple", "event": "purchase"}, conditional=True, visitors=True)
    told = world.trigger(scope, {"kind": "simple", "event": "level_up"})
    world.process(scope, ELEVEN)
    for n, event in enumerate(("add_to_cart", "add_to_cart", "add_to_cart", "add_to_cart", "purchase")):
        world.event(scope, event, "", ELEVEN, f"Night{n}")
    world.process(scope, ELEVEN)
    for n, customer in ((0, "OptedOut"), (1, "P16"), (2, "P17"), (4, "P16")):
        world.identify(scope, f"Night{n}", customer, ELEVEN + 1)
    cart(scope, "P17", [MORNING - 60], "level_up")
    assert outcomes(scope, told) == ["sent"]
    with scope.records() as session:
        releasing.release(scope, session, [one.id for one in world.firings(scope, asks)])
    world.process(scope, MORNING)
    assert world.fired(scope, waits) == [
        ("Night0", "excluded", "opted out"),
        ("Night1", "suppressed", "suppression list"),
        ("Night2", "capped", ""),
        ("Night3", "sent", ""),
    ]
    assert world.fired(scope, asks) == [("Night4", "suppressed", "suppression list")]
    suppressions.allow(scope, "P16", world.SMS)


def test_re_entry_counts_from_when_something_left(scope: Scope) -> None:
    series = world.trigger(scope, quiet_hours=QUIET, re_entry={"times": 1, "days": 1})
    cart(scope, "P4", [ELEVEN, ELEVEN + 10 * HOUR, ELEVEN + 24 * HOUR + 1])
    assert outcomes(scope, series) == ["sent", "excluded", "delayed"]
    world.process(scope, MORNING + 24 * HOUR)
    assert outcomes(scope, series) == ["sent", "excluded", "sent"]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("quiet_hours", [None, {"start": "09:00", "end": "11:00"}])
def test_a_batch_counts_what_single_events_count(scope: Scope, together: bool, quiet_hours: Any) -> None:
    group = {
        "action_id": 2,
        "channels": [{"channel_id": channel, "template_id": world.TEMPLATE} for channel in (world.SMS, world.PUSH)],
    }
    rules = {"frequency_cap": {"messages": 2, "days": 1}}
    series = world.trigger(scope, rules=rules, groups=[group], quiet_hours=quiet_hours)
    who = f"P{5 + together + 2 * (quiet_hours is not None)}"
    for minutes in (0, 1, 2):
        world.event(scope, "add_to_cart", who, minutes / 60)
        if not together:
            world.process(scope, minutes / 60)
    world.process(scope, 2 / 60)
    waits = ["delayed", "delayed", "capped"]
    assert outcomes(scope, series) == (waits if quiet_hours else ["sent", "capped"])
    world.process(scope, 61)
    assert outcomes(scope, series) == (["sent", "capped"] if quiet_hours is None else ["sent", "capped", "capped"])


@pytest.mark.parametrize("outcome", ["no address", "suppressed"])
def test_who_cannot_be_reached_has_one_firing_a_day(scope: Scope, outcome: str) -> None:
    group = {"action_id": 2, "channels": [{"channel_id": LETTERS, "template_id": world.TEMPLATE}]}
    who = {"no address": "P10", "suppressed": "P11"}[outcome]
    if outcome == "suppressed":
        attribute_requests.upsert(scope, who, [["EMAIL", "p10@example.com"]], None)
        suppressions.suppress(scope, who, LETTERS)
    series = world.trigger(scope, groups=[group])
    for n in range(5):
        world.event(scope, "add_to_cart", who, n)
        world.process(scope, n)
    world.event(scope, "add_to_cart", who, 4)
    world.event(scope, "add_to_cart", who, 4)
    world.process(scope, 4)
    assert outcomes(scope, series) == [outcome]
    cart(scope, who, [24 * HOUR])
    assert outcomes(scope, series) == [outcome] * 2
