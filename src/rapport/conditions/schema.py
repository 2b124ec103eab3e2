"""What conditions are compared against: which attributes exist and of which kind, as of which day, in which zone.

This floor knows no tenant: whoever compiles a condition passes a Schema (audiences.service.schema
builds one from the tenant's attribute list).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from rapport.conditions.purchases import USUAL, ValueRule


class Kind(StrEnum):
    """What a value is. The three kinds of dates never mix silently: see comparing."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    DATE = "date"  # a calendar day of the tenant
    TIME = "local time"  # a wall-clock time of the tenant, naive
    INSTANT = "instant"  # a moment, aware
    BOOLEAN = "boolean"
    TEXTS = "list of texts"
    NUMBERS = "list of numbers"


NUMERIC = (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)
DATED = (Kind.DATE, Kind.TIME, Kind.INSTANT)
LISTS = (Kind.TEXTS, Kind.NUMBERS)

# FieldType of an attribute -> kind. A Datetime attribute is a wall-clock time of the tenant.
FIELD_KINDS = {
    "Bigint": Kind.INTEGER,
    "Int": Kind.INTEGER,
    "Decimal": Kind.DECIMAL,
    "Date": Kind.DATE,
    "Datetime": Kind.TIME,
    "Nvarchar": Kind.TEXT,
    "Varchar": Kind.TEXT,
}


@dataclass(frozen=True)
class Column:
    """An attribute: its column of profiles, its kind, and whether it is a percentile rank (1 lowest, 100 highest).

    stored gives the text that the column holds for a value of which it has one form only, as those of consent are;
    None for a value that it never holds.
    """

    name: str
    kind: Kind
    percentile: bool = False
    stored: Callable[[Any], str | None] | None = None


@dataclass(frozen=True)
class Schema:
    """attributes is keyed by upper-case name. data_date is the profile that SQL reads; today is the day after it.

    campaigns_of gives the campaign ids of a series, unreached the name of the table of the customers whom a channel
    does not reach on the data date. missing is what else to say of an attribute that there is not. values says what
    the types of transactions count as.
    """

    attributes: Mapping[str, Column]
    data_date: date
    time_zone: ZoneInfo
    missing: str = ""
    campaigns_of: Callable[[int], Sequence[int]] = lambda series_id: ()
    unreached: Callable[[int], str] = lambda channel_id: f"unreached_{channel_id}"
    values: ValueRule = USUAL

    @property
    def today(self) -> date:
        """The day that a profile serves: the one after its data date."""
        return self.data_date + timedelta(days=1)

    def column(self, name: str) -> Column | None:
        """An attribute by name, ignoring case."""
        return self.attributes.get(name.upper())


@dataclass(frozen=True)
class Anchor:
    """What relative dates count from: today, and the last day whose happenings are taken into account."""

    today: date
    known_through: date
    time_zone: ZoneInfo
