"""Whoever leaves a journey gets nothing more of it, and whoever is erased leaves nothing of it behind."""

from journey_world import DAY, journey, members
from trigger_world import event, fired, process, trigger

from rapport.access.scope import Scope
from rapport.journeys import definitions, reading
from rapport.journeys.states import JourneyStatus
from rapport.persons import service as persons


def test_a_message_that_waits_for_quiet_hours_goes_only_to_those_who_are_still_inside(world: Scope) -> None:
    quiet = {"start": "00:00", "end": "23:59", "then": "delay"}
    late = trigger(world, {"kind": "journey"}, quiet_hours=quiet)
    journey(
        world,
        {"id": "late", "kind": "message", "campaign_id": late.id, "next": "pause"},
        {"id": "pause", "kind": "wait", "minutes": 3 * DAY},
        exit={"events": [{"event": "purchase"}]},
    )
    event(world, "page_view", "C1")
    event(world, "page_view", "C2")
    process(world, 0)
    event(world, "purchase", "C1", minutes=30)
    process(world, 30)
    process(world, 2 * DAY)
    outcomes = {customer: (outcome, reason) for customer, outcome, reason in fired(world, late)}
    assert outcomes["C1"] == ("excluded", "left the journey") and outcomes["C2"] != outcomes["C1"]


def test_an_archived_journey_sends_no_message_that_waits_for_quiet_hours(world: Scope) -> None:
    late = trigger(world, {"kind": "journey"}, quiet_hours={"start": "00:00", "end": "23:59", "then": "delay"})
    steps = [{"id": "late", "kind": "message", "campaign_id": late.id}]
    archived = journey(world, *steps)
    journey(world, *steps, name="Goes on")
    event(world, "page_view", "C1")
    process(world, 0)
    definitions.set_status(world, archived.id, JourneyStatus.ARCHIVED)
    outcomes = sorted((outcome, reason) for _, outcome, reason in fired(world, late))
    assert outcomes == [("delayed", ""), ("excluded", "the journey was archived")]


def test_an_erased_customer_leaves_no_way_behind(world: Scope) -> None:
    made = journey(world, {"id": "pause", "kind": "wait", "minutes": 60})
    event(world, "page_view", "C1", amount=7)
    event(world, "page_view", "C2", amount=7)
    process(world, 0)
    persons.erase(world, "C1")
    assert set(members(world, made)) == {"C2"}
    numbers = reading.numbers(world, made.id)
    assert (numbers.entered, [step.reached for step in numbers.steps]) == (1, [1])
