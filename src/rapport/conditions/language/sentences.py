"""Conditions as readable English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.nodes import (
    AttributeIs,
    Comparison,
    Condition,
    Every,
    HistoryIs,
    InGroup,
    InList,
    Not,
    Reachable,
    Some,
    Window,
)
from rapport.conditions.language.operators import Operator
from rapport.conditions.measures import Measure

SHOWN_VALUES = 5


@dataclass(frozen=True)
class Names:
    """How things are called: attributes by upper-case name, groups, channels and ids of history filters by number.

    ids is keyed by the filter's name (event_type, campaign, series, action, channel), values by the upper-case name
    of an attribute that holds ids.
    """

    attributes: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    ids: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    values: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    channels: Mapping[int, str] = field(default_factory=dict)


PHRASES = {
    Operator.EQUALS: "is {0}",
    Operator.NOT_EQUALS: "is not {0}",
    Operator.IN: "is one of {0}",
    Operator.NOT_IN: "is none of {0}",
    Operator.GREATER: "is more than {0}",
    Operator.GREATER_OR_EQUAL: "is at least {0}",
    Operator.LESS: "is less than {0}",
    Operator.LESS_OR_EQUAL: "is at most {0}",
    Operator.BETWEEN: "is between {0}",
    Operator.NOT_BETWEEN: "is not between {0}",
    Operator.CONTAINS: "contains {0}",
    Operator.NOT_CONTAINS: "does not contain {0}",
    Operator.STARTS_WITH: "starts with {0}",
    Operator.NOT_STARTS_WITH: "does not start with {0}",
    Operator.ENDS_WITH: "ends with {0}",
    Operator.NOT_ENDS_WITH: "does not end with {0}",
    Operator.IS_EMPTY: "is empty",
    Operator.IS_NOT_EMPTY: "is not empty",
    Operator.IN_LAST_DAYS: "is in the last {0} days",
    Operator.MORE_THAN_DAYS_AGO: "is more than {0} days ago",
    Operator.IN_NEXT_DAYS: "is in the next {0} days",
    Operator.MORE_THAN_DAYS_AHEAD: "is more than {0} days ahead",
    Operator.ANNIVERSARY_IN_DAYS: "has its anniversary in {0} days",
    Operator.TOP_PERCENT: "is in the top {0} percent",
    Operator.BOTTOM_PERCENT: "is in the bottom {0} percent",
}
MEASURES = {
    Measure.COUNT: "number of {0}",
    Measure.SUM: "total amount of {0}",
    Measure.AVERAGE: "average amount of {0}",
    Measure.MAXIMUM: "largest amount of {0}",
    Measure.MINIMUM: "smallest amount of {0}",
    Measure.FIRST_DATE: "first date of {0}",
    Measure.LAST_DATE: "last date of {0}",
}


def sentence(condition: Condition, names: Names | None = None) -> str:
    """A condition as one English sentence, without a full stop."""
    words = _words(condition, names or Names())
    return words[0].upper() + words[1:]


def _words(node: Condition, names: Names) -> str:
    if isinstance(node, Every | Some):
        return _joined(node, names)
    if isinstance(node, Not):
        return f"not ({_words(node.part, names)})"
    if isinstance(node, AttributeIs):
        return f"{names.attributes.get(node.name, node.name)} {_comparison(_with_names(node, names))}"
    if isinstance(node, HistoryIs):
        return _history(node, names)
    if isinstance(node, InGroup):
        return f"in target group {_quoted(names.groups.get(node.group_id, str(node.group_id)))}"
    if isinstance(node, InList):
        return f"on customer list {node.list_id}"
    if isinstance(node, Reachable):
        return f"reachable on channel {names.channels.get(node.channel_id, str(node.channel_id))}"
    return f"the customer is {_listed(node.ids, 'or')}"


def _joined(node: Every | Some, names: Names) -> str:
    if not node.parts:
        return "every customer"
    parts = [
        f"({_words(part, names)})" if isinstance(part, Every | Some) and len(part.parts) > 1 else _words(part, names)
        for part in node.parts
    ]
    return (" and " if isinstance(node, Every) else " or ").join(parts)


def _quoted(text: str) -> str:
    return f"'{text}'"


def _value(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value)


def _listed(values: Sequence[Any], word: str) -> str:
    shown = [_value(value) for value in values[:SHOWN_VALUES]]
    if len(values) > SHOWN_VALUES:
        return f"{', '.join(shown)} {word} {len(values) - SHOWN_VALUES} more"
    return f" {word} ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _with_names(node: AttributeIs, names: Names) -> Comparison:
    """The comparison of an attribute, with names in the place of ids that have some."""
    names_by_id: Mapping[Any, str] = names.values.get(node.name, {})
    value = node.comparison.value
    if isinstance(value, tuple):
        return replace(node.comparison, value=tuple(names_by_id.get(number, number) for number in value))
    return replace(node.comparison, value=names_by_id.get(value, value))


def _comparison(comparison: Comparison) -> str:
    phrase = PHRASES[comparison.operator]
    if comparison.value is None:
        return phrase
    if comparison.operator is Operator.ANNIVERSARY_IN_DAYS and comparison.value == 0:
        return "has its anniversary today"
    if isinstance(comparison.value, tuple):
        return phrase.format(_listed(comparison.value, "and" if "between" in phrase else "or"))
    return phrase.format(_value(comparison.value))


def _history(node: HistoryIs, names: Names) -> str:
    history = history_named(node.history)
    filters = [
        f"{history.filter_by_name[name].words} {_listed([_named(names, name, value) for value in values], 'or')}"
        for name, values in node.filters
    ] + [f"{name} {_listed(values, 'or')}" for name, values in node.properties]
    subject = MEASURES[node.measure].format(history.title)
    with_filters = f" with {' and '.join(filters)}" if filters else ""
    return f"the {subject}{with_filters}{_window(node.window)} {_comparison(node.comparison)}"


def _named(names: Names, name: str, value: Any) -> Any:
    named = names.ids.get(name, {}).get(value, value)
    return Decimal(named) if isinstance(named, int) else named


def _window(window: Window) -> str:
    if window.days is not None:
        return f" in the last {window.days} days"
    start = f" from {window.start.isoformat()}" if window.start else ""
    end = f" to {window.end.isoformat()}" if window.end else ""
    return f"{start}{end}"
