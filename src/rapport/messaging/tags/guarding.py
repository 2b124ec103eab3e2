"""The tags of conditions while HTML is parsed.

A parser puts text that stands between the rows of a table in front of it. There a condition would be about nothing, so
that its tags become comments, which stay where they are, until the HTML is written again.
"""

import html
import re
from collections.abc import Sequence

from rapport.messaging.places import comments
from rapport.messaging.tags.language import Insertion
from rapport.messaging.tags.scanning import TextKind, tags

# Where a parser takes comments for text, it escapes them.
GUARD = re.compile(r"(?:<|&lt;)!--condition ([0-9]{1,6})--(?:>|&gt;)")


def guarded(page: str) -> tuple[str, list[str]]:
    """HTML with comments for the tags of conditions that stand in text, and these tags, for restored()."""
    parts: list[str] = []
    sources: list[str] = []
    end = 0
    for tag in tags(page, TextKind.HTML):
        if tag.place.is_text and not isinstance(tag.meaning, Insertion):
            parts += page[end : tag.start], f"<!--condition {len(sources)}-->"
            # With no quote that would end a value, wherever the comment stands in the end.
            words = html.escape(html.unescape(tag.words), quote=False).replace('"', "&quot;")
            sources.append(f"[%{words}%]")
            end = tag.end
    return "".join([*parts, page[end:]]), sources


def restored(page: str, sources: Sequence[str]) -> str:
    """HTML with its tags in place of their comments, and without any other comment."""
    parts: list[str] = []
    end = 0
    for comment in comments(page):
        source = page[comment.start : comment.end]
        parts += page[end : comment.start], source if GUARD.fullmatch(source) else ""
        end = comment.end
    return GUARD.sub(lambda match: _source(sources, int(match[1])), "".join([*parts, page[end:]]))


def _source(sources: Sequence[str], number: int) -> str:
    return sources[number] if number < len(sources) else ""
