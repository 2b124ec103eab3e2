"""Bodies of events as JSON, whatever of it is not quite: what can be put right is, and one event's fault is its own."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

NOT_JSON = "the event is not valid JSON"
MOST = 1000  # events in a body; of one with more none is looked for in what is no JSON
# A text in quotes, to its end or that of the body; or what opens, parts and closes lists and objects.
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
LONE = re.compile("[\ud800-\udfff]+")
REPLACED = "\ufffd"
BROKEN = "contains half of a character or bytes that are not text, which were replaced by U+FFFD"
LONGEST_INTEGER = 20
SMALLEST, LARGEST = -(2**63), 2**64 - 1


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as it was sent. mended tells what of it had to be put right; fault why it cannot be read at all.

    What cannot be read has its text for a value.
    """

    value: Any
    mended: tuple[str, ...] = ()
    fault: str = ""


def read(body: bytes) -> RawEvent | list[RawEvent] | None:
    """A body that is JSON as it should be, or None: see read_roughly.

    Of an array with too many events, only one too many is read: the event loop would have to free all of them.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return [RawEvent(value) for value in parsed[: MOST + 1]] if isinstance(parsed, list) else RawEvent(parsed)


def read_roughly(body: bytes) -> RawEvent | list[RawEvent] | None:
    """A body that is not quite JSON, event by event; None when no event of it can be read. It may take a moment.

    A byte order mark is passed over. Halves of characters and bytes that are no text become U+FFFD, whole numbers
    beyond 64 bits the nearest number.
    """
    try:
        encoding = "utf-8-sig" if body.startswith(codecs.BOM_UTF8) else json.detect_encoding(body)
        text = body.decode(encoding, "surrogateescape").strip()
    except UnicodeDecodeError:
        return None
    if not text.startswith("["):
        event = _event(text)
        return None if event.fault else event
    events = [_event(part) for part in _parts(text)]
    return events if any(not event.fault for event in events) else None


def _parts(text: str) -> list[str]:
    """The texts of an array's items; none when it does not end, goes on behind its end or has too many."""
    parts, begin, depth = list[str](), 1, 0
    for token in TOKEN.finditer(text):
        kind = text[token.start()]
        depth += (kind in "[{") - (kind in "]}")
        if depth == 0 or (depth == 1 and kind == ","):
            parts.append(text[begin : token.start()].strip())
            begin = token.end()
        if depth == 0 or len(parts) > MOST:
            break
    whole = depth == 0 and begin == len(text) and text.endswith("]") and len(parts) <= MOST
    return [part for part in parts if part] if whole else []


def _event(text: str) -> RawEvent:
    try:
        return RawEvent(orjson.loads(text))
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        pass
    mended: dict[str, None] = {}
    try:
        parsed = json.loads(text, strict=False, parse_int=_integer)
        value = _mend(parsed, "a text", mended)
    except (ValueError, RecursionError):
        return RawEvent(LONE.sub(REPLACED, text), fault=NOT_JSON)
    return RawEvent(value, tuple(mended))


def _integer(digits: str) -> int | float:
    if len(digits) > LONGEST_INTEGER:
        return float(digits)
    number = int(digits)
    return number if SMALLEST <= number <= LARGEST else float(number)


def _mend(value: Any, name: str, mended: dict[str, None]) -> Any:
    """The value without halves of characters; what had them is noted by its name."""
    if isinstance(value, str):
        whole = LONE.sub(REPLACED, value)
        if whole != value:
            mended[f"{LONE.sub(REPLACED, name)} {BROKEN}"] = None
        return whole
    if isinstance(value, dict):
        return {_mend(key, "a name", mended): _mend(member, key, mended) for key, member in value.items()}
    return [_mend(member, name, mended) for member in value] if isinstance(value, list) else value


def values(body_events: RawEvent | list[RawEvent] | None) -> Iterator[Any]:
    """What can be read of a body, event by event."""
    for event in body_events if isinstance(body_events, list) else [body_events] if body_events else []:
        if not event.fault:
            yield event.value
