"""In which time zone customers are: what an attribute says, an IANA name or an offset from UTC."""

# ruff: noqa: S608 - statements are put together of constants and the SQL of an attribute

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.settings import CampaignSettings
from rapport.customers import attributes

# An offset in lower case, such as +02:00, utc+2, gmt-0330 or 5.5.
OFFSET = r"(?:utc|gmt)? ?([+-]?)([0-9]{1,2})(?::?([0-5][0-9])|\.([0-9]{1,4}))?"
FURTHEST = timedelta(hours=14)
LONGEST_NAME = 64
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)

# The spellings of zones that customers have: few, whatever else stands in the attribute.
SPELLINGS = f"""
    SELECT DISTINCT lowerUTF8(trimBoth({{value}})) AS spelling FROM profiles
    WHERE data_date = {{{{data_date:Date}}}} AND length({{value}}) BETWEEN 1 AND {LONGEST_NAME}
        AND (spelling IN {{{{names:Array(String)}}}} OR match(spelling, {{{{offset:String}}}}))
    ORDER BY spelling
"""


@cache
def _names() -> dict[str, str]:
    """IANA names by their lower case."""
    return {name.lower(): name for name in available_timezones()}


def zone_named(text: str) -> tzinfo | None:
    """The time zone that a text names, in any case; None for one that names none."""
    key = text.strip().lower()
    if name := _names().get(key):
        return ZoneInfo(name)
    match = re.fullmatch(OFFSET, key)
    if match is None:
        return None
    sign, hours, minutes, fraction = match.groups()
    exact_minutes = int(minutes or 0) if fraction is None else round(60 * float(f"0.{fraction}"))
    offset = timedelta(hours=int(hours), minutes=exact_minutes)
    return timezone(-offset if sign == "-" else offset) if offset <= FURTHEST else None


def name_of(zone: tzinfo) -> str:
    """A name of a zone that zone_named reads."""
    return zone.key if isinstance(zone, ZoneInfo) else f"{datetime(2000, 1, 1, tzinfo=zone):%z}"


def own_zone(scope: Scope, name: str) -> tzinfo:
    """The zone of a recipient by the name that its run kept; the tenant's for an empty one."""
    return zone_named(name) or scope.time_zone


@dataclass(frozen=True)
class CustomerZones:
    """The zones that customers have on a data date, and how a profile says which. The first is the tenant's.

    value is SQL of the attribute, empty where there is none; numbers are those of zones, by spelling.
    """

    zones: list[tzinfo]
    value: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the zones, that of the tenant empty."""
        return ["", *map(name_of, self.zones[1:])]

    def number_sql(self, value: str) -> str:
        """SQL of the number of a customer's zone; value is SQL of what the attribute says."""
        if not self.numbers:
            return "toUInt16(0)"
        key = f"lowerUTF8(trimBoth(ifNull({value}, '')))"
        return f"toUInt16(transform({key}, {{zone_spellings:Array(String)}}, {{zone_numbers:Array(UInt16)}}, 0))"

    @property
    def parameters(self) -> dict[str, list[str] | list[int]]:
        """What number_sql binds."""
        if not self.numbers:
            return {}
        return {"zone_spellings": list(self.numbers), "zone_numbers": list(self.numbers.values())}


def customer_zones(scope: Scope, data_date: date) -> CustomerZones:
    """The zones of a tenant's customers by the attribute that its settings name."""
    name = tenant_settings(scope, CampaignSettings).time_zone_attribute.strip().upper()
    info = attributes.attributes(scope).get(name)
    if info is None:
        return CustomerZones([scope.time_zone])
    value = attributes.rendered(info)
    names = {"names": sorted(_names()), "offset": f"^(?:{OFFSET})$"}
    rows = scope.warehouse.rows(SPELLINGS.format(value=f"ifNull({value}, '')"), data_date=data_date, **names)
    zones: dict[str, tzinfo] = {"": scope.time_zone}
    numbers = {}
    for (spelling,) in rows:
        zone = zone_named(str(spelling))
        if zone is not None:
            zones.setdefault(name_of(zone), zone)
            numbers[str(spelling)] = list(zones).index(name_of(zone))
    return CustomerZones([*zones.values()], value, numbers)


def offset_changes(zone: tzinfo, since: datetime, until: datetime) -> tuple[int, list[tuple[int, int]]]:
    """The offset of a zone from UTC at an instant, in seconds; and until another, when it changes and by how much.

    Instants of changes are seconds since 1970.
    """
    changes = []
    first = since
    while first < until:
        following = min(first + DAY, until)
        if step := _offset(zone, following) - _offset(zone, first):
            changes.append((_first_after(zone, first, following), step))
        first = following
    return _offset(zone, since), changes


def _first_after(zone: tzinfo, before: datetime, after: datetime) -> int:
    """The second at which the offset of a zone changes between two instants."""
    offset = _offset(zone, before)
    while after - before > SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if _offset(zone, middle) == offset else (before, middle)
    return int(after.timestamp())


def _offset(zone: tzinfo, at: datetime) -> int:
    return int((at.astimezone(zone).utcoffset() or timedelta()).total_seconds())


def whole_seconds(at: datetime) -> datetime:
    """An instant without its fraction of a second, in UTC."""
    return at.astimezone(UTC).replace(microsecond=0)
