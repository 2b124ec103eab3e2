"""From JSON to nodes: every fault is one sentence that says where it is and what was expected."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from rapport.conditions.histories import INTERACTIONS, OUTCOMES, SOURCES, Filter, Measure, Source
from rapport.conditions.nodes import (
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
    Scalar,
    Some,
    Window,
)
from rapport.conditions.operators import Operator, Takes, operator_of, takes
from rapport.conditions.text import fold
from rapport.errors import Invalid
from rapport.wording import unstorable

MAX_DEPTH = 20
MAX_NODES = 500
MAX_HISTORIES = 100  # each is a statement within the statement
MAX_VALUES = 100_000
MAX_TEXT = 1_000
MAX_DAYS = 36_500
MAX_NUMBER = 10**18
MAX_DECIMALS = 10
MAX_ID = 2**32 - 1
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2298, 12, 31)


def parse(data: Any) -> Condition:
    """A condition from its JSON form (see docs/conditions.md). Raises Invalid naming the place of the fault."""
    return _Parser().condition(data, "definition", 1)


def _object(data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Invalid(f"{path} must be an object.")
    return data


def _members(data: dict[str, Any], path: str, *allowed: str) -> None:
    for name in data:
        if name not in allowed:
            raise Invalid(f"{path} has the unknown member {name!r}; it may have {', '.join(allowed)}.")


def _whole(value: Any, path: str, largest: int, smallest: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise Invalid(f"{path} must be a whole number from {smallest} to {largest}.")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        raise Invalid(f"{path} must be a text of 1 to {MAX_TEXT} characters.")
    return _storable(value, path)


def _storable(value: str, path: str) -> str:
    if fault := unstorable(value):
        raise Invalid(f"{path} {fault}.")
    return value


def _number(value: float | Decimal, path: str) -> Decimal:
    exact = Decimal(str(value))
    if not exact.is_finite() or abs(exact) > MAX_NUMBER:
        raise Invalid(f"{path} must be a number of at most {MAX_NUMBER}.")
    exponent = exact.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        raise Invalid(f"{path} must be a number with at most {MAX_DECIMALS} decimals.")
    return exact


def _scalar(value: Any, path: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return _number(value, path)
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return _storable(value, path)
    raise Invalid(f"{path} must be a text of at most {MAX_TEXT} characters, a number, true or false.")


def _date(value: Any, path: str) -> date:
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{path} must be a date as YYYY-MM-DD.") from error
    if not FIRST_DAY <= day <= LAST_DAY:
        raise Invalid(f"{path} must be a date of the years {FIRST_DAY.year} to {LAST_DAY.year}.")
    return day


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
        found = [kind for kind in self._kinds if kind in _object(data, path)]
        if len(found) != 1:
            raise Invalid(f"{path} must have exactly one of the members {', '.join(self._kinds)}.")
        if depth > MAX_DEPTH:
            raise Invalid(f"{path} is nested deeper than {MAX_DEPTH} levels.")
        self._count(1, path)
        return self._kinds[found[0]](data, path, depth)

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
        name = _text(data["attribute"], f"{path}.attribute").strip().upper()
        return AttributeIs(name, self._comparison(data, path), path)

    def _group(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "group")
        return InGroup(_whole(data["group"], f"{path}.group", MAX_ID, 1))

    def _list(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "list")
        return InList(_whole(data["list"], f"{path}.list", MAX_ID, 1))

    def _customers(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "customers")
        ids = self._some(data["customers"], f"{path}.customers")
        return CustomerIs(tuple(fold(_text(one, f"{path}.customers[{i}]")) for i, one in enumerate(ids)))

    def _reachable(self, data: dict[str, Any], path: str, depth: int) -> Condition:
        _members(data, path, "reachable")
        asked = _object(data["reachable"], f"{path}.reachable")
        _members(asked, f"{path}.reachable", "channel")
        return Reachable(_whole(asked.get("channel"), f"{path}.reachable.channel", MAX_ID, 1))

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

    def _operand(self, what: Takes, value: Any, path: str) -> Scalar | tuple[Scalar, ...]:
        if what is Takes.DAYS:
            return Decimal(_whole(value, path, MAX_DAYS))
        if what is Takes.LIST:
            return tuple(_scalar(one, f"{path}[{i}]") for i, one in enumerate(self._some(value, path)))
        if what is Takes.PAIR:
            return self._pair(value, path)
        scalar = _scalar(value, path)
        if what is Takes.PERCENT and not (isinstance(scalar, Decimal) and 0 < scalar <= 100):
            raise Invalid(f"{path} must be a number above 0 and at most 100.")
        return scalar

    def _pair(self, value: Any, path: str) -> tuple[Scalar, ...]:
        if not isinstance(value, list) or len(value) != 2:
            raise Invalid(f"{path} must be a list of two values, the lower first.")
        low, high = _scalar(value[0], f"{path}[0]"), _scalar(value[1], f"{path}[1]")
        backward = isinstance(low, Decimal) and isinstance(high, Decimal) and low > high
        if type(low) is not type(high) or backward:
            raise Invalid(f"{path} must have two values of one type, the lower first.")
        return low, high

    def _some(self, value: Any, path: str) -> list[Any]:
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
        source = SOURCES.get(data["history"]) if isinstance(data["history"], str) else None
        if source is None:
            raise Invalid(f"{path}.history must be one of {', '.join(SOURCES)}.")
        measure = data.get("measure", "count")
        if measure not in source.measures:
            raise Invalid(f"{path}.measure must be one of {', '.join(source.measures)}.")
        filters, properties = self._where(data.get("where", {}), f"{path}.where", source)
        return HistoryIs(
            data["history"],
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

    def _where(self, data: Any, path: str, source: Source) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        allowed = [*source.filters, *(["properties"] if "event_type" in source.filters else [])]
        _members(_object(data, path), path, *allowed)
        filters = tuple(
            (name, self._filter_values(source.filters[name], data[name], f"{path}.{name}"))
            for name in sorted(data)
            if name != "properties"
        )
        properties = _object(data.get("properties", {}), f"{path}.properties")
        self._count(len(properties), f"{path}.properties")
        return filters, tuple(
            (_text(name, f"{path}.properties"), self._filter_values(Filter.TEXT, value, f"{path}.properties.{name}"))
            for name, value in sorted(properties.items())
        )

    def _filter_values(self, what: Filter, value: Any, path: str) -> tuple[Any, ...]:
        return tuple(_filter(what, one, at) for one, at in self._each(value, path))

    def _each(self, value: Any, path: str) -> list[tuple[Any, str]]:
        if not isinstance(value, list):
            return [(value, path)]
        return [(one, f"{path}[{i}]") for i, one in enumerate(self._some(value, path))]


def _filter(what: Filter, value: Any, path: str) -> Any:
    if what is Filter.ID:
        return _whole(value, path, MAX_ID)
    if what is Filter.TEXT:
        return fold(_text(value, path))
    allowed = list(INTERACTIONS) if what is Filter.INTERACTION else list(OUTCOMES)
    if value not in allowed:
        raise Invalid(f"{path} must be one of {', '.join(allowed)}.")
    return value


def _window(data: Any, path: str) -> Window:
    _members(_object(data, path), path, "days", "from", "to")
    if "days" in data:
        if len(data) > 1:
            raise Invalid(f"{path} must have either days, or from and to.")
        return Window(days=_whole(data["days"], f"{path}.days", MAX_DAYS))
    start = _date(data["from"], f"{path}.from") if "from" in data else None
    end = _date(data["to"], f"{path}.to") if "to" in data else None
    if start and end and start > end:
        raise Invalid(f"{path}.to must not be before from.")
    return Window(start=start, end=end)
