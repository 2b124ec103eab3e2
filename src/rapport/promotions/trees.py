"""Condition trees in their flat form: read and checked branch by branch, and as conditions of the one language.

A branch's id is its place in the list, from 0. A branch may name an earlier one, which must be `and` or `or`, as its
parent; several branches without one must all be true.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rapport.conditions import Condition, Every, Kind, parse
from rapport.conditions.language.nodes import Some
from rapport.conditions.language.operators import Operator, operator_of
from rapport.errors import Invalid
from rapport.promotions.definitions import PropertyDefinition
from rapport.promotions.properties import Properties, attribute_of, measure_of
from rapport.promotions.states import Logic, PropertyType, Source

MOST_BRANCHES = 100
PRESENCE = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})
EQUALITY = frozenset({Operator.EQUALS, Operator.NOT_EQUALS})
MEMBERSHIP = frozenset({Operator.IN, Operator.NOT_IN})
CONTAINING = frozenset({Operator.CONTAINS, Operator.NOT_CONTAINS})
ORDER = frozenset(
    {Operator.GREATER, Operator.GREATER_OR_EQUAL, Operator.LESS, Operator.LESS_OR_EQUAL, Operator.BETWEEN}
)
OPERATORS = {
    PropertyType.STRING: EQUALITY | MEMBERSHIP | CONTAINING | {Operator.STARTS_WITH, Operator.ENDS_WITH} | PRESENCE,
    PropertyType.NUMBER: EQUALITY | MEMBERSHIP | ORDER | PRESENCE,
    PropertyType.BOOLEAN: EQUALITY | PRESENCE,
    PropertyType.DATE: EQUALITY | ORDER | PRESENCE,
    PropertyType.STRING_ARRAY: CONTAINING | PRESENCE,
    PropertyType.NUMBER_ARRAY: CONTAINING | PRESENCE,
}
# How documents of promotions spell operators.
SPELLED = {
    Operator.EQUALS: "equals",
    Operator.NOT_EQUALS: "notEquals",
    Operator.IN: "in",
    Operator.NOT_IN: "notIn",
    Operator.GREATER: "greaterThan",
    Operator.GREATER_OR_EQUAL: "greaterThanOrEquals",
    Operator.LESS: "lessThan",
    Operator.LESS_OR_EQUAL: "lessThanOrEquals",
    Operator.BETWEEN: "between",
    Operator.CONTAINS: "contains",
    Operator.NOT_CONTAINS: "notContains",
    Operator.STARTS_WITH: "startsWith",
    Operator.ENDS_WITH: "endsWith",
    Operator.IS_EMPTY: "isNull",
    Operator.IS_NOT_EMPTY: "isNotNull",
}
OF_DATES = {Operator.GREATER: "after", Operator.LESS: "before"}
LOGICAL, COMPARISON = ("type",), ("type", "source", "key", "operator", "value")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A comparison of a property. value is as it was given."""

    source: Source
    key: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch by its place: a comparison, or a combination of the branches that name it."""

    index: int
    parent: int | None
    content: Leaf | Logic
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConditionTree:
    """A tree whose form is right. path is where it stands in what was sent, for errors."""

    branches: tuple[Branch, ...]
    path: str

    @property
    def roots(self) -> tuple[Branch, ...]:
        """The branches without a parent: all of them must be true."""
        return tuple(branch for branch in self.branches if branch.parent is None)

    def leaves(self) -> Iterator[tuple[Branch, Leaf]]:
        """The comparisons, in order."""
        for branch in self.branches:
            if isinstance(branch.content, Leaf):
                yield branch, branch.content

    def place(self, branch: Branch) -> str:
        """A branch as errors name it."""
        return f"{self.path}.branches[{branch.index}]"


def tree_of(data: Any, path: str) -> ConditionTree:
    """A tree from its JSON: an object with branches, or the bare list. Raises Invalid that names the branch and why."""
    if isinstance(data, dict):
        unknown = [name for name in data if name.lower() != "branches"]
        if unknown:
            raise Invalid(f"{path} has the unknown member {unknown[0]!r}; it may have branches.")
        data = next(iter(data.values()), [])
    if not isinstance(data, list):
        raise Invalid(f"{path}.branches must be a list of branches.")
    if len(data) > MOST_BRANCHES:
        raise Invalid(f"{path}.branches must have at most {MOST_BRANCHES} branches, not {len(data)}.")
    parents: list[int | None] = []
    contents: list[Leaf | Logic] = []
    for index, branch in enumerate(data):
        at = f"{path}.branches[{index}]"
        members = _members(branch, at, ("parent", "condition"))
        parents.append(_parent(members.get("parent"), contents, at))
        contents.append(_content(members.get("condition"), f"{at}.condition"))
    children = [tuple(child for child, parent in enumerate(parents) if parent == index) for index in range(len(data))]
    for index, content in enumerate(contents):
        if isinstance(content, Logic) and not children[index]:
            raise Invalid(f"{path}.branches[{index}]: {content} needs at least one branch that has it as its parent.")
    branches = (Branch(index, parents[index], content, children[index]) for index, content in enumerate(contents))
    return ConditionTree(tuple(branches), path)


def _members(data: Any, path: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The members of an object by their names as we write them. Raises Invalid for others."""
    if not isinstance(data, dict):
        raise Invalid(f"{path} must be an object.")
    members = {str(name).lower(): value for name, value in data.items()}
    for name in members:
        if name not in allowed:
            raise Invalid(f"{path} has the unknown member {name!r}; it may have {', '.join(allowed)}.")
    return members


