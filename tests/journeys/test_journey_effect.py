"""What a journey brings is read against its hold-out: orders of so many days after each customer came in."""

from datetime import UTC, datetime, time, timedelta

from journey_world import journey, members
from trigger_world import DATA_DATE, NOW, add_customers, event, process

from rapport.access.scope import Scope
from rapport.journeys import definitions
from rapport.journeys.effect import journey_effect
from rapport.journeys.models import Journey
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import MemberState

STAYING = {"id": "pause", "kind": "wait", "minutes": 100_000}
COLUMNS = ["transaction_id", "customer_id", "transaction_time", "type", "status", "amount"]
BEGAN = NOW - timedelta(days=60)  # NOW is a day after the newest data date
PEOPLE = 60


def order(scope: Scope, number: int, customer_id: str, days: float, amount: float) -> tuple[object, ...]:
    # A wall-clock time; without a zone, the client would take it for one of this process.
    at = (BEGAN + timedelta(days=days)).astimezone(scope.time_zone).replace(tzinfo=UTC)
    return (f"T{number}", customer_id, at, "purchase", "completed", amount)


def began(scope: Scope, hold_out_share: float) -> Journey:
    """A journey that people came into 60 days ago."""
    add_customers(scope, [{"customer_id": f"P{n}"} for n in range(PEOPLE)])
    made = journey(scope, STAYING, hold_out_share=hold_out_share)
    for number in range(PEOPLE):
        event(scope, "page_view", f"P{number}", minutes=-60 * 24 * 60)
    process(scope, -60 * 24 * 60)
    scope.clock.set(NOW)
    return made


def test_both_sides_are_counted_over_the_days_after_coming_in(world: Scope) -> None:
    made = began(world, 0.4)
    sides = {name: member.state is MemberState.HELD_OUT for name, member in members(world, made).items()}
    held_out = sorted(name for name, is_out in sides.items() if is_out)
    inside = sorted(name for name, is_out in sides.items() if not is_out)
    assert len(held_out) >= 8 and len(inside) >= 8
    buying = inside[:6]
    rows = [order(world, n, name, 4, 10.0) for n, name in enumerate(buying)]
    rows += [
        order(world, 100, inside[0], 8, 5.0),  # again, within ten days
        order(world, 101, inside[7], 12, 50.0),  # too late
        order(world, 102, held_out[0], 2.5, 20.0),
        order(world, 103, held_out[1], -1, 99.0),  # before
    ]
    world.warehouse.insert("transactions", COLUMNS, rows)
    effect = journey_effect(world, made.id, 10)
    assert (effect.in_journey.customers, effect.in_journey.responders) == (len(inside), 6)
    assert effect.in_journey.response_rate == 6 / len(inside)
    assert effect.in_journey.value_per_customer == 65.0 / len(inside)
    assert (effect.held_out.customers, effect.held_out.responders) == (len(held_out), 1)
    assert effect.held_out.value_per_customer == 20.0 / len(held_out)
    assert effect.waiting == 0 and effect.comparison is not None
    assert effect.comparison.control_customers == len(held_out)
    curve = {point.days: (point.in_journey.responders, point.held_out.responders) for point in effect.curve}
    assert curve == {1: (0, 0), 2: (0, 0), 3: (0, 1), 5: (6, 1), 7: (6, 1), 10: (6, 1)}


def test_only_those_count_whose_days_are_over(world: Scope) -> None:
    made = began(world, 0.4)
    event(world, "page_view", "C1")
    event(world, "page_view", "C2")
    process(world, 1)
    effect = journey_effect(world, made.id, 59)
    last_second = datetime.combine(DATA_DATE + timedelta(days=1), time(), world.time_zone)
    assert BEGAN + timedelta(days=59) <= last_second < NOW
    assert effect.in_journey.customers + effect.held_out.customers == PEOPLE
    longer = journey_effect(world, made.id, 61)
    assert longer.in_journey.customers + longer.held_out.customers == 0 and longer.waiting == PEOPLE + 2
    assert longer.comparison is None and longer.verdict == "The measurement window is still open."


def test_versions_without_a_hold_out_are_left_out(world: Scope) -> None:
    made = began(world, 0.0)
    assert journey_effect(world, made.id, 10).waiting == 0
    assert journey_effect(world, made.id, 10).verdict == "There is no control group to compare with."
    body = JourneyBody.model_validate(
        {
            "name": "Welcome",
            "entry": {"kind": "event", "match": {"event": "page_view"}},
            "steps": [STAYING],
            "hold_out_share": 0.5,
        }
    )
    definitions.update_journey(world, made.id, body, 1)
    for number in range(12):
        event(world, "page_view", f"C{number}", minutes=-30 * 24 * 60)
    process(world, -30 * 24 * 60)
    world.clock.set(NOW)
    effect = journey_effect(world, made.id, 10)
    assert effect.in_journey.customers + effect.held_out.customers == 12
