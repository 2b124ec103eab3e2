"""Numbers, amounts of money, dates and times as the readers of a language write them (Unicode CLDR).

Values come as customers' attributes, events and requests have them: a number such as 1234.5, a date in one of the
formats of attributes (see dates) or in ISO 8601. Any other value stays as it is.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from functools import lru_cache
from re import compile as pattern

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal

from rapport.messaging.languages import ENGLISH
from rapport.messaging.tags.dates import OF_ATTRIBUTES, moments

NUMBER = pattern(r"[+-]?[0-9]{1,30}(?:[.][0-9]{1,30})?")
LONGEST_MOMENT = 40
# Spaces that never break a line. Outside HTML they are of no use, and one doubles the price of a text message.
NO_BREAK = str.maketrans({"\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{THIN SPACE}": " "})


@dataclass(frozen=True)
class Formats:
    """How a reader writes values: the language with its region (BCP 47), the currency of amounts (ISO 4217), and the
    time zone in which an instant with an offset is told.
    """

    language: str = ENGLISH
    currency: str = "EUR"
    time_zone: tzinfo = field(default=UTC)

    def number(self, value: str) -> str:
        """1234.5 as 1,234.5 or 1.234,5."""
        number = _number(value)
        return value if number is None else str(format_decimal(number, locale=_locale(self.language)))

    def money(self, value: str) -> str:
        """1234.5 as €1,234.50 or 1.234,50 €, with the decimals that the currency has."""
        number = _number(value)
        return value if number is None else str(format_currency(number, self.currency, locale=_locale(self.language)))

    def long_date(self, value: str) -> str:
        """2026-05-01 as May 1, 2026 or 1. Mai 2026."""
        return self._date(value, "long")

    def short_date(self, value: str) -> str:
        """2026-05-01 as May 1, 2026 or 01.05.2026."""
        return self._date(value, "medium")

    def time_of_day(self, value: str) -> str:
        """14:30 as 2:30 PM or 14:30; of a date with a time, the time."""
        moment = self._moment(value)
        at = moment if isinstance(moment, datetime) else None if moment else _time(value)
        return value if at is None else str(format_time(at, "short", locale=_locale(self.language)))

    def _date(self, value: str, length: str) -> str:
        at = self._moment(value)
        return value if at is None else str(format_date(at, length, locale=_locale(self.language)))

    def _moment(self, value: str) -> date | None:
        """A day, or a wall-clock time of the tenant; None for any other text."""
        text = value.strip()
        if len(text) > LONGEST_MOMENT:
            return None
        if isinstance(at := _of_attribute(text) or _iso(text), datetime) and at.tzinfo:
            return at.astimezone(self.time_zone).replace(tzinfo=None)
        return at


USUAL_FORMATS = Formats()


def _number(value: str) -> Decimal | None:
    text = value.strip()
    return Decimal(text) if NUMBER.fullmatch(text) else None


def _of_attribute(text: str) -> date | None:
    """The first of the formats of attributes in which a text is a day."""
    by_format = moments(text)
    for written in OF_ATTRIBUTES:
        for has_time in (True, False):
            if moment := by_format.get((written, has_time)):
                year, month, day, *_, hour, minute, second = moment
                return datetime(year, month, day, hour, minute, second) if has_time else date(year, month, day)
    return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


def _time(value: str) -> time | None:
    try:
        return time.fromisoformat(value.strip())
    except ValueError:
        return None


@lru_cache(maxsize=512)
def _locale(tag: str) -> Locale:
    """What is known of a language and its region, or else of the language alone, or else of English."""
    for name in (tag, tag.partition("-")[0], ENGLISH):
        try:
            return Locale.parse(name, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError(f"{ENGLISH} is always known")
