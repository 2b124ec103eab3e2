"""The operators of a comparison: their names, what they take, which is the negation of which."""

from enum import StrEnum


class Operator(StrEnum):
    """How a value is compared. A negative operator is exactly the negation of its positive one."""

    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    IN = "in"
    NOT_IN = "not_in"
    GREATER = "greater"
    GREATER_OR_EQUAL = "greater_or_equal"
    LESS = "less"
    LESS_OR_EQUAL = "less_or_equal"
    BETWEEN = "between"
    NOT_BETWEEN = "not_between"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    NOT_STARTS_WITH = "not_starts_with"
    ENDS_WITH = "ends_with"
    NOT_ENDS_WITH = "not_ends_with"
    IS_EMPTY = "is_empty"
    IS_NOT_EMPTY = "is_not_empty"
    IN_LAST_DAYS = "in_last_days"
    MORE_THAN_DAYS_AGO = "more_than_days_ago"
    IN_NEXT_DAYS = "in_next_days"
    MORE_THAN_DAYS_AHEAD = "more_than_days_ahead"
    ANNIVERSARY_IN_DAYS = "anniversary_in_days"
    TOP_PERCENT = "top_percent"
    BOTTOM_PERCENT = "bottom_percent"


class Takes(StrEnum):
    """What stands as the value of an operator."""

    NOTHING = "no value"
    ONE = "one value"
    LIST = "a list of values"
    PAIR = "a list of two values, the lower first"
    DAYS = "a whole number of days"
    PERCENT = "a number above 0 and at most 100"


NEGATIONS = {
    Operator.NOT_EQUALS: Operator.EQUALS,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_BETWEEN: Operator.BETWEEN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
    Operator.NOT_STARTS_WITH: Operator.STARTS_WITH,
    Operator.NOT_ENDS_WITH: Operator.ENDS_WITH,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
}

TAKES = {
    Operator.IS_EMPTY: Takes.NOTHING,
    Operator.IS_NOT_EMPTY: Takes.NOTHING,
    Operator.IN: Takes.LIST,
    Operator.NOT_IN: Takes.LIST,
    Operator.BETWEEN: Takes.PAIR,
    Operator.NOT_BETWEEN: Takes.PAIR,
    Operator.IN_LAST_DAYS: Takes.DAYS,
    Operator.MORE_THAN_DAYS_AGO: Takes.DAYS,
    Operator.IN_NEXT_DAYS: Takes.DAYS,
    Operator.MORE_THAN_DAYS_AHEAD: Takes.DAYS,
    Operator.ANNIVERSARY_IN_DAYS: Takes.DAYS,
    Operator.TOP_PERCENT: Takes.PERCENT,
    Operator.BOTTOM_PERCENT: Takes.PERCENT,
}

# Other spellings in use elsewhere, without case and underscores.
ALIASES = {
    "greaterthan": Operator.GREATER,
    "greaterthanorequals": Operator.GREATER_OR_EQUAL,
    "lessthan": Operator.LESS,
    "lessthanorequals": Operator.LESS_OR_EQUAL,
    "isnull": Operator.IS_EMPTY,
    "isnotnull": Operator.IS_NOT_EMPTY,
    "before": Operator.LESS,
    "after": Operator.GREATER,
}
SPELLINGS = {operator.value.replace("_", ""): operator for operator in Operator} | ALIASES


def operator_of(name: str) -> Operator | None:
    """The operator of a name in any case, with or without underscores; None when there is none."""
    return SPELLINGS.get(name.replace("_", "").lower())


def takes(operator: Operator) -> Takes:
    """What an operator takes as its value."""
    return TAKES.get(operator, Takes.ONE)
