"""Query parameters of the wire: names match ignoring case, empty means absent, a bad value is one sentence."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from rapport.errors import Invalid

INT32_MAX = 2**31 - 1
WHOLE = re.compile(r"[0-9]{1,100}")
# A time of day and a zone may follow, in any form: only the day counts.
DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?", re.DOTALL)
# What the engines can compare and shift by a month or a zone; no data are of a day beyond.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2148, 12, 31)
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
NULL = "null"  # what clients make of a value that they have not got
FORBIDDEN_DELIMITERS = set(":/?&#%$+=")


def _integer(name: str, text: str, least: int = 0) -> int:
    digits = WHOLE.fullmatch(text.strip())
    if digits is None or int(text) < least:
        raise Invalid(f"{name} must be a whole number of at least {least}, not {text!r}.")
    if int(text) > INT32_MAX:
        raise Invalid(f"{name} must be a whole number of at most {INT32_MAX}, not {text!r}.")
    return int(text)


def _count(name: str, text: str) -> int:
    return _integer(name, text, 1)


def _integers(name: str, text: str) -> list[int]:
    return [_integer(name, part) for part in text.split(",")]


def _date(name: str, text: str) -> date:
    """A day; those that no data can be of, such as a client's smallest and largest, as the nearest that one can."""
    form = DATE.fullmatch(text.strip())
    try:
        day = date.fromisoformat(form[1] if form else "")
    except ValueError as error:
        raise Invalid(f"{name} must be a date as YYYY-MM-DD, not {text!r}.") from error
    return min(max(day, FIRST_DAY), LAST_DAY)


def _boolean(name: str, text: str) -> bool:
    value = BOOLEANS.get(text.strip().lower())
    if value is None:
        raise Invalid(f"{name} must be true or false, not {text!r}.")
    return value


def _string(name: str, text: str) -> str:
    if "\0" in text:
        raise Invalid(f"{name} must not contain a null character.")
    return text.strip()


def _parts(name: str, text: str, delimiters: str) -> list[str]:
    """The names that a text joins. One delimiter at the end adds none; raises Invalid for a blank name elsewhere."""
    parts = [part.strip() for part in re.split(f"[{delimiters}]", text)]
    if not parts[-1]:
        parts.pop()
    # Positions in the answer carry the meaning, so none may be left out.
    if not all(parts):
        raise Invalid(f"{name} must not contain a blank name.")
    return parts


def _names(name: str, text: str) -> list[str]:
    return _parts(name, text, ";")


def _product_names(name: str, text: str) -> list[str]:
    return _parts(name, text.strip().strip('"'), ",;")


def _delimiter(name: str, text: str) -> str:
    if len(text) != 1 or text in FORBIDDEN_DELIMITERS:
        raise Invalid(f"{name} must be one character, and none of : / ? & # % $ + =.")
    return text


KINDS: dict[str, tuple[Callable[[str, str], Any], dict[str, Any]]] = {
    "integer": (_integer, {"type": "integer", "format": "int32", "minimum": 0}),
    "count": (_count, {"type": "integer", "format": "int32", "minimum": 1}),
    "integers": (_integers, {"type": "string", "pattern": r"^\d+(,\d+)*$"}),
    "date": (_date, {"type": "string", "format": "date"}),
    "boolean": (_boolean, {"type": "boolean"}),
    "string": (_string, {"type": "string"}),
    "names": (_names, {"type": "string"}),
    "product names": (_product_names, {"type": "string"}),
    "delimiter": (_delimiter, {"type": "string", "maxLength": 1}),
}


@dataclass(frozen=True)
class Parameter:
    """One query parameter: its wire name, kind (a key of KINDS) and meaning."""

    name: str
    kind: str = "string"
    required: bool = False
    default: Any = None
    aliases: tuple[str, ...] = ()
    description: str = ""

    def read(self, query: Mapping[str, str]) -> Any:
        """The value from a query whose names are lower-case. Raises Invalid."""
        text = next(filter(str.strip, (query.get(name.lower(), "") for name in (self.name, *self.aliases))), "")
        if text and (self.required or text.strip().lower() != NULL):
            return KINDS[self.kind][0](self.name, text)
        if self.required:
            raise Invalid(f"{self.name} is required.")
        return self.default

    def is_legacy(self, query: Mapping[str, str]) -> bool:
        """Whether a query gives the parameter under another spelling only."""
        present = [bool(query.get(name.lower(), "").strip()) for name in (self.name, *self.aliases)]
        return any(present) and not present[0]

    def openapi(self) -> dict[str, Any]:
        """The parameter in an OpenAPI operation."""
        schema = dict(KINDS[self.kind][1])
        if self.default is not None:
            schema["default"] = self.default
        return {
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.description,
            "schema": schema,
        }


def required(name: str, kind: str, description: str = "", aliases: tuple[str, ...] = ()) -> Parameter:
    """A parameter without which the call is refused with 400."""
    return Parameter(name, kind, True, None, aliases, description)


def optional(
    name: str, kind: str, default: Any = None, description: str = "", aliases: tuple[str, ...] = ()
) -> Parameter:
    """A parameter that may be left out."""
    return Parameter(name, kind, False, default, aliases, description)


CUSTOMER_ATTRIBUTES = (
    optional(
        "CustomerAttributes",
        "names",
        description="Attribute names joined with ';', added to every row; with a CampaignID also REWARD:key",
    ),
    optional("CustomerAttributesDelimiter", "delimiter", description="Legacy; has no effect"),
)
PAGING = (
    optional("$top", "count", aliases=("top",), description="The number of rows to return"),
    optional("$skip", "integer", 0, aliases=("skip",), description="The number of rows to skip"),
)
