"""Records of the sports inventory as they are sent: their kinds, members and keys, and what is wrong with one."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from rapport.errors import Invalid

MOST_RECORDS = 500
MOST_TOLD = 10
LONGEST_KEY, LONGEST_TEXT, MOST_LANGUAGES = 200, 1000, 100
INT32 = 2**31
LARGEST_ODDS = 1_000_000_000
DATE_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ].+")


class Kind(StrEnum):
    """What a record is, from the root of the tree to its leaves."""

    CATEGORY = "Category"
    CLASS = "Class"
    TYPE = "Type"
    EVENT = "Event"
    MARKET = "Market"
    SELECTION = "Selection"


class Display(StrEnum):
    """Whether customers see a record."""

    DISPLAYED = "Displayed"
    NOT_DISPLAYED = "NotDisplayed"


class Activity(StrEnum):
    """Whether customers can bet on a record."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


class Operation(StrEnum):
    """What a request does with its records."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class RecordKey(NamedTuple):
    """What a record is known by within its brand. event_key is empty but for markets and selections."""

    kind: Kind
    event_key: str
    record_key: str


@dataclass(frozen=True, slots=True)
class SentRecord:
    """A record of a request; members are checked, those that are to be cleared are None."""

    key: RecordKey
    members: Mapping[str, Any]


@dataclass(frozen=True)
class Form:
    """What a member may hold: read gives the value as it is stored, or raises ValueError with what it must be."""

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]


def _text(least: int, most: int) -> Form:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise ValueError(f"must be a text of {least} to {most} characters")
        return value

    return Form(read, {"type": "string", "minLength": least, "maxLength": most})


def _choice(choices: type[StrEnum]) -> Form:
    names = [str(choice) for choice in choices]

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"must be {' or '.join(names)}")
        return str(value)

    return Form(read, {"type": "string", "enum": names})


def _whole(least: int, most: int) -> Form:
    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return Form(read, {"type": "integer", "minimum": least, "maximum": most})


def _read_odds(value: Any) -> float | int:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= LARGEST_ODDS:
        raise ValueError(f"must be a number from 1 to {LARGEST_ODDS}")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _read_time(value: Any) -> str:
    try:
        if not DATE_AND_TIME.fullmatch(value):
            raise ValueError
        instant = datetime.fromisoformat(value)
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("must be an ISO 8601 time such as 2030-05-06T12:00:00Z") from error


def _read_translated(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_LANGUAGES:
        raise ValueError(f"must be an object of up to {MOST_LANGUAGES} names by language")
    if not all(isinstance(name, str) and 1 <= len(name) <= LONGEST_TEXT for name in value.values()):
        raise ValueError(f"must have names of 1 to {LONGEST_TEXT} characters")
    return value


def _read_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


KEY, NAME, TEXT = _text(1, LONGEST_KEY), _text(1, LONGEST_TEXT), _text(0, LONGEST_TEXT)
STATUS, FLAG = _choice(Activity), Form(_read_flag, {"type": "boolean"})
COMMON = {
    "displayStatus": _choice(Display),
    "displayOrder": _whole(-INT32, INT32 - 1),
    "extra": Form(_read_object, {"type": "object"}),
}
TRANSLATED = Form(_read_translated, {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}})
KEYS = {kind: f"{kind.lower()}Key" for kind in Kind}
# Of what is in an event, these keys may be sent, but the event says what it is in.
HIERARCHY = dict.fromkeys((KEYS[kind] for kind in (Kind.CATEGORY, Kind.CLASS, Kind.TYPE)), KEY)
OWN: dict[Kind, dict[str, Form]] = {
    Kind.CATEGORY: {},
    Kind.CLASS: {"classStatus": STATUS},
    Kind.TYPE: {},
    Kind.EVENT: {
        "eventDateTime": Form(_read_time, {"type": "string", "format": "date-time"}),
        "eventStatus": STATUS,
        **dict.fromkeys(("eventSort", "classSortCode", "homeName", "awayName", "participants"), TEXT),
        **dict.fromkeys(("isEventStarted", "isEventFinished"), FLAG),
    },
    Kind.MARKET: {"marketStatus": STATUS, "marketSort": TEXT, **HIERARCHY},
    Kind.SELECTION: {
        **HIERARCHY,
        "selectionStatus": STATUS,
        **dict.fromkeys(("selectionPriceType", "outcomeMeaningMajorCode"), TEXT),
        "numPrice": _whole(0, INT32 - 1),
        "denPrice": _whole(1, INT32 - 1),
        "decPrice": Form(_read_odds, {"type": "number", "minimum": 1, "maximum": LARGEST_ODDS}),
    },
}
# The kinds whose keys a record may name, from the nearest: the first that it names is that of its parent.
ANCESTORS: dict[Kind, tuple[Kind, ...]] = {
    Kind.CATEGORY: (),
    Kind.CLASS: (Kind.CATEGORY,),
    Kind.TYPE: (Kind.CLASS, Kind.CATEGORY),
    Kind.EVENT: (Kind.TYPE, Kind.CLASS, Kind.CATEGORY),
    Kind.MARKET: (Kind.EVENT,),
    Kind.SELECTION: (Kind.MARKET, Kind.EVENT),
}
FROM_LEAVES = tuple((KEYS[kind], kind) for kind in reversed(Kind))
KINDS = {str(kind): kind for kind in Kind}
OF_EVENTS = (Kind.MARKET, Kind.SELECTION)
# The members that say what a record hangs on; the event of a market or selection is part of its key.
PARENT_KEYS = {
    kind: frozenset(KEYS[above] for above in ANCESTORS[kind] if not (kind in OF_EVENTS and above is Kind.EVENT))
    for kind in Kind
}
NAME_MEMBERS = {kind: (f"{kind.lower()}Name", f"{kind.lower()}NameTranslated") for kind in Kind}
STATUS_MEMBERS = {kind: f"{kind.lower()}Status" for kind in Kind}
REQUIRED = {
    Kind.CATEGORY: (),
    Kind.CLASS: ("categoryKey",),
    Kind.TYPE: ("categoryKey",),
    Kind.EVENT: (),
    Kind.MARKET: ("eventKey",),
    Kind.SELECTION: ("eventKey",),
}


def _members(kind: Kind) -> dict[str, Form]:
    named = {KEYS[kind]: KEY, **dict.fromkeys((KEYS[ancestor] for ancestor in ANCESTORS[kind]), KEY)}
    name, translations = NAME_MEMBERS[kind]
    return {**named, name: NAME, translations: TRANSLATED, **COMMON, **OWN[kind]}


MEMBERS = {kind: _members(kind) for kind in Kind}


def read(data: Any, operation: Operation) -> list[SentRecord]:
    """The records of a request's JSON. Raises Invalid that names the first faults by record and member."""
    if not isinstance(data, list) or not 1 <= len(data) <= MOST_RECORDS:
        raise Invalid(f"The body must be an array of 1 to {MOST_RECORDS} records.")
    sent, faults = [], []
    for place, record in enumerate(data):
        try:
            sent.append(_record(record, operation))
        except ValueError as error:
            faults.append(f"[{place}]{error}.")
    if faults:
        raise Invalid(" ".join(faults[:MOST_TOLD]))
    return sent


