"""From an operator and its value to a plain test, once, for both evaluators.

Every subtlety is decided here: which operators fit a kind, which range a date stands for in the
tenant's zone, what a relative date counts from. What is left for the evaluators is a handful of
tests on typed values, so they cannot differ on a date or a case.

Dates: a value given as YYYY-MM-DD stands for that whole day of the tenant; with a time of day for
a wall-clock time of the tenant; with an offset or Z for an instant. A local time is compared by
the wall clock, an instant by the moment (a wall-clock time that a clock change skips or repeats
is the instant that stores.clock.instant_of gives).
"""

import calendar
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

from rapport.conditions.language.literals import Scalar
from rapport.conditions.language.nodes import AttributeIs, Comparison, Window
from rapport.conditions.language.operators import NEGATIONS, Operator
from rapport.conditions.schema import DATED, LISTS, NUMERIC, Anchor, Column, Kind, Schema
from rapport.conditions.text import fold
from rapport.errors import Invalid
from rapport.stores.clock import instant_of

FIRST_YEAR, LAST_YEAR = 1901, 2298
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Within:
    """low <= value < high, or <= high when closed; None is open. strict makes it low < value."""

    low: Any = None
    high: Any = None
    closed: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equal to one of the values: folded texts, numbers or booleans."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """A folded text that contains, starts with or ends with another."""

    how: Literal["contains", "starts", "ends"]
    text: str


@dataclass(frozen=True, slots=True)
class Holds:
    """A list of which one element equals the value (folded text or number)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Missing:
    """No value, an empty text or an empty list."""


@dataclass(frozen=True, slots=True)
class Anniversary:
    """A day before `before` whose month * 100 + day is one of the given."""

    month_days: tuple[int, ...]
    before: date


Test = Within | OneOf | Matches | Holds | Missing | Anniversary


@dataclass(frozen=True, slots=True)
class Resolved:
    """A test of a kind of value, negated or not. A missing value passes no test but Missing, so it passes a
    negated one."""

    kind: Kind
    test: Test
    negated: bool


def resolve(comparison: Comparison, kind: Kind, anchor: Anchor, *, percentile: bool = False) -> Resolved:
    """The test that a comparison is for values of a kind, as of an anchor. Raises Invalid when they do not fit."""
    positive = NEGATIONS.get(comparison.operator, comparison.operator)
    negated = positive is not comparison.operator
    if positive is Operator.IS_EMPTY:
        return Resolved(kind, Missing(), negated)
    if kind in NUMERIC:
        test = _number(comparison, positive, kind, percentile)
    elif kind in DATED:
        test = _dated(comparison, positive, kind, anchor)
    elif kind in LISTS:
        test = _list(comparison, positive, kind)
    else:
        test = _text(comparison, positive) if kind is Kind.TEXT else _boolean(comparison, positive)
    return Resolved(kind, test, negated)


def column_of(condition: AttributeIs, schema: Schema) -> Column:
    """The column that a condition compares. Raises Invalid for an unknown attribute."""
    column = schema.column(condition.name)
    if column is None:
        message = (
            f"{condition.path}.attribute names {condition.name!r}, which is not a customer attribute. {schema.missing}"
        )
        raise Invalid(message.rstrip())
    return column


def resolve_column(comparison: Comparison, column: Column, anchor: Anchor) -> Resolved:
    """The test that a comparison is for an attribute. Raises Invalid when they do not fit."""
    positive = NEGATIONS.get(comparison.operator, comparison.operator)
    if column.stored and positive in (Operator.EQUALS, Operator.IN):
        values = tuple(column.stored(value) or value for value in _values(comparison))
        comparison = replace(comparison, value=values if positive is Operator.IN else values[0])
    return resolve(comparison, column.kind, anchor, percentile=column.percentile)


_ORDERED = (
    Operator.EQUALS,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.BETWEEN,
)
_TEXT = (Operator.EQUALS, Operator.IN, Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)


def operators_of(kind: Kind, *, percentile: bool = False) -> list[Operator]:
    """The operators that can compare a kind, each beside its negation."""
    if kind in NUMERIC:
        ranks = (Operator.TOP_PERCENT, Operator.BOTTOM_PERCENT) if percentile else ()
        positive = {*_ORDERED, Operator.IN, *ranks}
    elif kind in DATED:
        positive = {*_ORDERED, *RELATIVE}
    else:
        positive = set(_TEXT) if kind is Kind.TEXT else {Operator.CONTAINS if kind in LISTS else Operator.EQUALS}
    positive.add(Operator.IS_EMPTY)
    return [operator for operator in Operator if NEGATIONS.get(operator, operator) in positive]


