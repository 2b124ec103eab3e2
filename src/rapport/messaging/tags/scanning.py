"""Where the tags of a text are. To find them takes time in proportion to the text, whatever it is: templates come from
outside.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rapport.messaging.places import Map, Place
from rapport.messaging.tags.language import Ending, Insertion, Meaning, Opening, read

INNER = r"(?:[^\[%]|\[(?!%)|%(?!\]))*"
# In a condition the attribute may have brackets of its own.
TAG = re.compile(rf"\[%(?P<body>(?:\s*(?:ELSE)?IF\s*:\s*\[%{INNER}%\])?{INNER})%\]", re.IGNORECASE)
# What somebody meant as a tag and is none: an opening without the rest, and the forms of other systems.
MALFORMED = re.compile(
    r"\[%.{0,40}|\{\{.{0,40}?\}\}|\{%.{0,40}?%\}|\*\|\w.{0,40}?\|\*|\$\{\w.{0,40}?\}|%%\w{1,40}%%", re.DOTALL
)


class TextKind(StrEnum):
    """What a text is, which decides how values are written into it."""

    SUBJECT = "subject"
    TEXT = "text"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, from start to end of a text, with what it asks for, and where of HTML it stands."""

    start: int
    end: int
    source: str
    meaning: Meaning
    place: Place

    @property
    def words(self) -> str:
        """What it says, without its brackets."""
        return self.source[2:-2].strip()


def meaning_of(match: re.Match[str], kind: TextKind) -> Meaning | None:
    """What a match of TAG asks for; None for what is no tag."""
    return read(html.unescape(match["body"]) if kind is TextKind.HTML else match["body"])


def tags(text: str, kind: TextKind) -> Iterator[Tag]:
    """The tags of a text in their order. In HTML none goes from an attribute into something else."""
    where, whole = Map(text) if kind is TextKind.HTML else None, Place(0, len(text))
    for match in TAG.finditer(text):
        place = where.at(*match.span()) if where else whole
        meaning = None if place is None else meaning_of(match, kind)
        if place is not None and meaning is not None:
            yield Tag(*match.span(), match[0], meaning, place)


def malformed(text: str, kind: TextKind) -> str | None:
    """The first piece of a text that looks like a tag and is none; it would be sent as it stands."""
    rest, end = [], 0
    for tag in tags(text, kind):
        rest.append(text[end : tag.start])
        end = tag.end
    match = MALFORMED.search("".join([*rest, text[end:]]))
    return match[0] if match else None


def branches(found_tags: Sequence[Tag]) -> dict[int, int]:
    """The branches among tags: the number of each that begins one, with that of the one that ends it.

    Each branch has an end of its own, before the next branch begins, in the same place; of HTML in text, if it begins
    in text: whoever is shown less of the page sees no other markup, but fewer elements.
    """
    pairs: dict[int, int] = {}
    begun: int | None = None
    for number, tag in enumerate(found_tags):
        if isinstance(tag.meaning, Opening):
            begun = number
        elif isinstance(tag.meaning, Ending) and begun is not None:
            if _in_one_place(found_tags[begun].place, tag.place):
                pairs[begun] = number
            begun = None
    return pairs


def _in_one_place(first: Place, second: Place) -> bool:
    return first == second or (first.is_text and second.is_text)


def insertions(text: str, kind: TextKind) -> Iterator[Insertion]:
    """The tags of a text that values are put in for."""
    return (tag.meaning for tag in tags(text, kind) if isinstance(tag.meaning, Insertion))
