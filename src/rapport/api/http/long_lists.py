"""A long list of texts in a JSON object, such as a million CustomerIDs, read in pieces.

While JSON is read nobody else has the interpreter: so many texts would hold everybody up for tenths of a second.
"""

import re
from typing import Any

import orjson

TEXT = rb'"(?:[^"\\]|\\.)*"'
BLANK = rb"[ \t\r\n]*"
# An object up to a list: names with texts, numbers and words before it, and its own.
BEGINNING = re.compile(
    rb"%b\{(?:%b%b%b:%b(?:%b|[\w.+-]+)%b,)*%b%b%b:%b\["
    % (BLANK, BLANK, TEXT, BLANK, BLANK, TEXT, BLANK, BLANK, TEXT, BLANK, BLANK),
    re.DOTALL,
)
PIECE = re.compile(rb"(?:%b%b%b,){1,2000}" % (BLANK, TEXT, BLANK), re.DOTALL)
LAST = re.compile(rb"%b%b%b\]" % (BLANK, TEXT, BLANK), re.DOTALL)
LONGEST_BEGINNING = 4096
# Stands in the object for the list.
ASIDE = ["the list that was set aside"]


def set_aside(body: bytes) -> tuple[bytes, list[str] | None]:
    """A body without the long list of texts in it, and the list; the body as it is and None where there is none."""
    begins = BEGINNING.match(body, 0, LONGEST_BEGINNING)
    if begins is None:
        return body, None
    texts: list[str] = []
    at = begins.end()
    while piece := PIECE.match(body, at):
        try:
            texts += orjson.loads(b"[%b]" % piece[0][:-1])
        except orjson.JSONDecodeError:
            return body, None
        at = piece.end()
    last = LAST.match(body, at)
    if last is None:
        return body, None
    rest = b"%b%b%b" % (body[: begins.end() - 1], orjson.dumps(ASIDE), body[last.end() :])
    return rest, [*texts, *orjson.loads(b"[%b" % last[0])]


def put_back(data: Any, texts: list[str]) -> Any:
    """The object of a body with the list in its place, unless another member has its name."""
    return {name: texts if value == ASIDE else value for name, value in data.items()}