def _misfit(comparison: Comparison, kind: str) -> Invalid:
    return Invalid(f"{comparison.path}.operator: {comparison.operator} cannot compare a {kind}.")


def _values(comparison: Comparison) -> tuple[Scalar, ...]:
    value = comparison.value
    assert value is not None, "parsing gives every operator the value that it takes"  # noqa: S101
    return value if isinstance(value, tuple) else (value,)


# Text, boolean, lists


def _text(comparison: Comparison, operator: Operator) -> Test:
    texts = tuple(fold(_as_text(value, comparison)) for value in _values(comparison))
    if operator in (Operator.EQUALS, Operator.IN):
        return OneOf(texts)
    how: dict[Operator, Literal["contains", "starts", "ends"]] = {
        Operator.CONTAINS: "contains",
        Operator.STARTS_WITH: "starts",
        Operator.ENDS_WITH: "ends",
    }
    if operator not in how:
        raise _misfit(comparison, "text")
    return Matches(how[operator], texts[0])


def _as_text(value: Scalar, comparison: Comparison) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{comparison.path}.value must be text.")
    if not value:
        raise Invalid(f"{comparison.path}.value must not be empty: use is_empty.")
    return value


def _boolean(comparison: Comparison, operator: Operator) -> Test:
    if operator is not Operator.EQUALS:
        raise _misfit(comparison, "boolean")
    (value,) = _values(comparison)
    if not isinstance(value, bool):
        raise Invalid(f"{comparison.path}.value must be true or false.")
    return OneOf((value,))


def _list(comparison: Comparison, operator: Operator, kind: Kind) -> Test:
    if operator is not Operator.CONTAINS:
        raise _misfit(comparison, kind)
    (value,) = _values(comparison)
    if kind is Kind.TEXTS:
        return Holds(fold(_as_text(value, comparison)))
    return Holds(float(_as_number(value, comparison)))


# Numbers


def _as_number(value: Scalar, comparison: Comparison) -> Decimal:
    if not isinstance(value, Decimal):
        raise Invalid(f"{comparison.path}.value must be a number.")
    return value


RANGES: dict[Operator, Callable[[Any, Any], Within]] = {
    Operator.EQUALS: lambda low, high: Within(low, high, closed=True),
    Operator.BETWEEN: lambda low, high: Within(low, high, closed=True),
    Operator.GREATER: lambda low, high: Within(low=low, strict=True),
    Operator.GREATER_OR_EQUAL: lambda low, high: Within(low=low),
    Operator.LESS: lambda low, high: Within(high=low),
    Operator.LESS_OR_EQUAL: lambda low, high: Within(high=low, closed=True),
    Operator.BOTTOM_PERCENT: lambda low, high: Within(high=low, closed=True),
    Operator.TOP_PERCENT: lambda low, high: Within(low=100 - low, strict=True),
}


def _number(comparison: Comparison, operator: Operator, kind: Kind, percentile: bool) -> Test:
    if operator in (Operator.TOP_PERCENT, Operator.BOTTOM_PERCENT) and not percentile:
        raise Invalid(f"{comparison.path}.operator: {operator} needs an attribute that is a percentile rank.")
    if operator not in RANGES and operator is not Operator.IN:
        raise _misfit(comparison, "number")
    exact = [_as_number(value, comparison) for value in _values(comparison)]
    numbers: list[Any] = [float(value) for value in exact] if kind is Kind.FLOAT else list(exact)
    if operator is Operator.IN:
        return OneOf(tuple(numbers))
    return RANGES[operator](numbers[0], numbers[-1])


# Dates


def within(window: Window, kind: Kind, anchor: Anchor) -> Within:
    """The range of times of a kind that a window of days leaves, ended by the last day that is known."""
    first = anchor.today - timedelta(days=window.days) if window.days is not None else window.start
    last = min(window.end or anchor.known_through, anchor.known_through)
    low = None if first is None else day_start(first, kind, anchor)
    return Within(low, day_start(last + ONE_DAY, kind, anchor))


@dataclass(frozen=True, slots=True)
class _Span:
    """The values that a date given in a condition stands for: start <= x < end, or the one moment when they meet."""

    start: Any
    end: Any

    @property
    def moment(self) -> bool:
        """Whether it is a moment, not a day."""
        return bool(self.start == self.end)


