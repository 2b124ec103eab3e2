"""Dates and times as tags write them, and as conditions compare them.

A format is a run of tokens and of the separators . : - / and space: of a date yyyy, MM, MMM, MMMM, dd and dddd, of a
time HH, hh, mm, ss, tt and TT. Names of months and weekdays are English. Times are wall-clock times of the tenant.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT_MONTHS = tuple(month[:3] for month in MONTHS)
HALVES = ("am", "pm")
# By token: how it is written, and the pattern of what it reads.
DATE_TOKENS: Mapping[str, tuple[Callable[[datetime], str], str]] = {
    "yyyy": (lambda at: f"{at.year:04}", "[0-9]{4}"),
    "MMMM": (lambda at: MONTHS[at.month - 1], "|".join(MONTHS)),
    "MMM": (lambda at: SHORT_MONTHS[at.month - 1], "|".join(SHORT_MONTHS)),
    "MM": (lambda at: f"{at.month:02}", "[0-9]{2}"),
    "dddd": (lambda at: WEEKDAYS[at.weekday()], "|".join(WEEKDAYS)),
    "dd": (lambda at: f"{at.day:02}", "[0-9]{2}"),
}
TIME_TOKENS: Mapping[str, tuple[Callable[[datetime], str], str]] = {
    "HH": (lambda at: f"{at.hour:02}", "[0-9]{2}"),
    "hh": (lambda at: f"{(at.hour - 1) % 12 + 1:02}", "[0-9]{2}"),
    "mm": (lambda at: f"{at.minute:02}", "[0-9]{2}"),
    "ss": (lambda at: f"{at.second:02}", "[0-9]{2}"),
    "tt": (lambda at: HALVES[at.hour // 12], "|".join(HALVES)),
    "TT": (lambda at: HALVES[at.hour // 12].upper(), "|".join(HALVES)),
}
SEPARATOR = "[.:/ -]"
NAMED = frozenset({"MMMM", "MMM", "dddd", "tt", "TT"})


@dataclass(frozen=True)
class DateTag:
    """A tag of the present: its tokens, its format where it names none, that format's alias, and how many days on."""

    tokens: Mapping[str, tuple[Callable[[datetime], str], str]]
    usual: str
    alias: str
    days: int = 0


DATE_TAGS = {
    "CURRENT_DATE": DateTag(DATE_TOKENS, "yyyy-MM-dd", "DATE_FORMAT"),
    "TOMORROW_DATE": DateTag(DATE_TOKENS, "yyyy-MM-dd", "DATE_FORMAT", days=1),
    "CURRENT_TIME": DateTag(TIME_TOKENS, "hh:mm TT", "TIME_FORMAT"),
}
# How attributes that are dates may be written, in the order in which an ambiguous one is read.
OF_ATTRIBUTES = ("yyyy-MM-dd", "dd-MM-yyyy", "MM-dd-yyyy", "yyyy/MM/dd", "MM/dd/yyyy")
TIMES_OF_ATTRIBUTES = ("HH:mm:ss", "HH:mm", "hh:mm:ss tt", "hh:mm tt")
Moment = tuple[int, ...]  # comparable: year, month, day, weekday, hour, minute, second; 0 where a format lacks it


