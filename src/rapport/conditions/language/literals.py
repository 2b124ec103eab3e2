"""The values of a condition's JSON, each read with its limits: every fault is a sentence that says where it is."""

from datetime import date
from decimal import Decimal
from typing import Any

from rapport.errors import Invalid
from rapport.wording import unstorable

MAX_TEXT = 1_000
MAX_DAYS = 36_500
MAX_NUMBER = 10**18
MAX_DECIMALS = 10
MAX_ID = 2**32 - 1
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2298, 12, 31)

Scalar = str | Decimal | bool


def whole(value: Any, path: str, largest: int, smallest: int = 0) -> int:
    """A whole number in a range. Raises Invalid."""
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise Invalid(f"{path} must be a whole number from {smallest} to {largest}.")
    return value


def text(value: Any, path: str) -> str:
    """A text that is not blank. Raises Invalid."""
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


def scalar(value: Any, path: str) -> Scalar:
    """A text, an exact number, true or false. Raises Invalid."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return _number(value, path)
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return _storable(value, path)
    raise Invalid(f"{path} must be a text of at most {MAX_TEXT} characters, a number, true or false.")


def day(value: Any, path: str) -> date:
    """A calendar day. Raises Invalid."""
    try:
        read = date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{path} must be a date as YYYY-MM-DD.") from error
    if not FIRST_DAY <= read <= LAST_DAY:
        raise Invalid(f"{path} must be a date of the years {FIRST_DAY.year} to {LAST_DAY.year}.")
    return read