def day_start(day: date, kind: Kind, anchor: Anchor) -> Any:
    """The first value of a kind that lies in a tenant day."""
    if kind is Kind.DATE:
        return day
    midnight = datetime.combine(day, time())
    return midnight if kind is Kind.TIME else instant_of(midnight, anchor.time_zone)


def _day(day: date, kind: Kind, anchor: Anchor) -> _Span:
    return _Span(day_start(day, kind, anchor), day_start(day + ONE_DAY, kind, anchor))


def _span(value: Scalar, comparison: Comparison, kind: Kind, anchor: Anchor) -> _Span:
    moment = _moment(value, comparison)
    if not isinstance(moment, datetime):
        return _day(moment, kind, anchor)
    if kind is Kind.DATE:
        raise Invalid(f"{comparison.path}.value must be a date as YYYY-MM-DD, without a time of day.")
    if kind is Kind.TIME:
        wall = moment.astimezone(anchor.time_zone).replace(tzinfo=None) if moment.tzinfo else moment
        return _Span(wall, wall)
    instant = moment if moment.tzinfo else instant_of(moment, anchor.time_zone)
    return _Span(instant, instant)


def _moment(value: Scalar, comparison: Comparison) -> date | datetime:
    moment: date | datetime | None = None
    if isinstance(value, str):
        try:
            moment = date.fromisoformat(value) if len(value) == len("2026-01-31") else datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Invalid(
            f"{comparison.path}.value must be a date as YYYY-MM-DD, or a time as YYYY-MM-DDTHH:MM:SS, "
            f"of the years {FIRST_YEAR} to {LAST_YEAR}."
        )
    return moment


def _dated(comparison: Comparison, operator: Operator, kind: Kind, anchor: Anchor) -> Test:
    if operator in RELATIVE:
        days = timedelta(days=int(_as_number(_values(comparison)[0], comparison)))
        return RELATIVE[operator](anchor.today, days, kind, anchor)
    if operator in (Operator.IN, Operator.TOP_PERCENT, Operator.BOTTOM_PERCENT) or operator not in RANGES:
        raise _misfit(comparison, kind)
    spans = [_span(value, comparison, kind, anchor) for value in _values(comparison)]
    if spans[0].start > spans[-1].start:
        raise Invalid(f"{comparison.path}.value must have the earlier date first.")
    return _dated_range(operator, spans[0], spans[-1])


def _dated_range(operator: Operator, first: _Span, last: _Span) -> Within:
    if operator is Operator.GREATER:
        return Within(low=first.end, strict=first.moment)
    if operator is Operator.GREATER_OR_EQUAL:
        return Within(low=first.start)
    if operator is Operator.LESS:
        return Within(high=first.start)
    low = None if operator is Operator.LESS_OR_EQUAL else first.start
    return Within(low=low, high=last.end, closed=last.moment)


def _in_last(today: date, days: timedelta, kind: Kind, anchor: Anchor) -> Test:
    return Within(_day(today - days, kind, anchor).start, _day(today, kind, anchor).end)


def _long_ago(today: date, days: timedelta, kind: Kind, anchor: Anchor) -> Test:
    return Within(high=_day(today - days, kind, anchor).start)


def _in_next(today: date, days: timedelta, kind: Kind, anchor: Anchor) -> Test:
    return Within(_day(today, kind, anchor).start, _day(today + days, kind, anchor).end)


def _far_ahead(today: date, days: timedelta, kind: Kind, anchor: Anchor) -> Test:
    return Within(low=_day(today + days, kind, anchor).end)


def _anniversary(today: date, days: timedelta, kind: Kind, anchor: Anchor) -> Test:
    day = today + days
    month_days = [day.month * 100 + day.day]
    if month_days == [228] and not calendar.isleap(day.year):
        month_days.append(229)
    return Anniversary(tuple(month_days), day)


RELATIVE: dict[Operator, Callable[[date, timedelta, Kind, Anchor], Test]] = {
    Operator.IN_LAST_DAYS: _in_last,
    Operator.MORE_THAN_DAYS_AGO: _long_ago,
    Operator.IN_NEXT_DAYS: _in_next,
    Operator.MORE_THAN_DAYS_AHEAD: _far_ahead,
    Operator.ANNIVERSARY_IN_DAYS: _anniversary,
}
