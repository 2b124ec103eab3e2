"""The rules of a page's styles, written into its elements: many mail programs read no others."""

import html as entities
import re

import css_inline

from rapport.messaging.content import sanitised
from rapport.messaging.places import places
from rapport.messaging.tags.guarding import guarded, restored

# Each rule may be written into each element.
MOST_RULES_BY_TAGS = 50_000_000  # characters of styles, times tags
MOST_RESULT = 1_000_000  # characters
STYLE = re.compile("<style", re.IGNORECASE)
SCREENS = frozenset({"", "all", "screen"})
_INLINER = css_inline.CSSInliner(inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False)


def inlined(page: str) -> str | None:
    """A sanitised page with its rules in its elements as well, sanitised again; None where that would be too much.

    The rules stay in their place, too: those for small screens and for links under the pointer can be nowhere else.
    """
    if not STYLE.search(page):
        return page
    rules = _rules(page)
    if len(rules) * page.count("<") > MOST_RULES_BY_TAGS:
        return None
    with_comments, conditions = guarded(page)
    with_rules = restored(_INLINER.inline_fragment(with_comments, rules), conditions)
    return sanitised(with_rules) if len(with_rules) <= MOST_RESULT else None


def _rules(page: str) -> str:
    """The rules of all styles of a page that are for screens."""
    rules: list[str] = []
    medium = ""
    for place in places(page):
        if place.tag != "style":
            continue
        content = page[place.start : place.end]
        if place.attribute == "media":
            medium = entities.unescape(content).strip().lower()
        elif not place.attribute:
            rules += [content] if medium in SCREENS else []
            medium = ""
    return "\n".join(rules)
