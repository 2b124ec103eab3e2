"""Dates and times of files as SQL: in the ISO form, or in the forms that a mapping names.

A form becomes one regular expression and arithmetic on its groups, so that the engine reads as Python's
strptime does, unpadded numbers included. A text that names its offset is an instant and is converted to
what its column holds: the tenant's wall clock, or the instant itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rapport.stores.clock import instant_sql, wall_sql

PLACEHOLDERS = ("0000-00-00", "0001-01-01", "1753-01-01", "1900-01-01", "9999-12-31")
FIRST = "toDate32('1900-01-01')"
SQL_TYPES = {
    "Date": "Nullable(Date32)",
    "Day": "Nullable(Date32)",
    "Datetime": "Nullable(DateTime('UTC'))",
    "Instant": "Nullable(DateTime64(3, 'UTC'))",
}
# First and last year that a column of the type holds, and the words for its standard form.
YEARS = {"Date": (1900, 2299), "Day": (1970, 2148), "Datetime": (1970, 2105), "Instant": (1970, 2105)}
ISO_WORDS = {"Date": "date as yyyy-MM-dd", "Day": "date as yyyy-MM-dd"}
CLOCK = "^ ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?$"
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# What a directive of strptime stands for. Numbers may lack a leading zero, as with Python.
PATTERNS = {
    "Y": r"\d\d\d\d",
    "y": r"\d\d",
    "m": r"1[0-2]|0[1-9]|[1-9]",
    "d": r"3[01]|[12]\d|0[1-9]|[1-9]| [1-9]",
    "H": r"2[0-3]|[01]\d|\d",
    "I": r"1[0-2]|0[1-9]|[1-9]| [1-9]",
    "M": r"[0-5]\d|\d",
    "S": r"[0-5]\d|\d",
    "f": r"\d{1,6}",
    "p": "am|pm",
    "z": r"[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?|z",
    "Z": "utc|gmt|z",
    "b": "|".join(name[:3] for name in MONTHS),
    "B": "|".join(MONTHS),
    "a": "|".join(name[:3] for name in DAYS),
    "A": "|".join(DAYS),
}
MEANINGS = {"y": "Y", "b": "m", "B": "m", "I": "H", "Z": "z"}
OFFSET = r"[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?"
ISO = (
    r"(\d\d\d\d)-(\d\d)-(\d\d)"
    r"(?:[T ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d{1,6})\d*)?)? ?"
    rf"(z|utc|{OFFSET})?)?"
)
# Of texts in the ISO form that have no more than the type holds.
LENGTHS = {"Date": 10, "Datetime": 19}
# How an attribute is marked whose values all came back whole: so do those that come later.
WHOLE_DATES = "whole"
LOSSES = {
    "Date": "has a time of day, which the attribute would lose: change its field_type to Datetime first",
    "Datetime": "has parts of a second, which the attribute would lose: change its field_type to Nvarchar first",
}
SERIAL, UNIX = r"^[0-9]{5}([.][0-9]+)?$", r"^[0-9]{10}([0-9]{3})?$"


@dataclass(frozen=True)
class Form:
    """A form in which dates are written: its regular expression and which group is which directive."""

    pattern: str
    groups: dict[str, int]

    @property
    def timed(self) -> bool:
        """Whether it has a time of day."""
        return "H" in self.groups or "I" in self.groups

    def read(self, text: str, moment: Callable[[str, str], str], today: date | None) -> str:
        """SQL of what moment makes of the clock and of the offset's text; NULL where the text does not fit.

        today: a two-digit year whose day would come after it goes back a century; None: as strptime.
        """
        day = "makeDate32(y, m, d)"
        fits = f"notEmpty(g) AND y BETWEEN 1900 AND 2299 AND toMonth({day}) = m AND toDayOfMonth({day}) = d"
        fits += f" AND {day} != {FIRST}"
        time = ", ".join((self._hour(), self._part("M"), self._part("S"), self._micros()))
        clock = f"makeDateTime64(y, m, d, {time}, 6, 'UTC')"
        value = f"if({fits}, {moment(clock, self._text('z') or self._text('Z'))}, NULL)"
        inner = f"arrayMap((y, m, d) -> {value}, [{self._year(today)}], [{self._month()}], [{self._part('d')}])[1]"
        return f"arrayMap(g -> {inner}, [extractGroups(ifNull({text}, ''), {_quoted(self.pattern)})])[1]"

    def placeholder(self, text: str) -> str:
        """SQL of whether a text is a placeholder date."""
        number = f"{self._year(None)} * 10000 + {self._month()} * 100 + {self._part('d')}"
        days = ", ".join(day.replace("-", "").lstrip("0") or "0" for day in PLACEHOLDERS)
        groups = f"extractGroups(ifNull({text}, ''), {_quoted(self.pattern)})"
        return f"arrayExists(g -> notEmpty(g) AND {number} IN ({days}), [{groups}])"

    def out_of_range(self, text: str) -> str:
        """SQL of whether a text is a day of a year that no column holds: a leap year's place repeats in 400 years."""
        year, month, day = self._year(None), self._month(), self._part("d")
        alike = f"makeDate32(1900 + {year} % 400, {month}, {day})"
        fits = f"{year} NOT BETWEEN 1900 AND 2299 AND toMonth({alike}) = {month} AND toDayOfMonth({alike}) = {day}"
        groups = f"extractGroups(ifNull({text}, ''), {_quoted(self.pattern)})"
        return f"arrayExists(g -> notEmpty(g) AND {fits}, [{groups}])"

    def _text(self, directive: str) -> str:
        group = self.groups.get(directive)
        return f"g[{group}]" if group else ""

    def _part(self, directive: str) -> str:
        text = self._text(directive)
        return f"toInt32OrZero(trimLeft({text}))" if text else "0"

    def _hour(self) -> str:
        if "I" not in self.groups:
            return self._part("H")
        half = self._text("p")
        later = f" + if(lower({half}) = 'pm', 12, 0)" if half else ""
        return f"({self._part('I')} % 12{later})"

    def _micros(self) -> str:
        text = self._text("f")
        return f"toUInt32OrZero(rightPad({text}, 6, '0'))" if text else "0"

    def _month(self) -> str:
        name = self._text("b") or self._text("B")
        if not name:
            return self._part("m")
        names = ", ".join(f"'{month[:3]}'" for month in MONTHS)
        return f"toInt32(indexOf([{names}], lower(left({name}, 3))))"

    def _year(self, today: date | None) -> str:
        if "Y" in self.groups:
            return self._part("Y")
        short = self._part("y")
        old = f"{short} >= 69"
        if today is not None:
            old += f" OR makeDate32(2000 + {short}, {self._month()}, {self._part('d')}) > toDate32('{today}')"
        return f"({short} + if({old}, 1900, 2000))"