def _parent(parent: Any, contents: list[Leaf | Logic], at: str) -> int | None:
    if parent is None:
        return None
    if not isinstance(parent, int) or isinstance(parent, bool) or not 0 <= parent < len(contents):
        raise Invalid(f"{at}.parent must be the index of an earlier branch.")
    if not isinstance(contents[parent], Logic):
        raise Invalid(f"{at}.parent names branch {parent}, which is neither and nor or.")
    return parent


def _content(data: Any, path: str) -> Leaf | Logic:
    kind = str(data.get("type", "property")).lower() if isinstance(data, dict) else ""
    if kind in tuple(Logic):
        _members(data, path, LOGICAL)
        return Logic(kind)
    members = _members(data, path, COMPARISON)
    if kind != "property":
        raise Invalid(f"{path}.type must be and, or, or property.")
    source = members.get("source", Source.CUSTOMER)
    if source not in tuple(Source):
        raise Invalid(f"{path}.source must be {', '.join(Source)}.")
    key, name = members.get("key"), members.get("operator")
    if not isinstance(key, str) or not key:
        raise Invalid(f"{path}.key is required: the key of a property.")
    operator = operator_of(name) if isinstance(name, str) else None
    if operator not in SPELLED:
        raise Invalid(f"{path}.operator must be one of {', '.join(SPELLED.values())}, before, after.")
    return Leaf(Source(source), key, operator, members.get("value"))


def document(tree: ConditionTree, properties: Properties) -> dict[str, Any]:
    """The JSON of a tree in one spelling, as it is stored and shown."""
    return {"branches": [_branch_document(branch, properties) for branch in tree.branches]}


def _branch_document(branch: Branch, properties: Properties) -> dict[str, Any]:
    parent = {} if branch.parent is None else {"parent": branch.parent}
    if isinstance(branch.content, Logic):
        return {**parent, "condition": {"type": branch.content.value}}
    leaf = branch.content
    definition = properties.named(leaf.source, leaf.key)
    is_date = definition is not None and definition.type is PropertyType.DATE
    condition = {
        "type": "property",
        "source": leaf.source.value,
        "key": definition.key if definition else leaf.key,
        "operator": OF_DATES.get(leaf.operator, SPELLED[leaf.operator]) if is_date else SPELLED[leaf.operator],
    }
    if leaf.operator not in PRESENCE:
        condition["value"] = leaf.value
    return {**parent, "condition": condition}


def conditions_of(tree: ConditionTree, properties: Properties) -> tuple[Condition, ...]:
    """The condition that each branch is, in the order of the branches.

    Session properties stand in it as attributes named by session_attribute, promotion properties by
    promotion_attribute. Raises Invalid that names the branch, for an unknown property, an operator or a value that
    does not fit its type.
    """
    by_index: dict[int, Condition] = {}
    for branch in reversed(tree.branches):
        if isinstance(branch.content, Logic):
            parts = tuple(by_index[child] for child in branch.children)
            by_index[branch.index] = Every(parts) if branch.content is Logic.AND else Some(parts)
        else:
            by_index[branch.index] = _leaf_condition(branch.content, properties, f"{tree.place(branch)}.condition")
    return tuple(by_index[branch.index] for branch in tree.branches)


def session_attribute(key: str) -> str:
    """The name of a session property among the attributes of conditions; no attribute of a customer has a colon."""
    return f"SESSION:{key.upper()}"


def promotion_attribute(key: str) -> str:
    """The name of a promotion's own property among the attributes of conditions."""
    return f"PROMOTION:{key.upper()}"


def _leaf_condition(leaf: Leaf, properties: Properties, path: str) -> Condition:
    definition = properties.named(leaf.source, leaf.key)
    if definition is None:
        raise Invalid(f"{path}.key: there is no {leaf.source} property {leaf.key!r}.")
    if leaf.operator not in OPERATORS[definition.type]:
        raise Invalid(
            f"{path}.operator: {SPELLED[leaf.operator]} cannot compare {definition.key}, whose type is "
            f"{definition.type}."
        )
    compared: dict[str, Any] = {"operator": leaf.operator.value}
    if leaf.operator not in PRESENCE:
        compared["value"] = _value(leaf, definition, properties)
    measure = measure_of(definition) if leaf.source is Source.CUSTOMER else None
    if measure is not None and definition.measure is not None:
        return parse({**definition.measure, **compared}, path)
    return parse({"attribute": _name(leaf, definition), **compared}, path)


def _name(leaf: Leaf, definition: PropertyDefinition) -> str:
    if leaf.source is Source.SESSION:
        return session_attribute(definition.key)
    return promotion_attribute(definition.key) if leaf.source is Source.PROMOTION else attribute_of(definition)


def _value(leaf: Leaf, definition: PropertyDefinition, properties: Properties) -> Any:
    """What the condition compares with: as given, but that customers have true and false as words, or as 1 and 0."""
    if leaf.source is not Source.CUSTOMER or not isinstance(leaf.value, bool):
        return leaf.value
    kind = properties.kinds.get(attribute_of(definition))
    return str(leaf.value).lower() if kind is Kind.TEXT else int(leaf.value)
