"""What a definition names, bound to ids when it is saved: nothing that is renamed later changes whom it selects."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.schema import NAMED, called
from rapport.audiences.schema import schema as current_schema
from rapport.channels import service as channels
from rapport.conditions import Condition, channels_in, leaves, parse
from rapport.conditions.nodes import AttributeIs, HistoryIs, InList
from rapport.conditions.operators import Operator, operator_of
from rapport.errors import Invalid

# Operators that ask whether a name is one of some; the others read names as they stand on the day.
ONE_OF = {Operator.EQUALS: Operator.IN, Operator.IN: Operator.IN}
NONE_OF = {Operator.NOT_EQUALS: Operator.NOT_IN, Operator.NOT_IN: Operator.NOT_IN}
SHOWN = 10


def bound(scope: Scope, definition: Any) -> Any:
    """A definition with the ids of the stages and segments that it names. Raises Invalid for unknown names and ids."""
    condition = parse(definition)
    known = _names(scope, condition)
    _check_ids(scope, condition, known)
    return _bound(definition, "definition", current_schema(scope).attributes, known)


def _names(scope: Scope, condition: Condition) -> dict[str, Mapping[int, str]]:
    """The names behind the attributes of a condition that stand for stages and segments, by the attribute of the id."""
    asked = {leaf.name.upper() for leaf in leaves(condition) if isinstance(leaf, AttributeIs)}
    return {by_id: called(scope, by_id) for name, by_id in NAMED.items() if name in asked or by_id in asked}


def _bound(definition: Any, path: str, attributes: Collection[str], known: Mapping[str, Mapping[int, str]]) -> Any:
    if isinstance(definition, list):
        return [_bound(one, f"{path}[{n}]", attributes, known) for n, one in enumerate(definition)]
    if not isinstance(definition, dict):
        return definition
    if "attribute" in definition:
        return _bound_leaf(definition, path, attributes, known)
    nested = ("all", "any", "not")
    return {
        name: _bound(one, f"{path}.{name}", attributes, known) if name in nested else one
        for name, one in definition.items()
    }


def _bound_leaf(
    leaf: dict[str, Any], path: str, attributes: Collection[str], known: Mapping[str, Mapping[int, str]]
) -> dict[str, Any]:
    by_id = NAMED.get(leaf["attribute"].strip().upper())
    operator = operator_of(leaf["operator"])
    wanted = ONE_OF.get(operator) or NONE_OF.get(operator) if operator else None
    if by_id is None or by_id not in attributes or wanted is None:
        return leaf
    values = leaf["value"] if isinstance(leaf["value"], list) else [leaf["value"]]
    ids: list[int] = []
    for value in values:
        found = [number for number, name in known[by_id].items() if name.lower() == str(value).strip().lower()]
        if not found:
            names = ", ".join(repr(name) for name in list(known[by_id].values())[:SHOWN]) or "none yet"
            raise Invalid(f"{path}.value names {value!r}, which does not exist; there are {names}.")
        ids += found
    if len(ids) == 1 and not isinstance(leaf["value"], list):
        return {"attribute": by_id, "operator": leaf["operator"], "value": ids[0]}
    return {"attribute": by_id, "operator": wanted.value, "value": sorted(set(ids))}


def _check_ids(scope: Scope, condition: Condition, known: Mapping[str, Mapping[int, str]]) -> None:
    """Every id that is compared for equality or filtered by must exist. Raises Invalid."""
    for leaf in leaves(condition):
        if isinstance(leaf, AttributeIs) and leaf.name in known:
            _check_numbers(leaf, known[leaf.name])
        if isinstance(leaf, HistoryIs):
            for name, values in leaf.filters:
                if name in queries.KNOWN_IDS:
                    _check_some(scope, name, values)
        if isinstance(leaf, InList) and not scope.warehouse.value(queries.HAS_LIST, list=leaf.list_id):
            raise Invalid(f"definition names customer list {leaf.list_id}, which does not exist.")
    known_channels = {one.id for one in channels.channels(scope)} if channels_in(condition) else set()
    for number in sorted(channels_in(condition) - known_channels):
        raise Invalid(f"definition names channel {number}, which does not exist.")


def _check_numbers(leaf: AttributeIs, known: Mapping[int, str]) -> None:
    operator, value = leaf.comparison.operator, leaf.comparison.value
    if operator in ONE_OF or operator in NONE_OF:
        for one in value if isinstance(value, tuple) else (value,):
            if one not in known:
                raise Invalid(f"{leaf.path}.value names {one}, which is not an id of {leaf.name}.")


def _check_some(scope: Scope, name: str, values: tuple[Any, ...]) -> None:
    with scope.records() as session:
        found = set(session.scalars(text(queries.KNOWN_IDS[name]), {"tenant_id": scope.tenant_id}))
    for value in values:
        if value not in found:
            raise Invalid(f"definition names {name} {value}, which does not exist.")
