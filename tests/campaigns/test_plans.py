"""Plans of runs, as releases have kept them."""

from datetime import date
from json import dumps
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.goals import goal_of
from rapport.campaigns.models import ORDERS, Occurrence, Series
from rapport.campaigns.plans import Plan, PlannedTrigger, TriggerSchedule
from rapport.campaigns.schemas import FrequencyCap, Schedule
from rapport.campaigns.triggered.schemas import ReEntryRule

GROUP = {
    "action_id": 2,
    "share": 1.0,
    "channels": [{"channel_id": 15, "template_id": 0, "send_time": None}],
    "promo_codes": None,
}
SCHEDULE = {"kind": "weekly", "start_date": "2026-03-02", "end_date": None, "every": 1, "weekdays": [], "days": []}
# A run of before goals, exact numbers and rules about a series' own runs, that is not processed.
EARLY: dict[str, Any] = {
    "name": "Win back",
    "split": "fixed",
    "control_share": 0.1,
    "priority": 100,
    "groups": [GROUP],
    "rules": {"exclude_target_group_ids": [4], "include_all": False, "frequency_cap": {"messages": 3, "days": 7}},
    "products": 0,
    "schedule": SCHEDULE,
    "customer_list_id": None,
    "version": 2,
}
PROCESSED = EARLY | {
    "goal": {"kind": "product", "product_id": "P1"},
    "split": "thompson",
    "shares": [1.0],
    "drawn": [[90, 10]],
    "data_date": "2026-03-01",
    "kept_off": {"15/1": "a stand"},
    "costs": [{"amount": 5.0, "per": "redeemed", "codes": ["spring"]}],
    "asked": 100,
}
ONE_TIME = EARLY | {"rules": {"min_share": 0}, "schedule": {"kind": "once", "start_date": "2026-03-02"}}
TRIGGERED = {
    "name": "Cart",
    "control_share": 0,
    "goal": {"kind": "click"},
    "groups": [{**GROUP, "promo_codes": ["A", "B"]}],
    "rules": {"exclude_target_group_ids": [], "include_all": True, "frequency_cap": None},
    "schedule": {"kind": "triggered"},
    "trigger": {"trigger": {"kind": "simple", "event": "e"}, "quiet_hours": {"start": "22:00", "end": "08:00"}},
    "notes": "",
    "tags": ["t"],
    "duration": 7,
    "conditional": False,
    "campaign_type": "Test/Control",
    "split": "fixed",
    "priority": 0,
    "products": 0,
    "customer_list_id": None,
}
STORED = {"early": EARLY, "processed": PROCESSED, "one-time": ONE_TIME, "triggered": TRIGGERED, "empty": {}}


def keep(scope: Scope, number: int) -> None:
    made = Occurrence(
        tenant_id=scope.tenant_id,
        id=number,
        series_id=number,
        execution_date=date(2026, 3, 2),
        campaign_type="Test/Control",
        duration=7,
    )
    with scope.records() as session:
        session.add(made)


def write_json(scope: Scope, number: int, plan: str) -> None:
    sql = text("UPDATE campaigns SET plan = CAST(:plan AS jsonb) WHERE tenant_id = :tenant_id AND id = :id")
    with scope.records() as session:
        session.execute(sql, {"plan": plan, "tenant_id": scope.tenant_id, "id": number})


def stored(scope: Scope, number: int) -> Any:
    sql = text("SELECT plan FROM campaigns WHERE tenant_id = :tenant_id AND id = :id")
    with scope.records() as session:
        return session.execute(sql, {"tenant_id": scope.tenant_id, "id": number}).scalar_one()


@pytest.mark.parametrize(("number", "shape"), list(enumerate(STORED.values(), start=1)), ids=list(STORED))
def test_plans_of_earlier_releases_load_and_are_written_as_they_were(
    scope: Scope, number: int, shape: dict[str, Any]
) -> None:
    keep(scope, number)
    assert stored(scope, number) == {}
    write_json(scope, number, dumps(shape | {"of_no_release": 1}))
    plan = occurrences.occurrence(scope, number).plan
    assert plan == Plan.model_validate(shape)
    with scope.records() as session:
        held = session.get(Occurrence, (scope.tenant_id, number))
        assert held is not None
        held.plan = plan.with_asked(7)
    assert stored(scope, number) == shape | {"asked": 7}
    assert occurrences.occurrence(scope, number).plan.asked == 7


