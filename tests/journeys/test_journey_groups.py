"""Customers come into journeys by entering or leaving a target group, each change once, whatever is run again."""

from datetime import date, timedelta
from typing import Any

from journey_world import journey, members
from sqlalchemy import update
from trigger_world import DATA_DATE, process

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import changing, groups
from rapport.audiences.models import TargetGroup
from rapport.journeys import definitions
from rapport.journeys import group_entries as _entries  # noqa: F401 - journeys follow groups
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import JourneyStatus

GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}
STAYING = {"id": "pause", "kind": "wait", "minutes": 100_000}


def live(scope: Scope, day: int, germans: set[int]) -> None:
    """A day on which some of the customers 0 to 8 are German, up to where the daily cycle has followed the groups."""
    data_date = DATA_DATE + timedelta(days=day)
    rows = [(data_date, f"G{n}", "DE" if n in germans else "FR") for n in range(9)]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], rows)
    stand(scope, data_date)
    changing.follow_changes(scope, data_date)
    process(scope)


def stand(scope: Scope, data_date: date) -> None:
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=data_date))


def germans(scope: Scope) -> TargetGroup:
    return groups.create_target_group(scope, "Germans", GERMAN)


def by_group(group: TargetGroup, change: str = "entered") -> dict[str, Any]:
    return {"kind": "group", "target_group_id": group.id, "change": change}


def test_who_comes_into_a_group_comes_into_the_journey(world: Scope) -> None:
    group = germans(world)
    live(world, 1, {0, 1, 2})
    coming = journey(world, STAYING, entry=by_group(group))
    going = journey(world, STAYING, entry=by_group(group, "left"), name="Win back")
    live(world, 2, {0, 1, 5, 6})
    assert set(members(world, coming)) == {"G5", "G6"} and set(members(world, going)) == {"G2"}
    changing.follow_changes(world, DATA_DATE + timedelta(days=2))
    process(world)
    assert len(members(world, coming)) == 2, "the same day again brings nobody in"
    live(world, 3, {2, 5, 6, 7})
    assert set(members(world, coming)) == {"G2", "G5", "G6", "G7"}
    assert set(members(world, going)) == {"G0", "G1", "G2"}


def test_a_day_that_was_missed_is_made_up_for(world: Scope) -> None:
    group = germans(world)
    live(world, 1, {0})
    made = journey(world, STAYING, entry=by_group(group))
    live(world, 4, {0, 3, 8})
    assert set(members(world, made)) == {"G3", "G8"}


def test_changes_during_a_pause_bring_nobody_in(world: Scope) -> None:
    group = germans(world)
    live(world, 1, {0})
    made = journey(world, STAYING, entry=by_group(group))
    definitions.set_status(world, made.id, JourneyStatus.PAUSED)
    live(world, 2, {0, 1})
    definitions.set_status(world, made.id, JourneyStatus.ACTIVE)
    live(world, 3, {0, 1, 2})
    assert set(members(world, made)) == {"G2"}


def test_a_journey_may_come_before_the_first_data_date(world: Scope) -> None:
    group = germans(world)
    with world.records() as session:
        session.execute(update(Tenant).where(Tenant.id == world.tenant_id).values(last_data_date=None))
    made = journey(world, STAYING, entry=by_group(group))
    live(world, 1, {0, 1})
    assert not members(world, made), "whoever is a member at the beginning has not come"
    live(world, 2, {0, 1, 4})
    assert set(members(world, made)) == {"G4"}


def test_another_group_is_followed_from_its_first_day_on(world: Scope) -> None:
    group = germans(world)
    live(world, 1, {0})
    made = journey(world, STAYING, entry=by_group(group))
    live(world, 2, {0, 1})
    french = {"attribute": "COUNTRY", "operator": "equals", "value": "FR"}
    other = groups.create_target_group(world, "French", french)
    body = JourneyBody.model_validate({"name": "Welcome", "entry": by_group(other), "steps": [STAYING]})
    definitions.update_journey(world, made.id, body, 1)
    live(world, 3, {0})
    assert set(members(world, made)) == {"G1"}, "who was French before has not come"
