"""What journeys name, attributes, events, stages and groups, is kept for them until they are archived."""

from typing import Any

import pytest
from journey_world import journey

from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.campaigns import attribute_uses, group_uses
from rapport.campaigns.triggered import definitions as triggers
from rapport.customers import changes
from rapport.customers.attributes import AttributeInfo
from rapport.errors import Conflict
from rapport.insight.snapshot import declare_attributes
from rapport.journeys import definitions
from rapport.journeys import uses as _uses  # noqa: F401 - what they name is kept for them
from rapport.journeys.schemas import SplitStep
from rapport.journeys.states import JourneyStatus


def split_by(condition: dict[str, Any]) -> dict[str, Any]:
    return {"id": "where", "kind": "split", "branches": [{"customer_conditions": condition}]}


def test_what_a_journey_uses_is_not_taken_away(world: Scope) -> None:
    for name in ("SHOE_SIZE", "WELCOMED"):
        info = AttributeInfo(name, name, "", "Int", "batch", api_updatable=True)
        changes.create_attribute(world, info)
    matched = {"event": "purchase", "conditions": {"attribute": "amount", "operator": "greater", "value": 5}}
    made = journey(
        world,
        {"id": "mark", "kind": "attribute", "values": {"welcomed": "1"}, "next": "buys"},
        {"id": "buys", "kind": "wait_for", "match": matched, "minutes": 5, "next": "where"},
        split_by({"attribute": "SHOE_SIZE", "operator": "greater", "value": 40}),
    )
    for name in ("SHOE_SIZE", "WELCOMED"):
        with pytest.raises(Conflict, match=f"it is used by journey {made.id} 'Welcome'"):
            attribute_uses.delete_attribute(world, name)
    with pytest.raises(Conflict, match=f"Journey {made.id} 'Welcome' uses the event 'purchase': steps.buys.match"):
        triggers.check_event_change(world, "purchase", {"brand": "String"})
    with pytest.raises(Conflict, match=f"api_updatable of WELCOMED must stay true: it is used by journey {made.id}"):
        attribute_uses.close_attribute(world, "WELCOMED")
    attribute_uses.close_attribute(world, "SHOE_SIZE")
    definitions.set_status(world, made.id, JourneyStatus.ARCHIVED)
    attribute_uses.close_attribute(world, "WELCOMED")
    attribute_uses.delete_attribute(world, "SHOE_SIZE")
    triggers.check_event_change(world, "purchase", {"brand": "String"})


def test_a_stage_that_is_renamed_stays_the_stage_of_a_journey(world: Scope) -> None:
    declare_attributes(world)
    made = journey(world, split_by({"attribute": "LIFECYCLE_STAGE", "operator": "equals", "value": "Churn"}))
    _, body = definitions.journey(world, made.id)
    (split,) = body.steps
    assert isinstance(split, SplitStep)
    assert split.branches[0].customer_conditions["attribute"] == "LIFECYCLE_STAGE_ID"


def test_a_target_group_that_a_journey_uses_is_not_archived(world: Scope) -> None:
    followed, asked = (
        groups.create_target_group(world, name, {"attribute": "COUNTRY", "operator": "equals", "value": name})
        for name in ("DE", "FR")
    )
    made = journey(world, split_by({"group": asked.id}), entry={"kind": "group", "target_group_id": followed.id})
    for group in (followed, asked):
        with pytest.raises(Conflict, match=f"Journey {made.id} 'Welcome' uses target group {group.id}: archive"):
            group_uses.archive_target_group(world, group.id)
    definitions.set_status(world, made.id, JourneyStatus.ARCHIVED)
    for group in (followed, asked):
        group_uses.archive_target_group(world, group.id)


def test_attributes_of_dates_and_time_zones_are_kept(world: Scope) -> None:
    changes.create_attribute(world, AttributeInfo("RENEWAL", "Renewal", "", "Date", "batch"))
    changes.create_attribute(world, AttributeInfo("TIMEZONE", "Zone", "", "Varchar", "batch"))
    journey(
        world,
        {"id": "morning", "kind": "wait_until", "time": "09:00", "time_zone": "customer"},
        entry={"kind": "date", "attribute": "renewal"},
    )
    for name in ("RENEWAL", "TIMEZONE"):
        with pytest.raises(Conflict, match=f"{name} cannot be deleted: it is used by journey"):
            attribute_uses.delete_attribute(world, name)
    with pytest.raises(Conflict, match="RENEWAL cannot become Bigint"):
        attribute_uses.retype_attribute(world, "RENEWAL", "Bigint")


def test_groups_that_a_journey_asks_for_are_computed_each_day(world: Scope) -> None:
    german = {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}
    group = groups.create_target_group(world, "Germans", german)
    made = journey(world, split_by({"group": group.id}))
    assert triggers.groups_of_triggers(world) == [group.id]
    definitions.set_status(world, made.id, JourneyStatus.ARCHIVED)
    assert triggers.groups_of_triggers(world) == []
