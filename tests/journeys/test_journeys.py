"""Customers come into journeys, go from step to step, wait, are divided, and leave, by events and by the clock."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from journey_world import DAY, SIGN_UP, after_an_hour, customers, journey, members, message
from trigger_world import NOW, add_customers, event, process, trigger

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.customers import changes
from rapport.customers.attributes import AttributeInfo
from rapport.errors import Invalid
from rapport.journeys import definitions, reading
from rapport.journeys import uses as _uses  # noqa: F401 - what they name is kept for them
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import JourneyStatus, MemberState
from rapport.notifications import service as notifications


def test_messages_days_apart(world: Scope) -> None:
    welcome, tips = message(world), message(world)
    made = journey(
        world,
        {"id": "welcome", "kind": "message", "campaign_id": welcome.id, "next": "pause"},
        {"id": "pause", "kind": "wait", "minutes": 3 * DAY, "next": "tips"},
        {"id": "tips", "kind": "message", "campaign_id": tips.id},
    )
    event(world, "page_view", "C1")
    event(world, "page_view", "C2", minutes=5)
    process(world, 10)
    assert customers(world, welcome) == ["C1", "C2"] and not customers(world, tips)
    standing = members(world, made)["C1"]
    assert (standing.step, standing.due_at) == ("pause", NOW + timedelta(days=3))
    process(world, 3 * DAY - 1)
    assert not customers(world, tips)
    process(world, 3 * DAY)
    assert customers(world, tips) == ["C1"]
    process(world, 5 + 3 * DAY)
    assert customers(world, tips) == ["C1", "C2"]
    ended = members(world, made)["C2"]
    assert (ended.state, ended.ending, ended.taken) == (MemberState.ENDED, "completed", 3)
    numbers = reading.numbers(world, made.id)
    assert (numbers.entered, numbers.endings) == (2, {"completed": 2})
    assert {step.step: (step.reached, step.ended) for step in numbers.steps} == {
        "welcome": (2, 0), "pause": (2, 0), "tips": (2, 2)
    }  # fmt: skip


def test_whoever_does_what_was_waited_for_goes_the_other_way(world: Scope) -> None:
    thanks, reminder = message(world), message(world)
    made = journey(
        world,
        {
            "id": "buys",
            "kind": "wait_for",
            "match": {
                "event": "purchase",
                "conditions": {"attribute": "amount", "operator": "greater", "value": 10},
            },
            "minutes": 60,
            "next": "thanks",
            "otherwise": "reminder",
        },
        {"id": "thanks", "kind": "message", "campaign_id": thanks.id},
        {"id": "reminder", "kind": "message", "campaign_id": reminder.id},
    )
    for customer in ("C1", "C2", "C3", "C4"):
        event(world, "page_view", customer)
    process(world, 0)
    event(world, "purchase", "C1", minutes=30, amount=20)
    event(world, "purchase", "C2", minutes=30, amount=5)  # too little
    event(world, "purchase", "C3", minutes=-5, received=31, amount=20)  # before it was waited for
    process(world, 31)
    assert customers(world, thanks) == ["C1"] and not customers(world, reminder)
    event(world, "purchase", "C4", minutes=59, received=70, amount=20)  # in time, although it arrives late
    process(world, 70)
    assert customers(world, thanks) == ["C1", "C4"] and sorted(customers(world, reminder)) == ["C2", "C3"]
    results = {step.step: step.results for step in reading.numbers(world, made.id).steps}
    assert results["buys"] == {"event": 2, "time": 2}


def test_an_event_ends_the_journey_wherever_the_customer_stands(world: Scope) -> None:
    late = message(world)
    made = journey(
        world,
        *after_an_hour(late),
        exit={"events": [{"event": "purchase"}]},
    )
    event(world, "page_view", "C1")
    event(world, "page_view", "C2")
    process(world, 0)
    event(world, "purchase", "c1", minutes=20)
    process(world, 60)
    assert customers(world, late) == ["C2"]
    gone = members(world, made)["C1"]
    assert (gone.ending, gone.reason, gone.step) == ("exited", "event purchase", "pause")


def test_customers_are_divided_by_what_is_known_of_them(world: Scope) -> None:
    add_customers(world, [{"customer_id": f"D{n}", "COUNTRY": country} for n, country in enumerate(("NL", "DE", "FR"))])
    dutch, german, other = message(world), message(world), message(world)

    def branch(country: str, step: str) -> dict[str, Any]:
        return {"customer_conditions": {"attribute": "COUNTRY", "operator": "equals", "value": country}, "next": step}

    journey(
        world,
        {"id": "where", "kind": "split", "branches": [branch("NL", "nl"), branch("DE", "de")], "next": "other"},
        {"id": "nl", "kind": "message", "campaign_id": dutch.id},
        {"id": "de", "kind": "message", "campaign_id": german.id},
        {"id": "other", "kind": "message", "campaign_id": other.id},
    )
    for number in range(3):
        event(world, "page_view", f"D{number}")
    process(world, 0)
    assert [customers(world, campaign) for campaign in (dutch, german, other)] == [["D0"], ["D1"], ["D2"]]


def test_a_customer_comes_in_once_and_is_inside_once(world: Scope) -> None:
    hello = message(world)
    steps = (
        {"id": "hello", "kind": "message", "campaign_id": hello.id, "next": "pause"},
        {"id": "pause", "kind": "wait", "minutes": 60},
    )
    journey(world, *steps)
    again = journey(world, *steps, name="Again", re_entry="unlimited")
    event(world, "page_view", "C1")
    event(world, "page_view", "C1", minutes=1)
    process(world, 1)
    assert customers(world, hello) == ["C1", "C1"], "each journey once"
    process(world, 62)
    event(world, "page_view", "C1", minutes=63)
    process(world, 63)
    assert len(customers(world, hello)) == 3 and members(world, again)["C1"].state is MemberState.ACTIVE


def test_held_out_customers_are_counted_and_get_nothing(world: Scope) -> None:
    hello = message(world)
    made = journey(world, {"id": "hello", "kind": "message", "campaign_id": hello.id}, hold_out_share=0.5)
    for number in range(20):
        event(world, "page_view", f"C{number}")
    process(world, 0)
    held_out = {name for name, member in members(world, made).items() if member.state is MemberState.HELD_OUT}
    assert 0 < len(held_out) < 20 and set(customers(world, hello)) == {f"C{number}" for number in range(20)} - held_out
    assert reading.numbers(world, made.id).held_out == len(held_out)


def test_a_paused_journey_waits_and_a_draining_one_only_ends(world: Scope) -> None:
    late = message(world)
    made = journey(
        world,
        *after_an_hour(late),
    )
    event(world, "page_view", "C1")
    process(world, 0)
    definitions.set_status(world, made.id, JourneyStatus.PAUSED)
    event(world, "page_view", "C2", minutes=61)
    process(world, 61)
    assert not customers(world, late) and set(members(world, made)) == {"C1"}
    definitions.set_status(world, made.id, JourneyStatus.DRAINING)
    event(world, "page_view", "C3", minutes=62)
    process(world, 62)
    assert customers(world, late) == ["C1"] and set(members(world, made)) == {"C1"}


def test_customers_finish_their_version_or_move(world: Scope) -> None:
    old, new = message(world), message(world)

    def steps(campaign: Series) -> tuple[dict[str, Any], ...]:
        return (
            {"id": "pause", "kind": "wait", "minutes": 60, "next": "say"},
            {"id": "say", "kind": "message", "campaign_id": campaign.id},
        )

    made = journey(world, *steps(old))
    event(world, "page_view", "C1")
    process(world, 0)
    body = JourneyBody.model_validate({"name": "Welcome", "entry": SIGN_UP, "steps": list(steps(new))})
    definitions.update_journey(world, made.id, body, 1)
    event(world, "page_view", "C2", minutes=1)
    process(world, 1)
    process(world, 61)
    assert (customers(world, old), customers(world, new)) == (["C1"], ["C2"])
    event(world, "page_view", "C3", minutes=62)
    process(world, 62)
    definitions.update_journey(
        world, made.id, JourneyBody.model_validate({**body.model_dump(), "steps": steps(old)}), 2
    )
    assert definitions.move_members(world, made.id, {}) == 1
    process(world, 62 + 60)
    assert customers(world, old) == ["C1", "C3"]


def test_customers_are_brought_in_by_name_once_a_key(world: Scope) -> None:
    hello = message(world)
    made = journey(
        world, {"id": "hello", "kind": "message", "campaign_id": hello.id}, entry={"kind": "list"}, re_entry="unlimited"
    )
    assert definitions.add_members(world, made.id, ["C1", "C2", "c1"], key="march") == 2
    process(world, 0)
    assert definitions.add_members(world, made.id, ["C1", "C2"], key="march") == 0
    assert sorted(customers(world, hello)) == ["C1", "C2"]


def test_attributes_are_written_and_listeners_notified(world: Scope) -> None:
    welcomed = AttributeInfo("WELCOMED", "Welcomed", "", "Nvarchar", "batch", api_updatable=True)
    changes.create_attribute(world, welcomed)
    notifications.register_listener(world, notifications.JOURNEY_STEP, "http://127.0.0.1:9/steps")
    with pytest.raises(Invalid, match=r"steps\.mark\.values names 'WELCOMED' twice"):
        journey(world, {"id": "mark", "kind": "attribute", "values": {"WELCOMED": "Yes", "welcomed": "No"}})
    made = journey(
        world,
        {"id": "mark", "kind": "attribute", "values": {" welcomed ": "Yes"}, "next": "tell"},
        {"id": "tell", "kind": "notify", "next": "out"},
        {"id": "out", "kind": "exit", "reason": "done"},
    )
    event(world, "page_view", "C1", amount=7)
    process(world, 0)
    process(world, 1)
    assert world.warehouse.rows("SELECT WELCOMED FROM customers WHERE customer_id = 'C1'") == [("Yes",)]
    (delivery,) = notifications.deliveries(world)
    payload = orjson.loads(delivery.body)
    assert (payload["JourneyID"], payload["StepID"], payload["CustomerID"]) == (made.id, "tell", "C1")
    assert (payload["EventTypeID"], payload["event_amount"]) == (103, 7)
    gone = members(world, made)["C1"]
    assert (gone.ending, gone.reason, gone.step) == ("exited", "done", "out")


def test_a_wait_lasts_until_a_time_on_a_weekday(world: Scope) -> None:
    made = journey(world, {"id": "till", "kind": "wait_until", "time": "09:30", "weekdays": [1]})
    event(world, "page_view", "C1")
    process(world, 0)
    due_at = members(world, made)["C1"].due_at
    assert due_at is not None
    local = due_at.astimezone(world.time_zone)
    assert (local.isoweekday(), f"{local:%H:%M}") == (1, "09:30") and NOW < due_at <= NOW + timedelta(days=7)


def test_shares_divide_customers_for_good(world: Scope) -> None:
    left, right = message(world), message(world)
    shares = [{"share": 0.3, "next": "left"}, {"share": 0.7, "next": "right"}]
    steps = (
        {"id": "by_chance", "kind": "share", "branches": shares},
        {"id": "left", "kind": "message", "campaign_id": left.id},
        {"id": "right", "kind": "message", "campaign_id": right.id},
    )
    journey(world, *steps, re_entry="unlimited")
    for minute in (0, 5):
        for number in range(20):
            event(world, "page_view", f"C{number}", minutes=minute)
        process(world, minute)
    to_left, to_right = customers(world, left), customers(world, right)
    assert len(to_left) + len(to_right) == 40 and not set(to_left) & set(to_right)
    assert 0 < len(set(to_left)) < len(set(to_right))


def test_whoever_meets_the_conditions_of_the_exit_leaves_before_the_next_step(world: Scope) -> None:
    late = message(world)
    made = journey(
        world,
        *after_an_hour(late),
        exit={"customer_conditions": {"attribute": "COUNTRY", "operator": "equals", "value": "FR"}},
        customer_conditions={"attribute": "COUNTRY", "operator": "not_equals", "value": "NL"},
    )
    add_customers(world, [{"customer_id": f"X{n}", "COUNTRY": country} for n, country in enumerate(("NL", "DE", "DE"))])
    for number in range(3):
        event(world, "page_view", f"X{number}")
    process(world, 0)
    assert set(members(world, made)) == {"X1", "X2"}, "whoever does not meet the conditions has not come in"
    world.warehouse.execute(
        "ALTER TABLE profiles UPDATE COUNTRY = 'FR' WHERE customer_id = 'X1' SETTINGS mutations_sync = 1"
    )
    world.warehouse.execute(
        "ALTER TABLE customers UPDATE COUNTRY = 'FR' WHERE customer_id = 'X1' SETTINGS mutations_sync = 1"
    )
    process(world, 60)
    assert customers(world, late) == ["X2"]
    gone = members(world, made)["X1"]
    assert (gone.ending, gone.reason) == ("exited", "exit conditions")


def test_what_follows_a_sign_up_at_once_counts_however_late_both_are_handled(world: Scope) -> None:
    thanks = message(world)
    made = journey(
        world,
        {"id": "buys", "kind": "wait_for", "match": {"event": "purchase"}, "minutes": 60, "next": "thanks"},
        {"id": "thanks", "kind": "message", "campaign_id": thanks.id},
    )
    event(world, "page_view", "C1", minutes=1)
    process(world, 5)
    event(world, "purchase", "C1", minutes=2, received=6)
    process(world, 6)
    assert customers(world, thanks) == ["C1"]
    assert members(world, made)["C1"].entered_at == NOW + timedelta(minutes=1)


def test_a_wait_begins_when_its_event_happened(world: Scope) -> None:
    made = journey(world, {"id": "pause", "kind": "wait", "minutes": 30})
    event(world, "page_view", "C1", minutes=0, received=10)
    event(world, "page_view", "C2", minutes=-25, received=10)
    process(world, 10)
    assert members(world, made)["C1"].due_at == NOW + timedelta(minutes=30)
    assert members(world, made)["C2"].ending == "completed", "its wait was over"


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (
            [{"id": "a", "kind": "wait", "minutes": 5, "next": "b"}],
            "steps.a leads to 'b', which is not a step of the journey.",
        ),
        (
            [{"id": "a", "kind": "wait", "minutes": 5}, {"id": "b", "kind": "exit"}],
            "steps.b cannot be reached from the first step.",
        ),
        (
            [{"id": "a", "kind": "notify", "next": "b"}, {"id": "b", "kind": "notify", "next": "a"}],
            "steps.a leads back to itself without a step that waits.",
        ),
        ([{"id": "a", "kind": "exit"}, {"id": "a", "kind": "exit"}], "steps has more than one step with the ID 'a'."),
        (
            [{"id": "a", "kind": "share", "branches": [{"share": 0.5}, {"share": 0.4}]}],
            "steps.a.branches must have shares that add up to 1.",
        ),
        (
            [{"id": "a", "kind": "message", "campaign_id": 99}],
            "steps.a.campaign_id: There is no triggered campaign 99.",
        ),
        (
            [{"id": "a", "kind": "attribute", "values": {"SHOE": "42"}}],
            "steps.a.values names 'SHOE', which is not an attribute.",
        ),
        (
            [{"id": "a", "kind": "attribute", "values": {"FIRST_NAME": "A"}}],
            "steps.a.values names 'FIRST_NAME', which calls cannot update.",
        ),
        (
            [
                {
                    "id": "a",
                    "kind": "split",
                    "branches": [{"customer_conditions": {"attribute": "SHOE", "operator": "equals", "value": 1}}],
                }
            ],
            "steps.a.branches[0].customer_conditions.attribute names 'SHOE', which is not a customer attribute.",
        ),
        (
            [{"id": "a", "kind": "wait_for", "match": {"event": "sneeze"}, "minutes": 5}],
            "steps.a.match.event names 'sneeze', which is not a declared event type.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(world: Scope, steps: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        journey(world, *steps)
    assert refused.value.message == sentence
    assert not definitions.journeys(world)


def test_only_campaigns_of_journeys_can_be_steps(world: Scope) -> None:
    other = trigger(world)
    with pytest.raises(Invalid, match="names a campaign whose trigger is not of the kind journey"):
        journey(world, {"id": "a", "kind": "message", "campaign_id": other.id})


def test_nobody_is_moved_to_a_step_that_does_not_wait(world: Scope) -> None:
    hello = message(world)
    made = journey(world, {"id": "old", "kind": "wait", "minutes": 60})
    event(world, "page_view", "C1")
    process(world, 0)
    steps = [
        {"id": "old", "kind": "message", "campaign_id": hello.id, "next": "pause"},
        {"id": "pause", "kind": "wait", "minutes": 60, "next": "last"},
        {"id": "last", "kind": "message", "campaign_id": hello.id},
    ]
    body = JourneyBody.model_validate({"name": "Welcome", "entry": SIGN_UP, "steps": steps})
    definitions.update_journey(world, made.id, body, 1)
    assert definitions.move_members(world, made.id, {}) == 0
    with pytest.raises(Invalid, match="names 'last', on which nobody waits"):
        definitions.move_members(world, made.id, {"old": "last"})
    assert definitions.move_members(world, made.id, {"old": "pause"}) == 1
    numbers = {step.step: (step.reached, step.standing, step.results) for step in reading.numbers(world, made.id).steps}
    assert numbers == {"old": (1, 0, {"moved": 1}), "pause": (1, 1, {})}
    process(world, 60)
    assert customers(world, hello) == ["C1"]
