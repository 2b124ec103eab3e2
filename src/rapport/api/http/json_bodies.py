"""Bodies as JSON: what no call takes in one, whatever it asks for. To read them is never done on the event loop."""

import codecs
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from rapport.api.http.long_lists import put_back, set_aside
from rapport.errors import Invalid, TooLarge
from rapport.stores.records.json_text import PIECE, holds_null
from rapport.wording import HALF, HOLDS_HALF, HOLDS_NULL

DEEPEST = 100
# Objects and lists of a body, and commas, which part the values of lists; those within texts count as well. While a
# body is read nobody else has the interpreter. The largest list of objects that a call takes has 10,000 of them.
MOST_OBJECTS, MOST_COMMAS = 30_000, 200_000
# Of an object, where a member that is not known is a fault.
MOST_MEMBERS = 1000
# The library writes no value that is nested deeper than this.
WRITABLE = 253
# In a longer body the place of a fault is not looked for: it would hold everybody else up.
SHORT = 1 << 16
TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."
# Words of the parser, and what they mean.
FAULTS = {
    "depth limit": TOO_DEEP,
    "infinity": "The body contains a number that is too large.",
}


def loaded(body: bytes, most_members: int | None = None, *, long_list: bool = False) -> Any:
    """A body as JSON. Raises Invalid for what is no JSON, and for what could be neither stored nor sent again.

    That is half of a surrogate pair, a null character, a number beyond a double's range, nesting beyond DEEPEST. Raises
    TooLarge for a body with more objects and lists or commas than there may be: reading them is what takes long; and
    for an object with more than so many members. With long_list the body may hold a list of any number of texts.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    many = _counted(body, b"[", MOST_OBJECTS) + _counted(body, b"{", MOST_OBJECTS)
    if many > MOST_OBJECTS:
        raise TooLarge(f"The body has more than {MOST_OBJECTS} objects and lists.")
    rest, texts = body, None
    if long_list and _counted(body, b",", MOST_COMMAS) > MOST_COMMAS:
        rest, texts = set_aside(body)
    if _counted(rest, b",", MOST_COMMAS) > MOST_COMMAS:
        raise TooLarge(f"The body has more than {MOST_COMMAS} commas.")
    try:
        data = _read(rest) if texts is None else put_back(_read(rest), texts)
    except orjson.JSONDecodeError as error:
        raise Invalid(_why(body, error.msg)) from error
    if many > DEEPEST and _is_deep(data):
        raise Invalid(TOO_DEEP)
    if most_members is not None and body.count(b":") > most_members and _has_many_members(data, most_members):
        raise TooLarge(f"The body contains an object with more than {most_members} members.")
    if holds_null(body):
        raise Invalid(_fault_sentence(data if len(body) <= SHORT else None, lambda text: "\0" in text, HOLDS_NULL))
    return data


def _counted(body: bytes, sign: bytes, most: int) -> int:
    """How often a sign is in a body; not counted on where that is more than most."""
    count = 0
    for begin in range(0, len(body), PIECE):
        count += body.count(sign, begin, begin + PIECE)
        if count > most:
            break
    return count


def _why(body: bytes, message: str) -> str:
    if "surrogate" in message:
        return _fault_sentence(_roughly(body), HALF.search, HOLDS_HALF)
    return next(
        (explanation for words, explanation in FAULTS.items() if words in message), "The body is not valid JSON."
    )


def _roughly(body: bytes) -> Any:
    """A body that holds half of a surrogate pair, where its place can be looked for; None for any other."""
    if len(body) > SHORT:
        return None
    try:
        return json.loads(body, parse_int=float)
    except (ValueError, RecursionError):
        return None


def _read(body: bytes) -> Any:
    """A body as values. They are none that could be let go yet: to look for some meanwhile takes most of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    finally:
        if collecting:
            gc.enable()


def _is_deep(data: Any) -> bool:
    """Whether a value is nested too deeply; it is written again, since to look at each item would take far longer."""
    for _ in range(WRITABLE - DEEPEST):
        data = [data]
    try:
        orjson.dumps(data)
    except TypeError:
        return True
    return False


def _has_many_members(value: Any, most: int) -> bool:
    """Whether an object has more members than any call knows: each that is not known would be a fault of its own."""
    containers = [value] if isinstance(value, dict | list) else []
    while containers:
        container = containers.pop()
        if isinstance(container, dict) and len(container) > most:
            return True
        items = container.values() if isinstance(container, dict) else container
        containers.extend(item for item in items if isinstance(item, dict | list))
    return False


def _fault_sentence(data: Any, has_fault: Callable[[str], object], words: str) -> str:
    """A sentence about the first text of a body that has a fault, by its place if that can be found."""
    path = next((path for path, text in _texts(data, "") if has_fault(text)), "")
    return f"{path or 'The body'}: {words}."


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The texts of a value, each with its place; the name of a member has the place of what it is in."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            yield from _texts(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{path}[{number}]")
