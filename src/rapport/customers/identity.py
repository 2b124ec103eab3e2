"""Texts that programs put where they know nobody: as an id such a text would make one person of many strangers.

The same rule stands here for Python and for SQL of the warehouse: events, files, the API and stitches ask it.
"""

import re
from typing import Any

# White space of any alphabet, and characters that take no room.
BLANK = "\t\n\v\f\r\x1c-\x1f \x85\u00a0\u00ad\u1680\u180e\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
# What stands where a template was not filled in: {{id}}, ${id}, %%id%%, [%ID%], *|ID|*, <%= id %>.
UNFILLED = (
    r"[{][{][^{}]*[}][}]",
    r"[$#][{][^{}]*[}]",
    "%%[^%]*%%",
    r"\[%[^%]*%\]",
    r"[*][|][^|]*[|][*]",
    "<%[^%]*%>",
)
# What languages, databases and spreadsheets write for "nothing", in lower case.
NOTHING = (
    "undefined",
    "null",
    "none",
    "nil",
    "-?nan",
    "n/a",
    "n[.]a[.]?",
    "[(]?not[ _]set[)]?",
    *UNFILLED,
    r"\\n",
    "object [a-z]+",
    r"#n/a|#(?:null|num|ref|value|div/0)!|#name[?]",
    "[-+._?*]+",
    "[-+]?0(?:[.]0+)?",
    "(?:urn:uuid:)?0{8}-?(?:0{4}-?){3}0{12}",
)
# What they call everybody whom they do not know.
ANONYMOUS = ("anonymous", "guest", "unknown", "not[_ ]authenticated", "true", "false", "nat")


def _wrapped(words: tuple[str, ...]) -> str:
    """A pattern of one of these words, or none, within blanks, quotes and brackets of any kind."""
    return f"^[{BLANK}\"'`(\\[{{<]*(?:{'|'.join(words)})?[{BLANK}\"'`)\\]}}>]*$"


SAYS_NOTHING, IDENTIFIES_NOBODY = _wrapped(NOTHING), _wrapped((*NOTHING, *ANONYMOUS))
# Case of ASCII letters only, which both engines take alike.
_NOTHING, _NOBODY = (re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in (SAYS_NOTHING, IDENTIFIES_NOBODY))
NOBODY = "identifies nobody"
# Names of people that are written as words for nothing are.
NAMES = ("Nan", "Nil", "Null")


def identifies_nobody(text: str) -> bool:
    """Whether an id of a customer or visitor is empty or a word for nobody: undefined, null, 0, a UUID of zeros ..."""
    return _NOBODY.fullmatch(text) is not None


def says_nothing(value: Any, *, name: bool = False) -> bool:
    """Whether an address, or (name) a name, is empty or a word for nothing. None is none: it clears what is known."""
    if name and value in NAMES:
        return False
    return isinstance(value, bool) or (value is not None and _NOTHING.fullmatch(str(value)) is not None)


def identifies_nobody_sql(text: str) -> str:
    """SQL of the same as identifies_nobody; text is SQL of a text that is not NULL."""
    return f"match(lower({text}), {_literal(IDENTIFIES_NOBODY)})"


def says_nothing_sql(text: str, *, name: bool = False) -> str:
    """SQL of the same as says_nothing; text is SQL of a text that is not NULL."""
    nothing = f"match(lower({text}), {_literal(SAYS_NOTHING)})"
    return f"({text} NOT IN {NAMES} AND {nothing})" if name else nothing


def is_name(real_field_name: str) -> bool:
    """Whether an identifying attribute is a name of the person."""
    return "NAME" in real_field_name.upper()


def _literal(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
