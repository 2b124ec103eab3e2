"""From JSON to nodes: every fault is one sentence that says where it is and what was expected."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from rapport.conditions.histories.base import History
from rapport.conditions.histories.filters import Texts, Values
from rapport.conditions.histories.registry import HISTORIES
from rapport.conditions.language.literals import MAX_DAYS, MAX_ID, Scalar, day, scalar, text, whole
from rapport.conditions.language.nodes import (
    AttributeIs,
    Comparison,
    Condition,
    CustomerIs,
    Every,
    HistoryIs,
    InGroup,
    InList,
    Not,
    Reachable,
    Some,
    Window,
)
from rapport.conditions.language.operators import Operator, Takes, operator_of, takes
from rapport.conditions.measures import Measure
from rapport.conditions.text import fold
from rapport.errors import Invalid

MAX_DEPTH = 20
MAX_NODES = 500
MAX_HISTORIES = 100  # each is a statement within the statement
MAX_VALUES = 100_000
# The member of `where` that asks for properties of rows.
PROPERTIES = "properties"


def parse(data: Any, path: str = "definition") -> Condition:
    """A condition from its JSON form (see docs/conditions.md). path is what stands for it in errors.

    Raises Invalid naming the place of the fault.
    """
    return _Parser().condition(data, path, 1)


def _object(data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Invalid(f"{path} must be an object.")
    return data


def _members(data: dict[str, Any], path: str, *allowed: str) -> None:
    for name in data:
        if name not in allowed:
            raise Invalid(f"{path} has the unknown member {name!r}; it may have {', '.join(allowed)}.")


class _Parser:
    """Parses one tree, counting what it holds against the limits."""

    def __init__(self) -> None:
        self._nodes = 0
        self._histories = 0
        self._values = 0
        self._kinds: dict[str, Callable[[dict[str, Any], str, int], Condition]] = {
            "all": self._all,
            "any": self._any,
            "not": self._not,
            "attribute": self._attribute,
            "history": self._history,
            "group": self._group,
            "list": self._list,
            "customers": self._customers,
            "reachable": self._reachable,
        }

    def condition(self, data: Any, path: str, depth: int) -> Condition:
        members = [kind for kind in self._kinds if kind in _object(data, path)]
        if len(members) != 1:
            raise Invalid(f"{path} must have exactly one of the members {', '.join(self._kinds)}.")
        if depth > MAX_DEPTH:
            raise Invalid(f"{path} is nested deeper than {MAX_DEPTH} levels.")
        self._count(1, path)
        return self._kinds[members[0]](data, path, depth)

    def _count(self, conditions: int, path: str) -> None:
        self._nodes += conditions
        if self._nodes > MAX_NODES:
            raise Invalid(f"{path}: the definition has more than {MAX_NODES} conditions.")

    def _parts(self, data: dict[str, Any], path: str, depth: int, name: str) -> tuple[Condition, ...]:
        _members(data, path, name)
        parts = data[name]
        if not isinstance(parts, list):
            raise Invalid(f"{path}.{name} must be a list of conditions.")
        return tuple(self.condition(part, f"{path}.{name}[{i}]", depth + 1) for i, part in enumerate(parts))

    def _all(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        return Every(self._parts(data, path, depth, "all"))

    def _any(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        parts = self._parts(data, path, depth, "any")
        if not parts:
            raise Invalid(f"{path}.any must not be empty.")
        return Some(parts)

    def _not(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "not")
        return Not(self.condition(data["not"], f"{path}.not", depth + 1))

    def _attribute(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "attribute", "operator", "value")
        name = text(data["attribute"], f"{path}.attribute").strip().upper()
        return AttributeIs(name, self._comparison(data, path), path)

    def _group(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "group")
        return InGroup(whole(data["group"], f"{path}.group", MAX_ID, 1))

    def _list(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "list")
        return InList(whole(data["list"], f"{path}.list", MAX_ID, 1))

    def _customers(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "customers")
        ids = self._filled_list(data["customers"], f"{path}.customers")
        return CustomerIs(tuple(fold(text(customer_id, f"{path}.customers[{i}]")) for i, customer_id in enumerate(ids)))

    def _reachable(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "reachable")
        reachable = _object(data["reachable"], f"{path}.reachable")
        _members(reachable, f"{path}.reachable", "channel")
        return Reachable(whole(reachable.get("channel"), f"{path}.reachable.channel", MAX_ID, 1))

    # Comparisons

    def _comparison(self, data: dict[str, Any], path: str) -> Comparison:
        name = data.get("operator")
        operator = operator_of(name) if isinstance(name, str) else None
        if operator is None:
            raise Invalid(f"{path}.operator must be one of {', '.join(Operator)}.")
        if takes(operator) is Takes.NOTHING:
            if data.get("value") is not None:
                raise Invalid(f"{path}.value must be left out, since {operator} takes no value.")
            return Comparison(operator, None, path)
        return Comparison(operator, self._operand(takes(operator), data.get("value"), f"{path}.value"), path)

    def _operand(self, operand_kind: Takes, value: Any, path: str) -> Scalar | tuple[Scalar, ...]:
        if operand_kind is Takes.DAYS:
            return Decimal(whole(value, path, MAX_DAYS))
        if operand_kind is Takes.LIST:
            return tuple(scalar(element, f"{path}[{i}]") for i, element in enumerate(self._filled_list(value, path)))
        if operand_kind is Takes.PAIR:
            return self._pair(value, path)
        operand = scalar(value, path)
        if operand_kind is Takes.PERCENT and not (isinstance(operand, Decimal) and 0 < operand <= 100):
            raise Invalid(f"{path} must be a number above 0 and at most 100.")
        return operand

    def _pair(self, value: Any, path: str) -> tuple[Scalar, ...]:
        if not isinstance(value, list) or len(value) != 2:
            raise Invalid(f"{path} must be a list of two values, the lower first.")
        low, high = scalar(value[0], f"{path}[0]"), scalar(value[1], f"{path}[1]")
        backward = isinstance(low, Decimal) and isinstance(high, Decimal) and low > high
        if type(low) is not type(high) or backward:
            raise Invalid(f"{path} must have two values of one type, the lower first.")
        return low, high

    def _filled_list(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise Invalid(f"{path} must be a list with at least one value.")
        self._values += len(value)
        if self._values > MAX_VALUES:
            raise Invalid(
                f"{path}: the definition lists more than {MAX_VALUES} values; store a customer list and refer to it."
            )
        return value

    # Histories

    def _history(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "history", "measure", "where", "window", "operator", "value")
        self._histories += 1
        if self._histories > MAX_HISTORIES:
            raise Invalid(f"{path}: the definition has more than {MAX_HISTORIES} conditions on a history.")
        history = HISTORIES.get(data["history"]) if isinstance(data["history"], str) else None
        if history is None:
            raise Invalid(f"{path}.history must be one of {', '.join(HISTORIES)}.")
        measure = data.get("measure", "count")
        if measure not in history.measures:
            raise Invalid(f"{path}.measure must be one of {', '.join(history.measures)}.")
        filters, properties = self._where(data.get("where", {}), f"{path}.where", history)
        return HistoryIs(
            history.name,
            Measure(measure),
            self._history_comparison(data, path),
            filters,
            properties,
            _window(data.get("window", {}), f"{path}.window"),
        )

    def _history_comparison(self, data: dict[str, Any], path: str) -> Comparison:
        if "operator" not in data and data.get("measure", "count") == "count":
            return self._comparison({"operator": "greater_or_equal", "value": data.get("value", 1)}, path)
        return self._comparison(data, path)

    def _where(self, data: Any, path: str, history: History[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        filters_by_name = history.filter_by_name
        _members(_object(data, path), path, *filters_by_name, *([PROPERTIES] if history.properties else []))
        filters = tuple(
            (name, self._filter_values(filters_by_name[name].values, data[name], f"{path}.{name}"))
            for name in sorted(data)
            if name != PROPERTIES
        )
        properties = _object(data.get(PROPERTIES, {}), f"{path}.{PROPERTIES}")
        self._count(len(properties), f"{path}.{PROPERTIES}")
        return filters, tuple(
            (text(name, f"{path}.{PROPERTIES}"), self._filter_values(Texts(), value, f"{path}.{PROPERTIES}.{name}"))
            for name, value in sorted(properties.items())
        )

    def _filter_values(self, kind: Values, value: Any, path: str) -> tuple[Any, ...]:
        return tuple(kind.read(element, at) for element, at in self._elements(value, path))

    def _elements(self, value: Any, path: str) -> list[tuple[Any, str]]:
        if not isinstance(value, list):
            return [(value, path)]
        return [(element, f"{path}[{i}]") for i, element in enumerate(self._filled_list(value, path))]


def _window(data: Any, path: str) -> Window:
    _members(_object(data, path), path, "days", "from", "to")
    if "days" in data:
        if len(data) > 1:
            raise Invalid(f"{path} must have either days, or from and to.")
        return Window(days=whole(data["days"], f"{path}.days", MAX_DAYS))
    start = day(data["from"], f"{path}.from") if "from" in data else None
    end = day(data["to"], f"{path}.to") if "to" in data else None
    if start and end and start > end:
        raise Invalid(f"{path}.to must not be before from.")
    return Window(start=start, end=end)
