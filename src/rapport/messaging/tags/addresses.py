"""How values are written into HTML, so that none escapes its place, and which addresses are safe whatever values are.

In text and in ordinary attributes a value is escaped; inside the address of a link or picture it is percent-encoded,
and one that is the whole beginning of such an address must be http, https, mailto or tel. No value has a place in a
style, a script or an event handler, or before or within the scheme of an address.
"""

import html
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlsplit

from rapport.messaging.places import Map, Place
from rapport.messaging.tags.formats import NO_BREAK
from rapport.messaging.tags.language import Branching, Insertion, Opening
from rapport.messaging.tags.scanning import TAG, Tag, TextKind, branches, meaning_of, tags

ADDRESSES = frozenset({"href", "src", "cite", "background", "action", "formaction", "poster", "longdesc", "data"})
# What browsers skip at the beginning of an address, and anywhere within it (URL standard, 4.4).
SKIPPED_FIRST = "".join(map(chr, range(0x21)))
SKIPPED = re.compile("[\t\n\r]")
UNKNOWN = "\ufffc"  # stands for a value
SCHEME = re.compile(f"[A-Za-z{UNKNOWN}][A-Za-z0-9+.{UNKNOWN}-]*:")
SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel"})
# Of conditions in one address, all of whose outcomes are looked at.
MOST_BRANCHES, MOST_OUTCOMES = 50, 64

Write = Callable[[str], str]


def as_is(value: str) -> str:
    """A value in plain text."""
    return value


def with_plain_spaces(value: str) -> str:
    """A formatted value in plain text, where spaces that never break a line are of no use."""
    return value.translate(NO_BREAK)


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


def html_writer(place: Place, *, begins: bool) -> Write:
    """How a value is written at a place of HTML, or as the beginning of it."""
    if place.is_style or place.is_script:
        return left_out
    if place.attribute not in ADDRESSES:
        return escaped
    return whole_address if begins else address_part


def is_safe(address: str) -> bool:
    """Whether an address, as HTML writes it, has a safe scheme or none."""
    scheme = SCHEME.match(SKIPPED.sub("", html.unescape(address)).lstrip(SKIPPED_FIRST))
    return scheme is None or scheme[0][:-1].lower() in SAFE_SCHEMES


def misplaced(page: str) -> str | None:
    """The first tag of HTML that stands where none may, and where that is: what such HTML holds."""
    for place in Map(page):
        match = None if place.is_text else TAG.search(page, place.start, place.end)
        if match and (place.is_style or place.is_script):
            return f"{match[0]!r} in a {'style' if place.is_style else 'script'}, where no tag can stand"
        if match and place.attribute in ADDRESSES:
            outcomes = _outcomes(page[place.start : place.end])
            if outcomes is None:
                return f"{match[0]!r} in an address with too many conditions: put a condition around the whole link"
            if not all(map(_is_always_safe, outcomes)):
                return f"{match[0]!r} before or within the scheme of an address: let the address begin with https://"
    return None


def defused(page: str) -> str:
    """HTML that was kept before misplaced tags were refused, so that no value gets where none may.

    Styles have the defaults, which are the author's; an address is empty whose scheme is not safe, or a value's choice.
    An address with conditions is judged when it is filled.
    """
    parts: list[str] = []
    end = 0
    for place in Map(page):
        content = page[place.start : place.end]
        if place.is_style or place.is_script:
            content = TAG.sub(_default, content)
        elif place.attribute in ADDRESSES and not _depends(content) and not _is_always_safe(content):
            content = ""
        parts += page[end : place.start], content
        end = place.end
    return "".join([*parts, page[end:]])


def _default(match: re.Match[str]) -> str:
    meaning = meaning_of(match, TextKind.TEXT)  # the default as the author wrote it
    return meaning.default if isinstance(meaning, Insertion) else ""


def _depends(address: str) -> bool:
    """Whether an address has tags of conditions."""
    return any(not isinstance(tag.meaning, Insertion) for tag in tags(address, TextKind.TEXT))


def _outcomes(address: str) -> set[str] | None:
    """What can come of an address by its conditions, tags of values as they stand; None for too many.

    What conditions ask does not matter: of the branches of a block, at most one is taken.
    """
    address_tags = list(tags(address, TextKind.TEXT))
    pairs = branches(address_tags)
    if len(pairs) > MOST_BRANCHES:
        return None
    outcomes, end = {("", False)}, 0
    for begin, closing in pairs.items():
        opening = address_tags[begin]
        between = _without_control(address, address_tags, end, opening.start)
        content = address[opening.end : address_tags[closing].start]
        outcomes = {(before + between, taken) for before, taken in outcomes}
        outcomes = set(_after_branch(outcomes, opening, content))
        end = address_tags[closing].end
        if len(outcomes) > MOST_OUTCOMES:
            return None
    rest = _without_control(address, address_tags, end, len(address))
    return {before + rest for before, _ in outcomes}


def _without_control(address: str, address_tags: Iterable[Tag], start: int, end: int) -> str:
    """A piece of an address without the tags in it that begin or end no branch."""
    pieces = []
    for tag in address_tags:
        if start <= tag.start < end and not isinstance(tag.meaning, Insertion):
            pieces.append(address[start : tag.start])
            start = tag.end
    return "".join([*pieces, address[start:end]])


def _after_branch(outcomes: Iterable[tuple[str, bool]], tag: Tag, content: str) -> Iterable[tuple[str, bool]]:
    for before, taken in outcomes:
        begins = tag.meaning.begins if isinstance(tag.meaning, Opening) else Branching.IF
        if begins is Branching.IF or not taken:
            yield before + content, True
        if begins is not Branching.ELSE or taken:
            yield before, taken and begins is not Branching.IF


def _is_always_safe(address: str) -> bool:
    """Whether an address without conditions has no other scheme than a safe one, whatever the values of its tags.

    A value that begins it has a safe scheme or is left out, one behind that is percent-encoded and has no colon.
    """
    first = TAG.search(address)
    begins = first is not None and not address[: first.start()].strip()
    return is_safe(TAG.sub(UNKNOWN, address[first.end() if first and begins else 0 :]))
