"""What is loaded of a few customers, with the predicate, gives the answers of the SQL over all of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from condition_trees import attribute, history, trees
from condition_world import CAMPAIGN_DAYS, DATA_DATE, SCHEMA, SERIES_OF, TODAY, World, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.audiences.facts import Needs, load
from rapport.audiences.models import Snapshot
from rapport.campaigns.models import Occurrence
from rapport.conditions import parse, to_predicate, to_sql

quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=100)


@pytest.fixture(scope="module")
def world(scope: Scope) -> World:
    made = make(scope, 20260329, 60)
    scope.warehouse.insert("customers", ["customer_id"], [(one,) for one in made.facts])
    with scope.records() as session:
        for number in (1, 2, 3):
            snapshot = Snapshot(tenant_id=scope.tenant_id, target_group_id=number, data_date=DATA_DATE)
            snapshot.versions, snapshot.size, snapshot.computed_at = {}, 0, scope.clock.now()
            session.add(snapshot)
        for campaign, series in SERIES_OF.items():
            day = Occurrence(tenant_id=scope.tenant_id, id=campaign, series_id=series)
            day.execution_date, day.campaign_type, day.duration = CAMPAIGN_DAYS[campaign], "Test/Control", 1
            session.add(day)
    return made


def swapped(customer: str) -> str:
    """The id in another case, for every third customer."""
    return customer.swapcase() if int(customer[2:]) % 3 == 0 else customer


def answers(scope: Scope, world: World, data: Any, asked: Sequence[str]) -> set[str]:
    condition = parse(data)
    needs = Needs()
    needs.of_condition(condition)
    known = load(scope, SCHEMA, DATA_DATE, [swapped(one) for one in asked], needs, TODAY)
    predicate = to_predicate(condition, SCHEMA)
    return {
        one.customer_id
        for one in known.values()
        if one.loaded and predicate(replace(one.facts, known_through=DATA_DATE))
    }


@quick
@given(data=st.one_of(attribute(), history(), trees))
def test_loaded_facts_agree_with_the_warehouse(scope: Scope, world: World, data: Any) -> None:
    compiled = to_sql(parse(data), SCHEMA)
    expected = {str(one) for (one,) in scope.warehouse.rows(compiled.sql, **compiled.parameters)}
    assert answers(scope, world, data, list(world.facts)) == expected


@settings(quick, max_examples=40)
@given(data=trees, asked=st.sets(st.integers(0, 59), min_size=1, max_size=3))
def test_a_few_customers_get_the_answers_that_all_get(scope: Scope, world: World, data: Any, asked: set[int]) -> None:
    some = [f"Cü{number}" for number in sorted(asked)]
    assert answers(scope, world, data, some) == answers(scope, world, data, list(world.facts)) & set(some)


def test_an_unknown_customer_is_told_as_such(scope: Scope, world: World) -> None:
    known = load(scope, SCHEMA, DATA_DATE, ["nobody", "CÜ1"], Needs(), TODAY)
    assert (known["nobody"].loaded, known["nobody"].customer_id) == (False, "nobody")
    assert (known["cü1"].loaded, known["cü1"].customer_id) == (True, "Cü1")