def _record(record: Any, operation: Operation) -> SentRecord:
    """A record. Raises ValueError with the member and what is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError(" must be an object")
    kind = next((kind for name, kind in FROM_LEAVES if record.get(name) is not None), None)
    if kind is None:
        raise ValueError(f" must have one of {', '.join(KEYS.values())}")
    is_deleted = operation is Operation.DELETE
    needed = ("eventKey",) if kind in OF_EVENTS else ()
    for name in needed if is_deleted else REQUIRED[kind]:
        if record.get(name) is None:
            raise ValueError(f".{name} is required for a {kind}")
    forms = MEMBERS[kind]
    names: Iterable[str] = (KEYS[kind], *needed) if is_deleted else record
    members = {name: _read(name, record[name], forms[name]) for name in names if name in forms}
    if operation is Operation.CREATE:
        for name, other in (("numPrice", "denPrice"), ("denPrice", "numPrice")):
            if members.get(name) is not None and members.get(other) is None:
                raise ValueError(f".{other} is required with {name}")
    event_key = members["eventKey"] if kind in OF_EVENTS else ""
    return SentRecord(RecordKey(kind, event_key, members[KEYS[kind]]), members)


def _read(name: str, value: Any, form: Form) -> Any:
    try:
        return None if value is None else form.read(value)
    except ValueError as error:
        raise ValueError(f".{name} {error}") from error


def ancestors_of(key: RecordKey, members: Mapping[str, Any]) -> list[RecordKey]:
    """The records that one names as above it, from the nearest."""
    return [
        RecordKey(kind, key.event_key if kind in OF_EVENTS else "", members[KEYS[kind]])
        for kind in ANCESTORS[key.kind]
        if members.get(KEYS[kind]) is not None
    ]


def parent_of(key: RecordKey, members: Mapping[str, Any]) -> RecordKey | None:
    """The record that one hangs on, by the nearest key that it names; None for a root."""
    return next(iter(ancestors_of(key, members)), None)


def is_shown(members: Mapping[str, Any]) -> bool:
    """Whether a record by itself is displayed."""
    return members.get("displayStatus") != Display.NOT_DISPLAYED


def is_active(key: RecordKey, members: Mapping[str, Any]) -> bool:
    """Whether a record by itself can be bet on."""
    return members.get(STATUS_MEMBERS[key.kind]) != Activity.INACTIVE


def names_of(key: RecordKey, members: Mapping[str, Any]) -> str:
    """Every name of a record, a line each."""
    name, translations = NAME_MEMBERS[key.kind]
    translated: Mapping[str, str] = members.get(translations) or {}
    return "\n".join(dict.fromkeys([members.get(name) or "", *translated.values()])).strip()


def decimal_of(value: float | int) -> Decimal:
    """Decimal odds as they were written."""
    return Decimal(str(value))
