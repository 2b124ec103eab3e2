"""A template with its links tracked and a pixel: done once a template, before it is filled for anybody.

Of a link that is the same for everybody the address becomes a placeholder and the number of the link. One with
placeholders stays, and a mark with the number goes behind it: when the message is filled, the address is signed as it
is then. Links to unsubscribe, mailto:, tel: and anchors are left as they are, and of a template that has very many
links all after the first MOST_LINKS.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapport.messaging.places import places

MOST_LINKS = 1000
LONGEST_URL = 2000
CLICK, PIXEL = "RAPPORT_CLICK", "RAPPORT_PIXEL"
IMAGE = f'<img src="[%{PIXEL}%]" alt="" width="1" height="1" style="width:1px;height:1px">'
# Stands on both sides of the number of a link whose address is signed when it is filled; in no text that people write.
MARK = "\x02"
PLACEHOLDER = "[%"
# A link that begins with a placeholder may be any address; which it is shows when it is filled.
FOLLOWED = re.compile(r"https?://[^\s/]|\[%", re.IGNORECASE)
# Rapport's own links, by which people say what they want: whoever looks after them must find them as they are.
OWN = re.compile(r"\[%\s*(?:UNSUB|UNSUBSCRIBE_URL|VIEW\w*|PREFERENCE\w*)\s*[:%]", re.IGNORECASE)
# A placeholder is looked at in a bounded piece only: templates come from outside.
IN_TEXT = re.compile(r"https?://(?:\[%(?:(?!%\]|\[%).){1,500}%\]|[^\s<>\"'\[\]])+", re.IGNORECASE)
ENDS_SENTENCE = ".,;:!?)"
MARKED_HREF = re.compile(f'(?<=href=")([^"<>{MARK}]*){MARK}([0-9]+){MARK}')
MARKED = re.compile(f"{MARK}([0-9]+){MARK}")
BEGINS = re.compile("https?://", re.IGNORECASE)

Numbers = Callable[[Sequence[str]], Mapping[str, int]]
# The address of a link, by its number and the destination of this customer.
Signed = Callable[[int, str], str]


@dataclass(frozen=True)
class TrackedContent:
    """HTML and text of a template with tracked links; signs says whether any address is signed when it is filled."""

    html: str
    text: str
    signs: bool


@dataclass(frozen=True)
class _Link:
    """A link from start to end of a text, and its address as people follow it."""

    start: int
    end: int
    url: str


def tracked(page: str, text: str, numbers: Numbers) -> TrackedContent:
    """A template's HTML and text with tracked links. numbers gives the numbers of addresses."""
    in_page, in_text = _links_of_page(page), _links_of_text(text)
    urls = list(dict.fromkeys(link.url for link in (*in_page, *in_text)))[:MOST_LINKS]
    by_url = numbers(urls) if urls else {}
    signs = any(PLACEHOLDER in url for url in urls)
    return TrackedContent(
        _replaced(page, in_page, by_url) + (IMAGE if page else ""), _replaced(text, in_text, by_url), signs
    )


def signed_page(page: str, address: Signed) -> str:
    """HTML in which marked addresses are signed."""

    def sign(match: re.Match[str]) -> str:
        destination = html.unescape(match[1]).strip()
        return html.escape(address(int(match[2]), destination)) if _is_web(destination) else match[1]

    return MARKED.sub("", MARKED_HREF.sub(sign, page))


def signed_text(text: str, address: Signed) -> str:
    """Plain text in which marked addresses are signed."""
    parts: list[str] = []
    end = 0
    for match in MARKED.finditer(text):
        before = text[end : match.start()]
        # A value with a blank in it ends the address, as whoever reads the text will see it.
        words = before.rsplit(maxsplit=1) if before and not before[-1].isspace() else []
        begins = BEGINS.search(words[-1]) if words else None
        if begins:
            destination = words[-1][begins.start() :]
            before = before[: len(before) - len(destination)] + address(int(match[1]), destination)
        parts.append(before)
        end = match.end()
    return "".join([*parts, text[end:]])


@lru_cache(maxsize=512)
def _links_of_page(page: str) -> tuple[_Link, ...]:
    links = []
    for place in places(page):
        url = html.unescape(page[place.start : place.end]).strip()
        if place.attribute == "href" and place.tag in ("a", "area") and _is_followed(url):
            links.append(_Link(place.start, place.end, url))
    return tuple(links)


def _links_of_text(text: str) -> list[_Link]:
    links = []
    for match in IN_TEXT.finditer(text):
        url = match[0] if match[0].endswith("%]") else match[0].rstrip(ENDS_SENTENCE)
        if _is_followed(url):
            links.append(_Link(match.start(), match.start() + len(url), url))
    return links


def _is_followed(url: str) -> bool:
    """Whether a link is tracked."""
    return len(url) <= LONGEST_URL and FOLLOWED.match(url) is not None and not OWN.search(url)


def _is_web(url: str) -> bool:
    return url[:8].lower().startswith(("http://", "https://"))


def _replaced(text: str, links: Sequence[_Link], by_url: Mapping[str, int]) -> str:
    parts: list[str] = []
    end = 0
    for link in links:
        number = by_url.get(link.url)
        if number is None:
            continue
        as_written = text[link.start : link.end]
        tracked_link = (
            f"{as_written.strip()}{MARK}{number}{MARK}" if PLACEHOLDER in link.url else f"[%{CLICK}%]/{number}"
        )
        parts += text[end : link.start], tracked_link
        end = link.end
    return "".join([*parts, text[end:]])
