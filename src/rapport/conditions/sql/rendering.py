"""A resolved test as SQL over an expression."""

from rapport.conditions.comparing import Anniversary, Holds, Matches, Missing, OneOf, Resolved, Test, Within
from rapport.conditions.schema import Anchor, Kind
from rapport.conditions.sql.binding import Binder


def render(resolved: Resolved, expression: str, anchor: Anchor, binder: Binder, *, guarded: bool = True) -> str:
    """SQL that tells whether an expression of the resolved kind passes.

    It is NULL for a missing value unless guarded or negated, when it is false or true.
    """
    sql = _test(resolved.test, resolved.kind, expression, anchor, binder)
    if resolved.negated:
        return f"(NOT ifNull({sql}, 0))"
    return f"ifNull({sql}, 0)" if guarded else sql


def _test(test: Test, kind: Kind, expression: str, anchor: Anchor, binder: Binder) -> str:
    if isinstance(test, Within):
        return within_sql(test, kind, expression, binder)
    if isinstance(test, OneOf):
        return _one_of(test, kind, expression, binder)
    if isinstance(test, Matches):
        return _matches(test, expression, binder)
    if isinstance(test, Holds):
        return _holds(test, kind, expression, binder)
    if isinstance(test, Missing):
        return _missing(kind, expression)
    return _anniversary(test, kind, expression, anchor, binder)


def within_sql(test: Within, kind: Kind, expression: str, binder: Binder) -> str:
    """A range of an expression; a range without ends asks only for a value."""
    if test.closed and test.low == test.high:
        return f"({expression} = {binder.typed(test.low, kind)})"
    parts = []
    if test.low is not None:
        parts.append(f"{expression} {'>' if test.strict else '>='} {binder.typed(test.low, kind)}")
    if test.high is not None:
        parts.append(f"{expression} {'<=' if test.closed else '<'} {binder.typed(test.high, kind)}")
    return f"({' AND '.join(parts)})"


def _one_of(test: OneOf, kind: Kind, expression: str, binder: Binder) -> str:
    value = f"lowerUTF8({expression})" if kind is Kind.TEXT else expression
    if len(test.values) == 1:
        return f"({value} = {binder.typed(test.values[0], kind)})"
    return f"({value} IN {binder.typed_list(test.values, kind)})"


def _matches(test: Matches, expression: str, binder: Binder) -> str:
    text = binder.bind(test.text, "String")
    if test.how == "contains":
        return f"(position(lowerUTF8({expression}), {text}) > 0)"
    function = "startsWith" if test.how == "starts" else "endsWith"
    return f"{function}(lowerUTF8({expression}), {text})"


def _holds(test: Holds, kind: Kind, expression: str, binder: Binder) -> str:
    if kind is Kind.NUMBERS:
        return f"has({expression}, {binder.bind(test.value, 'Float64')})"
    return f"has(arrayMap(element -> lowerUTF8(element), {expression}), {binder.bind(test.value, 'String')})"


def _missing(kind: Kind, expression: str) -> str:
    if kind in (Kind.TEXTS, Kind.NUMBERS):
        return f"empty({expression})"
    return f"({expression} IS NULL OR {expression} = '')" if kind is Kind.TEXT else f"({expression} IS NULL)"


def _anniversary(test: Anniversary, kind: Kind, expression: str, anchor: Anchor, binder: Binder) -> str:
    day = expression
    if kind is Kind.TIME:
        day = f"toDate32({expression})"
    elif kind is Kind.INSTANT:
        day = f"toDate32(toTimeZone({expression}, {binder.bind(anchor.time_zone.key, 'String')}))"
    month_day = f"toMonth({day}) * 100 + toDayOfMonth({day})"
    days = binder.bind(list(test.month_days), "Array(UInt16)")
    return f"({month_day} IN {days} AND {day} < {binder.typed(test.before, Kind.DATE)})"