def form_of(date_format: str) -> Form:
    """The form of a strptime format. Raises ValueError with a sentence's end for one that cannot be read."""
    pattern, groups = "", dict[str, int]()
    characters = iter(" ".join(date_format.split()))
    for character in characters:
        if character != "%":
            pattern += r"\s+" if character.isspace() else re.escape(character)
            continue
        directive = next(characters, "").replace("-", "") or next(characters, "")
        if directive == "%":
            pattern += "%"
        elif directive not in PATTERNS:
            raise ValueError(f"%{directive} is not a directive of a date format")
        elif directive in groups:
            raise ValueError(f"the date format {date_format!r} has %{directive} twice")
        else:
            groups[directive] = len(groups) + 1
            pattern += f"({PATTERNS[directive]})"
    meant = [MEANINGS.get(directive, directive) for directive in groups]
    if any(meant.count(part) != 1 for part in "Ymd"):
        raise ValueError(f"the date format {date_format!r} must name the year, the month and the day, each once")
    return Form(f"(?is)^{pattern}$", groups)


ISO_FORM = Form(f"(?i)^{ISO}$", {"Y": 1, "m": 2, "d": 3, "H": 4, "M": 5, "S": 6, "f": 7, "z": 8})


def _quoted(pattern: str) -> str:
    return "'" + pattern.replace("\\", "\\\\").replace("'", "\\'") + "'"


