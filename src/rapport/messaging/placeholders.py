"""The placeholders of templates: [%NAME%] and [%NAME:default%].

NAME is a customer attribute (RealFieldName, case ignored), one of EXTRAS, or EVENT. and the name of a
parameter of the event that a triggered campaign answers. The default stands in
for a value that is missing or empty; it runs up to the closing %] and holds no other [%. A compiled text is a list of
parts, so that rendering a million messages is a million joins. To find placeholders takes time in proportion to the
text, whatever it is: templates come from outside.

In HTML a value is escaped; inside the address of a link or picture it is percent-encoded, and one
that is the whole beginning of such an address must be http, https, mailto or tel. No value has a place
in a style, a script or an event handler, or before or within the scheme of an address.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from rapport.errors import Invalid
from rapport.messaging.places import Map, Place

PLACEHOLDER = re.compile(
    r"\[%\s*((?:[Ee][Vv][Ee][Nn][Tt][.])?[A-Za-z_][A-Za-z0-9_]*)\s*(?::((?:(?!%\]|\[%).)*))?%\]", re.DOTALL
)
# Values that a sender adds to those of the customer.
EXTRAS = frozenset({"CUSTOMER_ID", "PROMO_CODE", "PRODUCTS", "UNSUBSCRIBE_URL", "UNSUB", "CAMPAIGN_ID", "TEMPLATE_ID"})
OF_EVENT = "EVENT."
ALIASES = {"UNSUB": "UNSUBSCRIBE_URL"}
# Tags of the reference that have a meaning of their own and are no attribute with a default.
RESERVED = frozenset({"TRANS", "CURRENT_DATE"})
# What somebody meant as a placeholder and is none: an opening without the rest, and the forms of other systems.
MALFORMED = re.compile(
    r"\[%.{0,40}|\{\{.{0,40}?\}\}|\{%.{0,40}?%\}|\*\|\w.{0,40}?\|\*|\$\{\w.{0,40}?\}|%%\w{1,40}%%", re.DOTALL
)
ADDRESSES = frozenset({"href", "src", "cite", "background", "action", "formaction", "poster", "longdesc", "data"})
# What browsers skip at the beginning of an address, and anywhere within it (URL standard, 4.4).
SKIPPED_FIRST = "".join(map(chr, range(0x21)))
SKIPPED = re.compile("[\t\n\r]")
UNKNOWN = "\ufffc"  # stands for a value
SCHEME = re.compile(f"[A-Za-z{UNKNOWN}][A-Za-z0-9+.{UNKNOWN}-]*:")
MAX_FILLED = 4_000_000
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


def left_out(value: str) -> str:
    """A value where none may stand."""
    return ""


def names(text: str) -> list[str]:
    """The names of a text's placeholders in upper case, each once, in order."""
    return list(dict.fromkeys(match[1].upper() for match in PLACEHOLDER.finditer(text)))


def malformed(text: str, kind: Kind = "plain") -> str | None:
    """The first thing in a text that looks like a placeholder and is none; it would be sent as it stands."""
    rest, end = [], 0
    for match, _ in _placeholders(text, kind):
        rest.append(text[end : match.start()])
        end = match.end()
    match_of_rest = MALFORMED.search("".join([*rest, text[end:]]))
    return match_of_rest[0] if match_of_rest else None


def misplaced(page: str) -> str | None:
    """The first placeholder of HTML that stands where no value may, and where that is: what such HTML holds."""
    for place in Map(page):
        match = None if place.is_text else PLACEHOLDER.search(page, place.start, place.end)
        if match and (place.is_style or place.is_script):
            return f"{match[0]!r} in a {'style' if place.is_style else 'script'}, where no placeholder can stand"
        if match and place.attribute in ADDRESSES and not _has_safe_scheme(page[place.start : place.end]):
            return f"{match[0]!r} before or within the scheme of an address: let the address begin with https://"
    return None


def _placeholders(text: str, kind: Kind) -> Iterator[tuple[re.Match[str], Place]]:
    """The placeholders of a text and where each stands. In HTML none goes from an attribute into something else."""
    where, whole = Map(text) if kind == "html" else None, Place(0, len(text))
    for match in PLACEHOLDER.finditer(text):
        place = where.at(*match.span()) if where else whole
        if place is not None:
            yield match, place


def defused(page: str) -> str:
    """HTML that was kept before misplaced placeholders were refused, so that no value gets where none may.

    Styles have the defaults, which are the author's; an address is empty whose scheme is not safe, or a value's choice.
    """
    parts: list[str] = []
    end = 0
    for place in Map(page):
        content = page[place.start : place.end]
        if place.is_style or place.is_script:
            content = PLACEHOLDER.sub(lambda match: match[2] or "", content)
        elif place.attribute in ADDRESSES and not _has_safe_scheme(content):
            content = ""
        parts += page[end : place.start], content
        end = place.end
    return "".join([*parts, page[end:]])


def _has_safe_scheme(address: str) -> bool:
    """Whether an address has no other scheme than a safe one, whatever the values of its placeholders.

    A value that begins it has a safe scheme or is left out, one behind that is percent-encoded and has no colon.
    """
    first = PLACEHOLDER.search(address)
    begins = first is not None and not address[: first.start()].strip()
    rest = PLACEHOLDER.sub(UNKNOWN, address[first.end() if first and begins else 0 :])
    scheme = SCHEME.match(SKIPPED.sub("", html.unescape(rest)).lstrip(SKIPPED_FIRST))
    return scheme is None or scheme[0][:-1].lower() in SAFE_SCHEMES


class Compiled:
    """A text ready to be filled. HTML is to be defused before."""

    def __init__(self, text: str, kind: Kind) -> None:
        self._parts: list[str | Slot] = []
        end, before = 0, None
        for match, place in _placeholders(text, kind):
            name, default = match[1].upper(), match[2] or ""
            begins = place is not before and not text[place.start : match.start()].strip()
            write, before = as_is if kind == "plain" else _html_writer(place, begins), place
            slot = Slot(ALIASES.get(name, name), default if kind == "plain" else html.unescape(default), write)
            self._parts += text[end : match.start()], slot
            end = match.end()
        self._parts.append(text[end:])

    def fill(self, values: Values, fragments: Values) -> str:
        """The text with values (by upper-case name) put in; fragments are put in as they stand.

        Raises Invalid for one of more than MAX_FILLED characters: a value may be long, and stand in many places.
        """
        filled, length = [], 0
        for part in self._parts:
            if isinstance(part, str):
                piece = part
            elif part.name in fragments:
                piece = fragments[part.name]
            else:
                piece = part.write(values.get(part.name) or part.default)
            filled.append(piece)
            length += len(piece)
            if length > MAX_FILLED:
                raise Invalid(f"The message must not be longer than {MAX_FILLED} characters with its values.")
        return "".join(filled)


def _html_writer(place: Place, begins: bool) -> Callable[[str], str]:
    """How a value is written at a place of HTML, or as the beginning of it."""
    if place.is_style or place.is_script:
        return left_out
    if place.attribute not in ADDRESSES:
        return escaped
    return whole_address if begins else address_part
