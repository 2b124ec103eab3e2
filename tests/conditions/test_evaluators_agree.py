"""The two evaluators give the same answer, on random conditions and rows."""

from typing import Any

import pytest
from condition_trees import attribute, history, trees
from condition_world import COLUMNS, SCHEMA, World, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.conditions import operators_of, parse, sentence, to_predicate, to_sql

quick = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)


@pytest.fixture(scope="module")
def world(scope: Scope) -> World:
    return make(scope, 20260329, 120)


def check(scope: Scope, world: World, data: Any) -> None:
    condition = parse(data)
    compiled = to_sql(condition, SCHEMA)
    predicate = to_predicate(condition, SCHEMA)
    selected = [one for (one,) in scope.warehouse.rows(compiled.sql, **compiled.parameters)]
    assert len(selected) == len(set(selected))
    expected = {customer for customer, facts in world.facts.items() if predicate(facts)}
    assert set(selected) == expected, compiled
    assert sentence(condition)


@settings(quick, max_examples=100)
@given(data=attribute())
def test_attributes(scope: Scope, world: World, data: Any) -> None:
    check(scope, world, data)


@settings(quick, max_examples=100)
@given(data=history())
def test_histories(scope: Scope, world: World, data: Any) -> None:
    check(scope, world, data)


@settings(quick, max_examples=100)
@given(data=trees)
def test_trees(scope: Scope, world: World, data: Any) -> None:
    check(scope, world, data)


@settings(quick, max_examples=60)
@given(data=st.one_of(attribute(), history(), trees))
def test_a_condition_and_its_negation_share_out_everyone(scope: Scope, world: World, data: Any) -> None:
    sizes = []
    for told in (data, {"not": data}):
        compiled = to_sql(parse(told), SCHEMA)
        sizes.append(scope.warehouse.value(f"SELECT count() FROM ({compiled.sql})", **compiled.parameters))
    assert sum(sizes) == len(world.facts)


def test_every_kind_of_attribute_has_operators() -> None:
    assert all(len(operators_of(kind)) >= 4 for _, kind in COLUMNS.values())
