"""Where HTML has text and values of attributes, found in time in proportion to its length, whatever it is."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# Elements whose content is no markup.
RAW = frozenset({"script", "style"})
MARKUP = re.compile(r"<!--|<[!?]|</[^A-Za-z]|</?(?P<name>[A-Za-z][^\s/>]*)")
RAW_ENDS = {tag: re.compile(f"</{tag}(?=[\\s/>])", re.IGNORECASE) for tag in RAW}
ATTRIBUTE = re.compile(
    r"""[\s/]*(?P<name>[^\s/>][^\s/>=]*)"""
    r"""(?:\s*=\s*(?:"(?P<double>[^"]*)(?:"|\Z)|'(?P<single>[^']*)(?:'|\Z)|(?P<bare>[^\s>]*)))?"""
)


@dataclass(frozen=True, slots=True)
class Place:
    """Text (no attribute; tag only within a script or a style) or the value of an attribute, from start to end."""

    start: int
    end: int
    tag: str = ""
    attribute: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is text that people read."""
        return not self.tag

    @property
    def is_style(self) -> bool:
        """Whether it is CSS."""
        return self.attribute == "style" or (self.tag == "style" and not self.attribute)

    @property
    def is_script(self) -> bool:
        """Whether it is a program: of a script, or of an event handler."""
        return self.attribute.startswith("on") or (self.tag == "script" and not self.attribute)


COMMENT = "!--"  # the tag of what is a comment


def places(html: str) -> Iterator[Place]:
    """The places of HTML in their order; comments and what is not closed at the end have none."""
    return (place for place in _pieces(html) if place.tag != COMMENT)


def comments(html: str) -> Iterator[Place]:
    """The comments of HTML in their order, with their signs."""
    return (place for place in _pieces(html) if place.tag == COMMENT)


def _pieces(html: str) -> Iterator[Place]:
    """Places and comments."""
    at = 0
    while opened := MARKUP.search(html, at):
        if at < opened.start():
            yield Place(at, opened.start())
        tag = (opened["name"] or "").lower()
        if not tag:
            sign = "-->" if opened[0] == "<!--" else ">"
            at = _after(html, sign, opened.end())
            if opened[0] == "<!--":
                yield Place(opened.start(), at, COMMENT)
            continue
        at = opened.end()
        while attribute := ATTRIBUTE.match(html, at):
            if attribute.lastgroup not in (None, "name"):
                yield Place(*attribute.span(attribute.lastgroup), tag, attribute["name"].lower())
            at = attribute.end()
        at = _after(html, ">", at)
        if tag in RAW and html[opened.start() + 1] != "/":
            ended = RAW_ENDS[tag].search(html, at)
            end = ended.start() if ended else len(html)
            yield Place(at, end, tag)
            at = end
    if at < len(html):
        yield Place(at, len(html))


def _after(html: str, sign: str, at: int) -> int:
    """Behind the next sign, or the end."""
    end = html.find(sign, at)
    return len(html) if end < 0 else end + len(sign)


class Map:
    """The places of one HTML, by position."""

    def __init__(self, html: str) -> None:
        self._places = list(places(html))
        self._starts = [place.start for place in self._places]

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def at(self, start: int, end: int) -> Place | None:
        """The place that what stands from start to end belongs to; None for what lies in several that are not all text.

        From one text to another it may go across tags: without them the HTML has fewer, and no other ones.
        """
        first, last = self._holding(start), self._holding(end - 1)
        if first is None or last is None:
            return None
        return first if first is last or (first.is_text and last.is_text) else None

    def _holding(self, position: int) -> Place | None:
        number = bisect_right(self._starts, position) - 1
        place = self._places[number] if number >= 0 else None
        return place if place is not None and position < place.end else None