@dataclass(frozen=True)
class Dates:
    """How the dates of a file are read: the tenant's zone and day, and the mapping's forms; without any, ISO."""

    zone: str
    today: date
    formats: tuple[str, ...] = ()
    forms: tuple[Form, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        forms = tuple(form_of(date_format) for date_format in self.formats)
        object.__setattr__(self, "forms", forms or (ISO_FORM,))

    def value(self, type_: str, text: str, *, birth: bool = False) -> str:
        """SQL of a column's value; NULL where the text does not fit. birth: two-digit years lie in the past."""
        moment = self._moment(type_, text, birth)
        first, last = YEARS[type_]
        in_range = f"CAST(if(toYear(moment) BETWEEN {first} AND {last}, moment, NULL) AS {SQL_TYPES[type_]})"
        slow = f"arrayMap(moment -> {in_range}, [{moment}])[1]"
        if self.formats:
            return slow
        quick = self.usual(type_, text)
        return f"if({quick} IS NOT NULL, {quick}, {slow})"

    def fits(self, type_: str, text: str) -> str:
        """SQL of whether a text has a value, in fewer words than the value takes: a file may have many columns."""
        if self.formats:
            return f"{self.value(type_, text)} IS NOT NULL"
        day = f"{_quick_day(f'left({text}, 10)', YEARS[type_])} IS NOT NULL"
        return f"({day} AND match({text}, {_quoted(ISO_FORM.pattern)}))"

    def is_day(self, text: str) -> str:
        """SQL of whether a text that fits has no time of day."""
        if not self.formats:
            return f"length({text}) = 10"
        cases = [f"match({text}, {_quoted(form.pattern)}), {int(not form.timed)}" for form in self.forms]
        return f"multiIf({', '.join(cases)}, 0)"

    def keeps(self, type_: str, text: str, *, usual: bool = False) -> str:
        """SQL of whether a text that fits loses nothing: no time of day as a Date, no part of a second as a Datetime.

        usual: texts in another form than the shortest may be taken for such that do.
        """
        if usual and not self.formats:
            return f"length({text}) <= {LENGTHS[type_]}"
        if type_ != "Date":
            return f"NOT match(ifNull({text}, ''), ':[0-9]+[.,][0-9]*[1-9]')"
        midnight = "arrayMap(moment -> moment = toDateTime64(toDate32(moment), 6, 'UTC')"
        return f"({self.is_day(text)} OR ifNull({midnight}, [{self.wall(text)}])[1], 0))"

    def reason(self, type_: str, text: str) -> str:
        """SQL of why a text that is there was refused."""
        first, last = YEARS[type_]
        moment = self._moment(type_, text, False)
        placeholder = " OR ".join(form.placeholder(text) for form in (*self.forms, ISO_FORM))
        out_of_range = " OR ".join(form.out_of_range(text) for form in self.forms)
        words = ISO_WORDS.get(type_, "time as yyyy-MM-dd hh:mm:ss")
        if self.formats:
            words = "date as " + " or ".join(self.formats)
        return f"""multiIf(
            {placeholder}, 'is a placeholder date: leave it empty',
            {moment} IS NOT NULL OR {out_of_range}, 'is not between the years {first} and {last}',
            match({text}, {_quoted(SERIAL)}),
                'is the number of a day as spreadsheets keep it: write the column as a date before it is saved',
            match({text}, {_quoted(UNIX)}), 'is a number of seconds: write it as yyyy-MM-dd hh:mm:ss',
            {_quoted(f"is not a {words}")})"""

    def wall(self, text: str) -> str:
        """SQL of the tenant's wall-clock time that a text names, as a DateTime64 that bears the zone UTC."""
        return self._moment("Datetime", text, birth=False)

    def _moment(self, type_: str, text: str, birth: bool) -> str:
        convert = self._instant if type_ == "Instant" else self._wall
        moments = [form.read(text, convert, self.today if birth else None) for form in self.forms]
        return f"coalesce({', '.join(moments)})" if len(moments) > 1 else moments[0]

    def _wall(self, clock: str, offset: str) -> str:
        if not offset:
            return clock
        shifted = wall_sql(f"subtractSeconds({clock}, {_seconds(offset)})", self.zone)
        return f"if({offset} = '', {clock}, {shifted})"

    def _instant(self, clock: str, offset: str) -> str:
        local = instant_sql(clock, self.zone)
        return f"if({offset} = '', {local}, subtractSeconds({clock}, {_seconds(offset)}))" if offset else local

    def moved_on(self, time: str) -> str:
        """SQL of a wall-clock time (Datetime, or NULL): one that the tenant's clocks skip moves on by the gap."""
        days = gap_days(self.zone)
        if not days:
            return time
        after_gap = wall_sql(instant_sql("toDateTime64(moment, 0, 'UTC')", self.zone), self.zone)
        listed = ", ".join(f"'{day}'" for day in days)
        moved = f"if(toDate(moment) IN ({listed}), CAST({after_gap} AS {SQL_TYPES['Datetime']}), moment)"
        return f"arrayMap(moment -> {moved}, [{time}])[1]"

    def usual(self, type_: str, text: str) -> str:
        """SQL of a column's value of the usual ISO form, read without a regular expression; NULL for any other."""
        if type_ in ("Date", "Day"):
            return _quick_day(text, YEARS[type_])
        parsed = _quick_time(text)
        if type_ == "Datetime":
            return parsed
        thousandths = f"toUInt32OrZero(rightPad(substring({text}, 21, 3), 3, '0'))"
        local = instant_sql(f"addMilliseconds(toDateTime64({parsed}, 3, 'UTC'), {thousandths})", self.zone)
        return f"if({parsed} IS NOT NULL, {local}, NULL)"


@lru_cache(maxsize=100)
def gap_days(zone: str) -> tuple[date, ...]:
    """The days on which a zone's clocks are put forward, of those that a Datetime can be of."""
    info, (first, last) = ZoneInfo(zone), YEARS["Datetime"]
    end = date(last, 12, 31) - date(first, 1, 1)

    def offset(day: int) -> timedelta:
        return (datetime(first, 1, 1, tzinfo=info) + timedelta(days=day)).utcoffset() or timedelta()

    weeks = [week for week in range(0, end.days, 7) if offset(week) != offset(week + 7)]
    days = (day for week in weeks for day in range(week, week + 7) if offset(day + 1) > offset(day))
    return tuple(date(first, 1, 1) + timedelta(days=day) for day in days)


def _seconds(offset: str) -> str:
    """SQL of the seconds of an offset such as +02:00; 0 for Z."""
    hours = f"toInt32OrZero(substring({offset}, 2, 2))"
    minutes = f"toInt32OrZero(right(replaceAll(substring({offset}, 4), ':', ''), 2))"
    return f"if(startsWith({offset}, '-'), -1, 1) * ({hours} * 3600 + {minutes} * 60)"


def _quick_time(text: str) -> str:
    parsed = f"toDateTimeOrNull(left({text}, 19), 'UTC')"
    fits = f"length(left({text}, 19)) IN (10, 19) AND startsWith(toString({parsed}), left({text}, 19))"
    fraction = f"(length({text}) <= 19 OR match(substring({text}, 20), '^[.][0-9]+$'))"
    return f"if({fits} AND {fraction} AND left({text}, 10) NOT IN {PLACEHOLDERS}, {parsed}, NULL)"


def _quick_day(text: str, years: tuple[int, int]) -> str:
    parsed = f"toDate32OrNull(left({text}, 10))"
    time_fits = f"(length({text}) = 10 OR match(substring({text}, 11), '{CLOCK}'))"
    fits = f"length({text}) >= 10 AND toString({parsed}) = left({text}, 10) AND {time_fits}"
    in_range = f"toYear({parsed}) BETWEEN {years[0]} AND {years[1]} AND left({text}, 10) NOT IN {PLACEHOLDERS}"
    return f"if({fits} AND {in_range}, {parsed}, NULL)"
