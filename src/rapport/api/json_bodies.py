"""Bodies as JSON: what no call takes in one, whatever it asks for, and the route that reads its body so."""

import codecs
import gc
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from rapport.errors import Invalid, TooLarge
from rapport.wording import HALF, HOLDS_HALF, HOLDS_NULL

DEEPEST = 100
# Objects and lists of a body, those within texts included. Bodies of the management API are read where everybody waits;
# on the wire each value of an attribute of a customer is one.
MOST_MANAGED, MOST_OF_WIRE = 20_000, 500_000
# Of an object of the management API.
MOST_MEMBERS = 1000
# So many commas go with an object: those that part the values of its lists and those within texts count as well.
COMMAS_AN_OBJECT = {MOST_MANAGED: 20, MOST_OF_WIRE: 4}
# The library writes no value that is nested deeper than this.
WRITABLE = 253
# An escaped null character: behind an even number of backslashes.
NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
ESCAPED_NULL = b"\\u0000"
# In a longer body the place of a fault is not looked for: it would hold everybody else up.
SHORT = 1 << 16
TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."
# Words of the parser, and what they mean.
FAULTS = {
    "depth limit": TOO_DEEP,
    "infinity": "The body holds a number that is too large.",
}


def loaded(body: bytes, most: int = MOST_OF_WIRE) -> Any:
    """A body as JSON. Raises Invalid for what is no JSON, and for what could be neither stored nor sent again.

    That is half of a surrogate pair, a null character, a number beyond a double's range, nesting beyond DEEPEST. Raises
    TooLarge for a body with more than so many objects and lists: reading them is what takes long.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    many = body.count(b"[") + body.count(b"{")
    if many > most:
        raise TooLarge(f"The body holds more than {most} objects and lists.")
    if body.count(b",") > most * COMMAS_AN_OBJECT[most]:
        raise TooLarge(f"The body holds more than {most * COMMAS_AN_OBJECT[most]} commas.")
    try:
        data = _read(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(_why(body, error.msg)) from error
    if many > DEEPEST and _is_deep(data):
        raise Invalid(TOO_DEEP)
    if most == MOST_MANAGED and body.count(b":") > MOST_MEMBERS and _has_many_members(data):
        raise TooLarge(f"The body holds an object with more than {MOST_MEMBERS} members.")
    if ESCAPED_NULL in body and NULL.search(body):
        raise Invalid(_told(data if len(body) <= SHORT else None, lambda text: "\0" in text, HOLDS_NULL))
    return data


def _why(body: bytes, message: str) -> str:
    if "surrogate" in message:
        return _told(_roughly(body), HALF.search, HOLDS_HALF)
    return next((told for words, told in FAULTS.items() if words in message), "The body is not valid JSON.")


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


def _has_many_members(value: Any) -> bool:
    """Whether an object has more members than any call knows: each that is not known would be a fault of its own."""
    left = [value] if isinstance(value, dict | list) else []
    while left:
        one = left.pop()
        if isinstance(one, dict) and len(one) > MOST_MEMBERS:
            return True
        items = one.values() if isinstance(one, dict) else one
        left.extend(item for item in items if isinstance(item, dict | list))
    return False


def _told(data: Any, has_fault: Callable[[str], object], words: str) -> str:
    """A sentence about the first text of a body that has a fault, by its place if that can be found."""
    place = next((place for place, text in _texts(data, "") if has_fault(text)), "")
    return f"{place or 'The body'}: {words}."


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The texts of a value, each with its place; the name of a member has the place of what it is in."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield place, name
            yield from _texts(member, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}[{number}]")


class _JsonRequest(Request):
    """A request whose body is read by loaded()."""

    _found: Any = None

    async def json(self) -> Any:
        """The body; read once."""
        if self._found is None:
            self._found = loaded(await self.body(), MOST_MANAGED)
        return self._found


class JsonRoute(APIRoute):
    """A route that refuses of a JSON body what no call takes, before the body is held against its model."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, with a request that reads its body so."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            read = _JsonRequest(request.scope, request.receive)
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if self.body_field is not None and content_type.endswith("json") and await read.body():
                await read.json()  # here, since FastAPI gives errors that are met while it reads a sentence of its own
            return await handle(read)

        return checked
