"""Conditions as a predicate over the facts of one customer, equal to the SQL in every answer."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache

from rapport.conditions.comparing import column_of, resolve_column
from rapport.conditions.evaluation.facts import Facts
from rapport.conditions.evaluation.history_facts import measured
from rapport.conditions.evaluation.passing import passes
from rapport.conditions.language.nodes import (
    AttributeIs,
    Condition,
    CustomerIs,
    Every,
    HistoryIs,
    InGroup,
    InList,
    Not,
    Reachable,
    Some,
)
from rapport.conditions.measuring import resolve_measure
from rapport.conditions.schema import Anchor, Schema
from rapport.conditions.text import fold

Predicate = Callable[[Facts], bool]


def to_predicate(condition: Condition, schema: Schema) -> Predicate:
    """A function that tells of the facts of one customer whether a condition is true.

    Relative dates count from facts.today, so one predicate serves for many days; the schema's data
    date plays no part. Raises Invalid as to_sql does.
    """

    @lru_cache(maxsize=8)
    def of_day(today: date, known_through: date) -> Predicate:
        return _compile(condition, schema, Anchor(today, known_through, schema.time_zone))

    of_day(schema.today, schema.data_date)
    return lambda facts: of_day(facts.today, facts.known_through or facts.today)(facts)


def _compile(node: Condition, schema: Schema, anchor: Anchor) -> Predicate:
    if isinstance(node, Every | Some):
        parts = [_compile(part, schema, anchor) for part in node.parts]
        combine = all if isinstance(node, Every) else any
        return lambda facts: combine(part(facts) for part in parts)
    if isinstance(node, Not):
        inner = _compile(node.part, schema, anchor)
        return lambda facts: not inner(facts)
    if isinstance(node, AttributeIs):
        return _attribute(node, schema, anchor)
    return _history(node, schema, anchor) if isinstance(node, HistoryIs) else _customer(node)


def _attribute(node: AttributeIs, schema: Schema, anchor: Anchor) -> Predicate:
    column = column_of(node, schema)
    resolved = resolve_column(node.comparison, column, anchor)
    return lambda facts: passes(resolved, facts.attributes.get(node.name), anchor)


def _history(node: HistoryIs, schema: Schema, anchor: Anchor) -> Predicate:
    resolved = resolve_measure(node, anchor)
    return lambda facts: passes(resolved, measured(node, facts, anchor, schema.values), anchor)


def _customer(node: InGroup | InList | CustomerIs | Reachable) -> Predicate:
    if isinstance(node, InGroup):
        return lambda facts: node.group_id in facts.groups
    if isinstance(node, Reachable):
        return lambda facts: node.channel_id in facts.reachable
    if isinstance(node, InList):
        return lambda facts: node.list_id in facts.lists
    ids = frozenset(node.ids)
    return lambda facts: fold(facts.customer_id) in ids