class DateFormat:
    """A format that can be written and read."""

    def __init__(self, tokens: Mapping[str, tuple[Callable[[datetime], str], str]], pieces: tuple[str, ...]) -> None:
        self._write = [tokens[piece][0] if piece in tokens else piece for piece in pieces]
        self._named = [piece for piece in pieces if piece in tokens]
        pattern = "".join(f"({tokens[piece][1]})" if piece in tokens else re.escape(piece) for piece in pieces)
        self._read = re.compile(pattern, re.IGNORECASE | re.ASCII)
        self.is_number = all(piece in tokens and piece not in NAMED for piece in pieces)

    def write(self, at: datetime) -> str:
        """A wall-clock time in this format."""
        return "".join(piece if isinstance(piece, str) else piece(at) for piece in self._write)

    def read(self, text: str) -> Moment | None:
        """What a text in this format says, to be compared with others of it; None for any other text."""
        match = self._read.fullmatch(text)
        if match is None:
            return None
        parts = {token: _number(token, part) for token, part in zip(self._named, match.groups(), strict=True)}
        month = parts.get("MM", parts.get("MMM", parts.get("MMMM", 0)))
        moment = (
            parts.get("yyyy", 0),
            month,
            parts.get("dd", 0),
            parts.get("dddd", 0),
            _hour(parts),
            parts.get("mm", 0),
            parts.get("ss", 0),
        )
        return moment if _exists(parts, moment) else None


def _number(token: str, part: str) -> int:
    if token in ("MMMM", "MMM"):
        return SHORT_MONTHS.index(part[:3].capitalize()) + 1
    if token in ("tt", "TT"):
        return HALVES.index(part.lower())
    return int(part) if part.isdigit() else WEEKDAYS.index(part.capitalize()) + 1


def _hour(parts: Mapping[str, int]) -> int:
    half = parts.get("tt", parts.get("TT"))
    if "HH" in parts:
        return parts["HH"]
    if "hh" in parts:
        return parts["hh"] if half is None else parts["hh"] % 12 + 12 * half
    return half or 0


def _exists(parts: Mapping[str, int], moment: Moment) -> bool:
    """Whether there is such a day and such a time; a day without its month or year may be any."""
    year, month, day, _, hour, minute, second = moment
    try:
        date(year or 2000, month or 1, day or 1)
    except ValueError:
        return False
    zeros = [token for token in ("yyyy", "MM", "dd", "hh") if parts.get(token) == 0]
    return not zeros and parts.get("hh", 1) <= 12 and hour < 24 and minute < 60 and second < 60


@lru_cache(maxsize=1024)
def date_format(tag: str, written: str) -> DateFormat | None:
    """A format of a tag of DATE_TAGS; None for one that holds anything but its tokens and separators."""
    return _parsed(DATE_TAGS[tag].tokens, written)


def _parsed(tokens: Mapping[str, tuple[Callable[[datetime], str], str]], written: str) -> DateFormat | None:
    piece = re.compile("|".join([*tokens, SEPARATOR]))
    pieces, at = [], 0
    while match := piece.match(written, at):
        pieces.append(match[0])
        at = match.end()
    return DateFormat(tokens, tuple(pieces)) if pieces and at == len(written) else None


def text_of_date(tag: str, written: str, now: datetime) -> str:
    """What a tag of DATE_TAGS says at a wall-clock time; in its usual format where its own does not exist."""
    description = DATE_TAGS[tag]
    form = date_format(tag, written) or date_format(tag, description.usual)
    return form.write(now + timedelta(days=description.days)) if form else ""


ATTRIBUTE_FORMATS = {written: form for written in OF_ATTRIBUTES if (form := _parsed(DATE_TOKENS, written))}
ATTRIBUTE_TIMES = [form for written in TIMES_OF_ATTRIBUTES if (form := _parsed(TIME_TOKENS, written))]
STAMP = re.compile(r"([0-9/-]{10})(?:[ T](.+))?")


def moments(text: str) -> dict[tuple[str, bool], Moment]:
    """The dates that a text may stand for: by the format of the date, and whether it has a time. Empty: it is none."""
    match = STAMP.fullmatch(text.strip())
    if match is None:
        return {}
    time = next((moment for form in ATTRIBUTE_TIMES if (moment := form.read(match[2]))), None) if match[2] else ()
    if time is None:
        return {}
    dates = {written: form.read(match[1]) for written, form in ATTRIBUTE_FORMATS.items()}
    return {(written, bool(match[2])): (*day, *time) for written, day in dates.items() if day}
