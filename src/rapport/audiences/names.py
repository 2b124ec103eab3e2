"""What a definition names, bound to ids when it is saved: nothing that is renamed later changes whom it selects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.schema import NAMED, called
from rapport.audiences.schema import schema as current_schema
from rapport.channels import service as channels
from rapport.conditions import Condition, Every, attributes_in, channels_in, leaves, parse
from rapport.conditions.histories.filters import Ids
from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.nodes import AttributeIs, Comparison, HistoryIs, InList, Not, Some
from rapport.conditions.language.operators import Operator
from rapport.errors import Invalid

# Operators that ask whether a name is one of some; the others read names as they stand on the day.
ONE_OF = {Operator.EQUALS: Operator.IN, Operator.IN: Operator.IN}
NONE_OF = {Operator.NOT_EQUALS: Operator.NOT_IN, Operator.NOT_IN: Operator.NOT_IN}
SHOWN = 10


@dataclass(frozen=True)
class Definition:
    """A definition that names stages and segments by their ids: its JSON, as it is kept, and the same parsed."""

    raw: Any
    condition: Condition


def with_ids(scope: Scope, definition: Any) -> Definition:
    """A definition with the ids of the stages and segments that it names. Raises Invalid for unknown names and ids."""
    condition = parse(definition)
    names_by_id = _names(scope, condition)
    _check_ids(scope, condition, names_by_id)
    return Definition(*_Binding(current_schema(scope).attributes, names_by_id).of(definition, condition))


def _names(scope: Scope, condition: Condition) -> dict[str, Mapping[int, str]]:
    """The names behind the attributes of a condition that stand for stages and segments, by the attribute of the id."""
    attributes = attributes_in(condition)
    return {by_id: called(scope, by_id) for name, by_id in NAMED.items() if name in attributes or by_id in attributes}


@dataclass(frozen=True)
class _Binding:
    """Puts ids in the place of names, in the JSON of a condition and in the parsed one; the two have one shape."""

    attributes: Collection[str]
    names_by_id: Mapping[str, Mapping[int, str]]

    def of(self, raw: Any, node: Condition) -> tuple[Any, Condition]:
        """A condition and its JSON."""
        if isinstance(node, Every | Some):
            ((name, parts),) = raw.items()
            bound_parts = [self.of(part, inner) for part, inner in zip(parts, node.parts, strict=True)]
            return {name: [part for part, _ in bound_parts]}, type(node)(tuple(inner for _, inner in bound_parts))
        if isinstance(node, Not):
            part, inner = self.of(raw["not"], node.part)
            return {"not": part}, Not(inner)
        return self._leaf(raw, node) if isinstance(node, AttributeIs) else (raw, node)

    def _leaf(self, raw: dict[str, Any], node: AttributeIs) -> tuple[dict[str, Any], AttributeIs]:
        by_id, operator = NAMED.get(node.name), node.comparison.operator
        list_operator = ONE_OF.get(operator) or NONE_OF.get(operator)
        if by_id is None or by_id not in self.attributes or list_operator is None:
            return raw, node
        is_list = isinstance(raw["value"], list)
        ids = [number for name in (raw["value"] if is_list else [raw["value"]]) for number in self._ids(node, name)]
        if len(ids) == 1 and not is_list:
            comparison = replace(node.comparison, value=Decimal(ids[0]))
            return {"attribute": by_id, "operator": raw["operator"], "value": ids[0]}, self._by_id(node, comparison)
        ids = sorted(set(ids))
        comparison = replace(node.comparison, operator=list_operator, value=tuple(map(Decimal, ids)))
        return {"attribute": by_id, "operator": list_operator.value, "value": ids}, self._by_id(node, comparison)

    def _by_id(self, node: AttributeIs, comparison: Comparison) -> AttributeIs:
        return replace(node, name=NAMED[node.name], comparison=comparison)

    def _ids(self, node: AttributeIs, name: Any) -> list[int]:
        """The ids of all that is called so. Raises Invalid."""
        names = self.names_by_id[NAMED[node.name]]
        ids = [number for number, called_now in names.items() if called_now.lower() == str(name).strip().lower()]
        if not ids:
            there_are = ", ".join(repr(called_now) for called_now in list(names.values())[:SHOWN]) or "none yet"
            raise Invalid(f"{node.path}.value names {name!r}, which does not exist; there are {there_are}.")
        return ids


def _check_ids(scope: Scope, condition: Condition, names_by_id: Mapping[str, Mapping[int, str]]) -> None:
    """Every id that is compared for equality or filtered by must exist. Raises Invalid."""
    for leaf in leaves(condition):
        if isinstance(leaf, AttributeIs) and leaf.name in names_by_id:
            _check_numbers(leaf, names_by_id[leaf.name])
        if isinstance(leaf, HistoryIs):
            _check_filters(scope, leaf)
        if isinstance(leaf, InList) and not scope.warehouse.value(queries.HAS_LIST, list=leaf.list_id):
            raise Invalid(f"definition names customer list {leaf.list_id}, which does not exist.")
    known_channels = {channel.id for channel in channels.channels(scope)} if channels_in(condition) else set()
    for number in sorted(channels_in(condition) - known_channels):
        raise Invalid(f"definition names channel {number}, which does not exist.")


def _check_numbers(leaf: AttributeIs, names_of: Mapping[int, str]) -> None:
    operator, value = leaf.comparison.operator, leaf.comparison.value
    if operator in ONE_OF or operator in NONE_OF:
        for number in value if isinstance(value, tuple) else (value,):
            if number not in names_of:
                raise Invalid(f"{leaf.path}.value names {number}, which is not an id of {leaf.name}.")


def _check_filters(scope: Scope, leaf: HistoryIs) -> None:
    filters = history_named(leaf.history).filter_by_name
    for name, values in leaf.filters:
        kind = filters[name].values
        if isinstance(kind, Ids) and kind.of:
            with scope.records() as session:
                present = set(session.scalars(text(queries.KNOWN_IDS[kind.of]), {"tenant_id": scope.tenant_id}))
            for value in values:
                if value not in present:
                    raise Invalid(f"definition names {name} {value}, which does not exist.")
