"""Values of attributes as callers of the API give them: strings, numbers, booleans or null."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rapport.customers.attributes import WORDS, AttributeInfo
from rapport.customers.formats.dates import PLACEHOLDERS

BITS = {"Bigint": 63, "Int": 31}
LARGEST_DECIMAL = Decimal(10) ** 15
MAX_TEXT = 8000
TYPE = re.compile(
    r"^\s*(?:(DECIMAL)\s*\(\s*19\s*,\s*4\s*\)|(INT|BIGINT|DATE)|(N?VARCHAR)\s*\(\s*(\d{1,4})\s*\))\s*$", re.I
)
LONGEST = {"Varchar": 8000, "Nvarchar": 4000}
READ_FORMAT = "%m/%d/%Y %H:%M:%S"
FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", READ_FORMAT)
FIRST_TIME, LAST_TIME = datetime(1970, 1, 1), datetime(2106, 1, 1)
FIRST_YEAR, LAST_YEAR = 1900, 2299


def field_type(declared: str) -> tuple[str, int | None]:
    """The FieldType and length of a declared type such as VARCHAR(10). Raises ValueError."""
    match = TYPE.match(declared)
    if match is None:
        raise ValueError(declared)
    name = next(group for group in match.groups()[:3] if group).title()
    length = int(match[4]) if match[4] else None
    if length is not None and not 1 <= length <= LONGEST[name]:
        raise ValueError(declared)
    return name, length


def typed_value(info: AttributeInfo, value: Any) -> Any:
    """A given value as the warehouse takes it; null and empty text clear it. Raises ValueError when it does not fit."""
    if value is None or value == "":
        return None
    if info.consent is not None and info.field_type in WORDS:
        return info.consent.read(_text(value, MAX_TEXT))
    if info.field_type in BITS:
        return _whole(value, BITS[info.field_type])
    if info.field_type == "Decimal":
        return _decimal(value)
    if info.field_type in ("Date", "Datetime"):
        return _date(value, info.field_type)
    return _text(value, info.max_length or MAX_TEXT)


def _whole(value: Any, bits: int) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    text = str(int(value) if isinstance(value, float) else value).strip()
    # As in files: a code such as 007 or +49 does not become a number without a word.
    if not re.fullmatch(r"0|-?[1-9]\d{0,18}", text, re.ASCII):
        raise ValueError(value)
    number = int(text)
    if not -(2**bits) <= number < 2**bits:
        raise ValueError(value)
    return number


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(value)
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise ValueError(value) from error
    if not number.is_finite() or abs(number) >= LARGEST_DECIMAL:
        raise ValueError(value)
    return number.quantize(Decimal("0.0001"))


def _date(value: Any, type_: str) -> date | datetime:
    for form in FORMATS:
        try:
            moment = datetime.strptime(str(value).strip(), form)
        except ValueError:
            continue
        if moment.date().isoformat() in PLACEHOLDERS:
            break
        if type_ == "Date" and FIRST_YEAR <= moment.year <= LAST_YEAR:
            return moment.date()
        if type_ == "Datetime" and FIRST_TIME <= moment < LAST_TIME:
            return moment.replace(tzinfo=UTC)
    raise ValueError(value)


def _text(value: Any, longest: int) -> str:
    if isinstance(value, (dict, list)):
        raise ValueError(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > longest:
        raise ValueError(value)
    return text
