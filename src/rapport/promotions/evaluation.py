"""Condition trees evaluated: as predicates for one customer, and as SQL expressions for many, which agree.

Session and promotion properties stand beside the attributes of the customer: numbers as floating point, dates as
instants (a day is its first moment in the tenant's zone).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any

from rapport.conditions import Column, Condition, Facts, Kind, Predicate, Schema, to_expressions, to_predicate
from rapport.errors import Invalid
from rapport.promotions.definitions import PropertyDefinition
from rapport.promotions.properties import Properties, moment
from rapport.promotions.states import Logic, PropertyType
from rapport.promotions.trees import (
    Branch,
    ConditionTree,
    Leaf,
    conditions_of,
    promotion_attribute,
    session_attribute,
)
from rapport.stores.clock import instant_of

GIVEN_KINDS = {
    PropertyType.STRING: Kind.TEXT,
    PropertyType.NUMBER: Kind.FLOAT,
    PropertyType.BOOLEAN: Kind.BOOLEAN,
    PropertyType.DATE: Kind.INSTANT,
    PropertyType.STRING_ARRAY: Kind.TEXTS,
    PropertyType.NUMBER_ARRAY: Kind.NUMBERS,
}
PASSES = -1  # in the place of a failing branch


@dataclass(frozen=True)
class CompiledTree:
    """A tree with the condition of each branch, by its index, and the predicates of those that compare."""

    tree: ConditionTree
    conditions: tuple[Condition, ...]
    leaves: Mapping[int, Predicate]

    def failing(self, facts: Facts) -> int:
        """The branch for which a customer fails, PASSES for none.

        It is the first one that is false, followed down: of a false `and` its first false child, a false `or` itself.
        """
        known: dict[int, bool] = {}
        for root in self.tree.roots:
            if not self._holds(root.index, facts, known):
                return self._deepest(root, facts, known)
        return PASSES

    def results(self, facts: Facts) -> list[bool]:
        """Whether each branch is true of a customer."""
        known: dict[int, bool] = {}
        return [self._holds(branch.index, facts, known) for branch in self.tree.branches]

    def _deepest(self, branch: Branch, facts: Facts, known: dict[int, bool]) -> int:
        if branch.content is not Logic.AND:
            return branch.index
        child = next(child for child in branch.children if not self._holds(child, facts, known))
        return self._deepest(self.tree.branches[child], facts, known)

    def _holds(self, index: int, facts: Facts, known: dict[int, bool]) -> bool:
        # Every branch above asks again: without what is known, a deep tree takes the square of its depth.
        if index not in known:
            branch = self.tree.branches[index]
            if isinstance(branch.content, Leaf):
                known[index] = self.leaves[index](facts)
            else:
                of_children = (self._holds(child, facts, known) for child in branch.children)
                known[index] = all(of_children) if branch.content is Logic.AND else any(of_children)
        return known[index]


def with_given(schema: Schema, properties: Properties) -> Schema:
    """A schema in which session and promotion properties stand beside the customer's attributes."""
    columns = {
        name: Column(given_column(name), GIVEN_KINDS[definition.type])
        for name, definition in given_definitions(properties).items()
    }
    return replace(schema, attributes={**schema.attributes, **columns})


def given_column(name: str) -> str:
    """The column of a session or promotion property, by its name as an attribute."""
    return f"given__{name.replace(':', '__').lower()}"


def given_definitions(properties: Properties) -> dict[str, PropertyDefinition]:
    """The session and promotion properties by their names as attributes."""
    session = {session_attribute(key): definition for key, definition in properties.session.items()}
    return session | {promotion_attribute(key): definition for key, definition in properties.promotion.items()}


def compiled(tree: ConditionTree, properties: Properties, whole: Schema) -> CompiledTree:
    """A tree that can be evaluated; whole is a schema with_given properties. Raises Invalid that names the branch."""
    conditions = conditions_of(tree, properties)
    leaves = {branch.index: to_predicate(conditions[branch.index], whole) for branch, _ in tree.leaves()}
    return CompiledTree(tree, conditions, leaves)


def given_values(
    values: Mapping[str, Any],
    definitions: Mapping[str, PropertyDefinition],
    named: Callable[[str], str],
    schema: Schema,
) -> dict[str, Any]:
    """Checked values of session or promotion properties as facts hold them, by their names as attributes."""
    return {
        named(key): _typed(value, definitions[key.lower()].type, schema)
        for key, value in values.items()
        if value is not None
    }


def _typed(value: Any, type_: PropertyType, schema: Schema) -> Any:
    if type_ is PropertyType.NUMBER:
        return float(value)
    if type_ is PropertyType.NUMBER_ARRAY:
        return [float(element) for element in value]
    return _instant(value, schema) if type_ is PropertyType.DATE else value


def _instant(value: str, schema: Schema) -> datetime:
    day_or_time = moment(value)
    if day_or_time is None:
        raise Invalid(f"{value!r} is not a date.")
    at = day_or_time if isinstance(day_or_time, datetime) else datetime.combine(day_or_time, time())
    return at if at.tzinfo else instant_of(at, schema.time_zone)


@dataclass(frozen=True)
class TreeSql:
    """SQL of a tree over rows that have the customer's columns and the given ones.

    leaves are the expressions of its comparisons by the names of their columns; of these columns, failing is an
    expression for the failing branch, as CompiledTree.failing gives it.
    """

    leaves: Mapping[str, str]
    failing: str


def trees_sql(trees: Sequence[CompiledTree], schema: Schema) -> tuple[list[TreeSql], dict[str, Any]]:
    """Trees as SQL, and the values that it binds. schema is one with the given properties."""
    places = [(number, branch.index) for number, tree in enumerate(trees) for branch, _ in tree.tree.leaves()]
    expressions, parameters = to_expressions([trees[number].conditions[index] for number, index in places], schema)
    by_place = dict(zip(places, expressions, strict=True))
    rendered = []
    for number, tree in enumerate(trees):
        leaves = {_column(number, branch): by_place[number, branch.index] for branch, _ in tree.tree.leaves()}
        rendered.append(TreeSql(leaves, _failing(tree.tree, number)))
    return rendered, parameters


def _column(number: int, branch: Branch) -> str:
    return f"tree_{number}_{branch.index}"


def _failing(tree: ConditionTree, number: int) -> str:
    cases = "".join(f"NOT {_holds(tree, root, number)}, {_deepest_sql(tree, root, number)}, " for root in tree.roots)
    return f"multiIf({cases}{PASSES})" if cases else str(PASSES)


def _holds(tree: ConditionTree, branch: Branch, number: int) -> str:
    if isinstance(branch.content, Leaf):
        return _column(number, branch)
    parts = [_holds(tree, tree.branches[child], number) for child in branch.children]
    return f"({(' AND ' if branch.content is Logic.AND else ' OR ').join(parts)})"


def _deepest_sql(tree: ConditionTree, branch: Branch, number: int) -> str:
    if branch.content is not Logic.AND:
        return str(branch.index)
    children = [tree.branches[child] for child in branch.children]
    cases = [f"NOT {_holds(tree, child, number)}, {_deepest_sql(tree, child, number)}" for child in children]
    return f"multiIf({', '.join(cases)}, {branch.index})"
