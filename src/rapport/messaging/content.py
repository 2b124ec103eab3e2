"""HTML that is safe to send and to preview."""

import re

import nh3

from rapport.errors import Invalid
from rapport.messaging.tags.guarding import guarded, restored

TAGS = (nh3.ALLOWED_TAGS | {"style", "font", "section", "header", "footer", "main", "button"}) - {"map", "area"}
# cite is an address that nobody follows and whose scheme the sanitiser does not look at.
ATTRIBUTES = {tag: names - {"cite"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
ATTRIBUTES.setdefault("*", set()).update(
    {"style", "class", "id", "align", "valign", "width", "height", "bgcolor", "border", "role", "dir", "title", "lang"}
)
ATTRIBUTES.setdefault("table", set()).update({"cellpadding", "cellspacing"})
ATTRIBUTES["style"] = {"media"}
ATTRIBUTES["font"] = {"color", "face", "size"}


# To build the tree of HTML, every tag looks at those that are open, and each block opens again the formatting that was
# not closed before it: both grow with the square of the text.
MOST_TAGS, MOST_REOPENED = 10_000, 500_000
TAG = re.compile("</?[a-zA-Z]")
FORMATTING = "b|big|code|em|font|i|s|small|strike|strong|tt|u"
OPENS = re.compile(rf"<(?:{FORMATTING})\b", re.IGNORECASE)
# Formatting around words only. Whatever stands before it, it leaves nothing open.
MEMBERS = r"""(?:\s+[\w:-]+(?:=(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=`]+))?)*\s*"""
CLOSED = re.compile(rf"<({FORMATTING}){MEMBERS}>((?:[^<>]|<br\s*/?>)*)</\1\s*>", re.IGNORECASE)
FORMATTING_IN_FORMATTING = 3


def check_tags(html: str) -> None:
    """Raise Invalid for HTML that would take long to sanitise. It looks at tags as they are written, in linear time."""
    tags = len(TAG.findall(html))
    if tags > MOST_TAGS:
        raise Invalid(f"html has more than {MOST_TAGS} tags.")
    for _ in range(FORMATTING_IN_FORMATTING):
        html = CLOSED.sub(r"\2", html)
    if len(OPENS.findall(html)) * tags > MOST_REOPENED:
        raise Invalid("html has too much formatting, such as <b> or <font>, around other tags: use styles instead.")


def sanitised(html: str) -> str:
    """HTML without scripts, event handlers, forms, frames and unsafe addresses; double quotes around values.

    Raises Invalid, see check_tags.
    """
    check_tags(html)
    guarded_html, conditions = guarded(html)
    clean = nh3.clean(
        guarded_html,
        tags=TAGS,
        strip_comments=False,
        clean_content_tags={"script", "title"},
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    )
    return restored(clean, conditions)
