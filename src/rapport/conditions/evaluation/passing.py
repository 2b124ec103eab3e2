"""A resolved test on one value in this process."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rapport.conditions.comparing import Anniversary, Holds, Matches, Missing, OneOf, Resolved, Test, Within
from rapport.conditions.schema import Anchor, Kind
from rapport.conditions.text import fold


def passes(resolved: Resolved, value: Any, anchor: Anchor) -> bool:
    """Whether a value of the resolved kind passes; a missing one passes only Missing, or any negated test."""
    test = resolved.test
    if isinstance(test, Missing):
        passed = value is None or value == "" or value == []
    else:
        passed = value is not None and _passes(test, _normal(value, resolved.kind), resolved.kind, anchor)
    return passed is not resolved.negated


def _normal(value: Any, kind: Kind) -> Any:
    if kind is Kind.TEXT:
        return fold(value)
    if kind is Kind.TEXTS:
        return [fold(element) for element in value]
    return Decimal(repr(value)) if kind in (Kind.INTEGER, Kind.DECIMAL) and isinstance(value, float) else value


def _passes(test: Test, value: Any, kind: Kind, anchor: Anchor) -> bool:
    if isinstance(test, Within):
        return in_range(test, value)
    if isinstance(test, OneOf):
        return value in test.values
    if isinstance(test, Matches):
        return _matches(test, value)
    if isinstance(test, Holds):
        return test.value in value
    assert isinstance(test, Anniversary), "Missing is dealt with by the caller"  # noqa: S101 - tells the type checker
    day = _day(value, kind, anchor)
    return day.month * 100 + day.day in test.month_days and day < test.before


def in_range(test: Within, value: Any) -> bool:
    """Whether a value lies in a range."""
    if test.low is not None and (value <= test.low if test.strict else value < test.low):
        return False
    return test.high is None or (value <= test.high if test.closed else value < test.high)


def _matches(test: Matches, value: str) -> bool:
    if test.how == "contains":
        return test.text in value
    return value.startswith(test.text) if test.how == "starts" else value.endswith(test.text)


def _day(value: date | datetime, kind: Kind, anchor: Anchor) -> date:
    if kind is Kind.INSTANT and isinstance(value, datetime):
        return value.astimezone(anchor.time_zone).date()
    return value.date() if isinstance(value, datetime) else value