def test_a_member_that_is_absent_has_what_it_meant_then() -> None:
    plan = Plan.model_validate(EARLY)
    assert goal_of(plan) == ORDERS
    assert plan.drawn is None and plan.shares is None and plan.divided_by == (1.0,) and plan.kept_off == {}
    assert plan.rules.frequency_cap == FrequencyCap(messages=3, days=7)
    assert not plan.rules.any_hour and not plan.rules.keeps_groups and plan.rules.own_runs is None
    bare = Plan.model_validate({"groups": [{"action_id": 2, "channels": []}]})
    assert bare.divided_by == (1.0,) and bare.channel_ids == set() and bare.rules.exclude_target_group_ids == ()


def test_what_processing_came_to_is_kept_beside_what_was_planned() -> None:
    early = Plan.model_validate(EARLY)
    plan = early.processed([0.4, 0.6], [(4, 1), (6, 0)], date(2026, 3, 1), {"15/1": "a stand"}, [])
    kept = plan.model_dump(mode="json", exclude_unset=True)
    drawn = {"shares": [0.4, 0.6], "drawn": [[4, 1], [6, 0]], "data_date": "2026-03-01"}
    assert kept == EARLY | drawn | {"kept_off": {"15/1": "a stand"}}
    assert plan.divided_by == (0.4, 0.6) and early.drawn is None


def test_a_triggered_plan_has_quiet_hours_and_no_days() -> None:
    plan = Plan.model_validate(TRIGGERED)
    assert plan.quiet_hours is not None and (plan.quiet_hours.start, plan.quiet_hours.then) == ("22:00", "delay")
    with pytest.raises(ValueError, match="has no schedule"):
        print(plan.days)
    assert Plan.model_validate(EARLY).days.kind == "weekly" and Plan.model_validate(EARLY).quiet_hours is None


TRIGGER = {
    "trigger": {
        "kind": "sequence",
        "event": "add_to_cart",
        "conditions": None,
        "closing": [{"event": "purchase", "conditions": {"attribute": "AMOUNT", "operator": "greater", "value": 5}}],
        "restart": [],
        "window_minutes": 30,
    },
    "customer_conditions": {"attribute": "COUNTRY", "operator": "equals", "value": "NL"},
    "visitors": True,
    "re_entry": "once",
    "quiet_hours": {"start": "22:00", "end": "08:00", "then": "skip"},
    "starts": "2026-03-02",
    "ends": None,
    "late_minutes": 5,
}


def keep_series(scope: Scope, number: int, **more: Any) -> None:
    made = Series(
        tenant_id=scope.tenant_id,
        id=number,
        name=f"Series {number}",
        target_group_id=0,
        campaign_type="Test/Control",
        groups=(),
        duration=7,
        created_at=scope.clock.now(),
        **more,
    )
    with scope.records() as session:
        session.add(made)


@pytest.mark.parametrize("shape", [TRIGGER, {"trigger": {"kind": "simple", "event": "e"}}], ids=["whole", "early"])
def test_a_trigger_is_read_as_its_shape_and_written_as_it_was(scope: Scope, shape: dict[str, Any]) -> None:
    number = 101 + len(shape)
    trigger = PlannedTrigger.model_validate(shape | {"of_no_release": 1})
    keep_series(scope, number, trigger=trigger, schedule=TriggerSchedule(kind="triggered"))
    sql = text("SELECT trigger FROM campaign_series WHERE tenant_id = :tenant_id AND id = :id")
    with scope.records() as session:
        assert session.execute(sql, {"tenant_id": scope.tenant_id, "id": number}).scalar_one() == shape
    with scope.reads() as session:
        series = session.get_one(Series, (scope.tenant_id, number))
    assert series.required_trigger == trigger
    assert series.customer_conditions == shape.get("customer_conditions")
    if shape is TRIGGER:
        assert (trigger.re_entry, trigger.starts) == (ReEntryRule.ONCE, date(2026, 3, 2))
        assert trigger.quiet_hours is not None and trigger.quiet_hours.then == "skip"


def test_a_scheduled_series_has_no_trigger(scope: Scope) -> None:
    keep_series(scope, 100, schedule=Schedule.model_validate(SCHEDULE), trigger=None)
    sql = text("SELECT trigger IS NULL FROM campaign_series WHERE tenant_id = :tenant_id AND id = 100")
    with scope.records() as session:
        assert session.execute(sql, {"tenant_id": scope.tenant_id}).scalar_one() is True
    with scope.reads() as session:
        series = session.get_one(Series, (scope.tenant_id, 100))
    assert series.trigger is None and series.customer_conditions is None
    with pytest.raises(ValueError, match="has no trigger"):
        print(series.required_trigger)


def test_a_plan_cannot_be_changed() -> None:
    plan = Plan.model_validate(EARLY)
    with pytest.raises(ValidationError, match="frozen"):
        plan.groups = ()  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        plan.groups[0].share = 0.5  # type: ignore[misc]
