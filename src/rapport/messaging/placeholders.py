"""The placeholders of templates: [%NAME%] and [%NAME:default%].

NAME is a customer attribute (RealFieldName, case ignored), one of EXTRAS, or EVENT. and the name of a
parameter of the event that a triggered campaign answers. The default stands in
for a value that is missing or empty; it runs up to the closing %]. A compiled text is a list of
parts, so that rendering a million messages is a million joins.

In HTML a value is escaped; inside the address of a link or picture it is percent-encoded, and one
that is the whole beginning of such an address must be http, https, mailto or tel.
"""

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

PLACEHOLDER = re.compile(r"\[%\s*((?:[Ee][Vv][Ee][Nn][Tt][.])?[A-Za-z_][A-Za-z0-9_]*)\s*(?::(.*?))?%\]", re.DOTALL)
# Values that a sender adds to those of the customer.
EXTRAS = frozenset({"CUSTOMER_ID", "PROMO_CODE", "PRODUCTS", "UNSUBSCRIBE_URL", "UNSUB", "CAMPAIGN_ID", "TEMPLATE_ID"})
OF_EVENT = "EVENT."
ALIASES = {"UNSUB": "UNSUBSCRIBE_URL"}
# Tags of the reference that have a meaning of their own and are no attribute with a default.
RESERVED = frozenset({"TRANS", "CURRENT_DATE"})
OPEN_ADDRESS = re.compile(r"""(?:href|src|background)\s*=\s*"([^"<>]*)$""", re.IGNORECASE)
SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel"})

Kind = Literal["plain", "html"]
Values = Mapping[str, str]


@dataclass(frozen=True)
class Slot:
    """A placeholder with how its value is written."""

    name: str
    default: str
    write: Callable[[str], str]


def as_is(value: str) -> str:
    """A value in plain text."""
    return value


def escaped(value: str) -> str:
    """A value in HTML text or in an ordinary attribute."""
    return html.escape(value, quote=True)


def address_part(value: str) -> str:
    """A value inside an address."""
    return quote(value, safe="")


def whole_address(value: str) -> str:
    """A value that begins an address; nothing when its scheme could run code."""
    try:
        safe = urlsplit(value.strip()).scheme.lower() in SAFE_SCHEMES
    except ValueError:
        safe = False
    return html.escape(value.strip(), quote=True) if safe else ""


def names(text: str) -> list[str]:
    """The names of a text's placeholders in upper case, each once, in order."""
    return list(dict.fromkeys(match[1].upper() for match in PLACEHOLDER.finditer(text)))


class Compiled:
    """A text ready to be filled."""

    def __init__(self, text: str, kind: Kind) -> None:
        self._parts: list[str | Slot] = []
        end = 0
        for match in PLACEHOLDER.finditer(text):
            literal = text[end : match.start()]
            self._parts.append(literal)
            name = match[1].upper()
            write = as_is if kind == "plain" else _html_writer(text[: match.start()])
            default = html.unescape(match[2] or "") if kind == "html" else match[2] or ""
            self._parts.append(Slot(ALIASES.get(name, name), default, write))
            end = match.end()
        self._parts.append(text[end:])

    def fill(self, values: Values, fragments: Values) -> str:
        """The text with values (by upper-case name) put in; fragments are put in as they stand."""
        filled = []
        for part in self._parts:
            if isinstance(part, str):
                filled.append(part)
            elif part.name in fragments:
                filled.append(fragments[part.name])
            else:
                filled.append(part.write(values.get(part.name) or part.default))
        return "".join(filled)


def _html_writer(before: str) -> Callable[[str], str]:
    """How a value is written after this much HTML."""
    match = OPEN_ADDRESS.search(before)
    if match is None:
        return escaped
    return address_part if match[1].strip() else whole_address
