"""The plain text of a mail that has only HTML."""

import re
from html.parser import HTMLParser

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
PARTS = {"section", "header", "footer", "main", "figure"}
BLOCKS = frozenset({"p", "div", "br", "tr", "table", "ul", "ol", "blockquote", "hr", "dl", "dt", "dd", "pre"})
BLOCKS |= HEADINGS | PARTS
LISTS = frozenset({"ul", "ol"})
# A line each, without an empty one between them.
LINES = frozenset({"br", "tr", "dt", "dd"})
HIDDEN = frozenset({"style", "title", "script"})
# What text cannot hold: white space is folded to blanks.
CELL, LEVEL = "\x1f", "\x1e"
BETWEEN_CELLS, INDENT = " | ", "  "
RULE = "---"
SCHEME = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)


class _Text(HTMLParser):
    """Collects text: a line a block, items with their signs, links with their addresses, pictures with their words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []  # the last number of an ordered list, None for another

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line for a block, an item or a cell, remember a link."""
        if tag in HIDDEN:
            self._hidden += 1
        elif tag == "li":
            self.parts.append(f"\n{self._sign()}")
        elif tag in ("td", "th"):
            self.parts.append(CELL)
        elif tag == "hr":
            self.parts.append(f"\n{RULE}\n")
        elif tag == "img":
            self.parts.append(" ".join((dict(attrs).get("alt") or "").split()))
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.parts)))
        elif tag in BLOCKS and not (tag in LISTS and self._lists):
            self.parts.append("\n")
        if tag in LISTS:
            self._lists.append(0 if tag == "ol" else None)

    def _sign(self) -> str:
        """What an item begins with."""
        indent = LEVEL * (len(self._lists) - 1)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def handle_endtag(self, tag: str) -> None:
        """End a block or a link."""
        if tag in HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag in BLOCKS - LINES:
            # A list within an item begins and ends with it.
            self.parts.append("" if tag in LISTS and len(self._lists) > 1 else "\n")
        if tag in LISTS and self._lists:
            self._lists.pop()

    def _end_link(self, address: str, start: int) -> None:
        """Put the address behind a link's text, unless that is the address itself, or there is none to go to."""
        address = address.strip()
        text = "".join(self.parts[start:]).strip()
        if not address or address.startswith("#") or SCHEME.sub("", address).rstrip("/") == SCHEME.sub("", text):
            return
        self.parts.append(f" ({address})" if text else address)

    def handle_data(self, data: str) -> None:
        """Take text, white space folded as a browser does."""
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def text_of(html: str) -> str:
    """The plain text of HTML; tags stay as they are."""
    reader = _Text()
    reader.feed(html)
    reader.close()
    lines = [_line(line) for line in "".join(reader.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _line(line: str) -> str:
    """A line with signs between its cells that are not empty, indented by its levels."""
    cells = [cell.strip(f" {LEVEL}") for cell in line.split(CELL)]
    return INDENT * line.count(LEVEL) + BETWEEN_CELLS.join(filter(None, cells))
