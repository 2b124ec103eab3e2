"""The conditions of branches: ATTRIBUTE, which asks whether it has a value, or ATTRIBUTE, an operator and a literal.

A bare literal is a number, and compares with numbers only. A literal in single quotes compares as a date when the value
has a format that the literal has, too, and else as a text in upper case. A blank value is none: it is different from
every literal, and compares with none in any other way. Formatting prefixes do not matter.
"""

import operator as operators
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from rapport.messaging.tags.dates import date_format, moments
from rapport.messaging.tags.language import Field, field_of

CONDITION = re.compile(r"(?P<subject>[^=!<>']*)(?P<operator>[=!<>]*)(?P<literal>.*)", re.DOTALL)
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)")
# An apostrophe may stand within a word.
QUOTED = re.compile(r"'((?:[^']|(?<=\w)'(?=\w))*)'")
OPERATOR_SIGN = re.compile("[=!<>]")
QUOTED_TEXT = re.compile(r"'[^']*'")


class Operator(StrEnum):
    """How a value is compared with a literal."""

    EQUAL = "=="
    DIFFERENT = "!="
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="


COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: operators.eq,
    Operator.DIFFERENT: operators.ne,
    Operator.GREATER: operators.gt,
    Operator.AT_LEAST: operators.ge,
    Operator.LESS: operators.lt,
    Operator.AT_MOST: operators.le,
}
KNOWN_OPERATORS = ", ".join(Operator)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a condition, in a sentence, and the words that are wrong."""

    message: str
    details: str = ""


@dataclass(frozen=True)
class Condition:
    """A condition that can be asked: of a value that is not blank."""

    field: Field
    operator: Operator | None
    asks: Callable[[str], bool]

    def holds(self, texts: Mapping[str, str]) -> bool:
        """Whether it is met by values by key."""
        value = texts.get(self.field.key)
        if not value or value.isspace():
            return self.operator is Operator.DIFFERENT
        return self.asks(value)


@lru_cache(maxsize=4096)
def read_condition(text: str) -> Condition | Fault:
    """A condition, or what is wrong with it."""
    subject, sign, literal = CONDITION.findall(text)[0]
    field, literal = field_of(subject), literal.strip()
    if field is None or (not sign and literal):
        return Fault("This is not a condition: name an attribute, or an attribute, an operator and a value.", text)
    if field.wrong_format:
        return Fault(f"The format {field.wrong_format!r} has a token that does not exist.", field.wrong_format)
    if not sign:
        return Condition(field, None, lambda value: True)
    if sign not in tuple(Operator):
        return Fault(f"The operator {sign!r} does not exist: use one of {KNOWN_OPERATORS}.", sign)
    if OPERATOR_SIGN.search(QUOTED_TEXT.sub("", literal)):
        return Fault("A condition has a single operator: use ELSEIF for another condition.", literal)
    return _comparison(field, Operator(sign), literal)


def _comparison(field: Field, operator: Operator, literal: str) -> Condition | Fault:
    if NUMBER.fullmatch(literal):
        return _with_number(field, operator, literal)
    quoted = QUOTED.fullmatch(literal)
    if quoted is None:
        return Fault(f"The value {literal!r} is neither a number nor in single quotes.", literal)
    return _with_date(field, operator, quoted[1]) if field.date_tag else _with_text(field, operator, quoted[1])


def _with_number(field: Field, operator: Operator, literal: str) -> Condition | Fault:
    form = date_format(field.date_tag, field.key.partition(":")[2]) if field.date_tag else None
    if form is not None and not form.is_number:
        return _of_another_format(field, literal)
    number, compare = Decimal(literal), COMPARISONS[operator]

    def asks(value: str) -> bool:
        plain = value.strip()
        if not NUMBER.fullmatch(plain):
            return operator is Operator.DIFFERENT
        return compare(Decimal(plain), number)

    return Condition(field, operator, asks)


def _with_date(field: Field, operator: Operator, literal: str) -> Condition | Fault:
    form = date_format(field.date_tag, field.key.partition(":")[2])
    moment = form.read(literal) if form else None
    if form is None or moment is None:
        return _of_another_format(field, literal)
    read, compare = form.read, COMPARISONS[operator]
    return Condition(field, operator, lambda value: compare(read(value) or (), moment))


def _with_text(field: Field, operator: Operator, literal: str) -> Condition:
    compare, text, own = COMPARISONS[operator], literal.upper(), moments(literal)

    def asks(value: str) -> bool:
        others = moments(value) if own else {}
        for form in own:
            if form in others:
                return compare(others[form], own[form])
        return compare(value.upper(), text)

    return Condition(field, operator, asks)


def _of_another_format(field: Field, literal: str) -> Fault:
    tag, _, form = field.key.partition(":")
    return Fault(f"The value {literal!r} is not in the format of [%{tag}:{form}%], which it is compared with.", form)
