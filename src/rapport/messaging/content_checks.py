"""What speaks against sending a mail as it is, though it can be sent: remarks for whoever writes it."""

import html as entities
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from rapport.access.scope import Scope
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.channels.messages import Content, TextSize
from rapport.channels.models import Channel
from rapport.hosts import is_public
from rapport.messaging.inlining import inlined
from rapport.messaging.places import places
from rapport.messaging.plain_texts import text_of
from rapport.messaging.tags.language import BRAND
from rapport.messaging.tags.scanning import TextKind, insertions

# Gmail cuts HTML off behind 102 kB, and with it what stands at the end, such as the link to unsubscribe.
LARGEST_HTML = 100_000  # bytes
MOST_TRACKED_LINKS = 1000
SHOWN = 3
WAYS_OUT = frozenset({"UNSUBSCRIBE_URL", "UNSUB", "PREFERENCE_CENTER"})
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
WEB = frozenset({"http", "https"})
PRIVATE_NAMES = re.compile(r"(?:[^.]+|.*\.(?:local|localdomain|localhost|internal|intranet|lan|home\.arpa))", re.I)
SPAM_WORDS = re.compile(
    r"\b(?:100% free|act now|buy now|cash bonus|casino bonus|cheap meds|click here|congratulations you won|"
    r"double your (?:income|money)|earn (?:cash|extra money|money fast)|free money|get rich(?: quick)?|"
    r"guaranteed (?:income|winner)|limited[- ]time only|lose weight fast|make money fast|miracle cure|no credit check|"
    r"no risk|once in a lifetime|risk[- ]free|this is not spam|viagra|winner!|you have been selected|you won)\b",
    re.IGNORECASE,
)
LOUD_LETTERS = 8


class ContentCheck(StrEnum):
    """The kind of check."""

    UNSUBSCRIBE_LINK = "unsubscribe_link"
    POSTAL_ADDRESS = "postal_address"
    SIZE = "size"
    STYLES = "styles"
    LINKS = "links"
    SPAM_WORDS = "spam_words"
    SEGMENTS = "segments"


@dataclass(frozen=True)
class Remark:
    """What a check found in a part of a mail, in a sentence."""

    check: ContentCheck
    part: TextKind
    message: str


def remarks_on(scope: Scope, channel: Channel, content: Content) -> list[Remark]:
    """What speaks against a content on a channel: of texts that are paid by length that, else nothing but of mail."""
    if size := channel.behaviour.text_size(content.text):
        return [*_length(channel, content.text, size), *_without_way_out(TextKind.TEXT, content.text)]
    brand = brands.brand_of(scope, channel.settings)
    if brand is None:
        return []
    is_marketing = brand.kind is BrandKind.MARKETING
    postal_address = brand.settings.get("postal_address", "")
    return [*general_remarks(content), *(_of_marketing(content, postal_address) if is_marketing else ())]


def general_remarks(content: Content) -> list[Remark]:
    """What speaks against a content, whoever sends it."""
    return [*_size(content.html), *_links(content.html), *_words(content)]


def _of_marketing(content: Content, postal_address: str) -> Iterator[Remark]:
    """What people must be told whom nobody asked."""
    parts = {TextKind.HTML: content.html, TextKind.TEXT: content.text}
    for part, written in parts.items():
        if written:
            yield from _without_way_out(part, written)
    if not postal_address:
        yield Remark(
            ContentCheck.POSTAL_ADDRESS,
            TextKind.HTML,
            "The brand has no postal address, which marketing mail must contain in many countries.",
        )
        return
    for part, written in parts.items():
        if (
            written
            and f"{BRAND}POSTAL_ADDRESS" not in _keys(part, written)
            and _plain(postal_address) not in _plain(text_of(written) if part is TextKind.HTML else written)
        ):
            yield Remark(ContentCheck.POSTAL_ADDRESS, part, "The postal address of the brand is missing.")


def _without_way_out(part: TextKind, written: str) -> Iterator[Remark]:
    if not _keys(part, written) & WAYS_OUT:
        message = "There is no link to unsubscribe: use [%UNSUB%] as the address of one."
        yield Remark(ContentCheck.UNSUBSCRIBE_LINK, part, message)


def _keys(part: TextKind, written: str) -> set[str]:
    """The keys of the values that a text puts in."""
    return {insertion.field.key for insertion in insertions(written, part)}


def _length(channel: Channel, text: str, size: TextSize) -> Iterator[Remark]:
    """How a text is sent, without the values of its tags: segments are paid, and few characters can double them."""
    if size.segments > 1:
        message = f"The text is sent in {size.segments} segments: it has {size.units} {size.alphabet} characters."
        yield Remark(ContentCheck.SEGMENTS, TextKind.TEXT, message)
    if costly := channel.behaviour.costly_letters(text):
        shown = ", ".join(map(repr, costly[:SHOWN]))
        message = f"These characters make the whole text {size.alphabet}, which more than doubles its length: {shown}."
        yield Remark(ContentCheck.SEGMENTS, TextKind.TEXT, message)


def _plain(text: str) -> str:
    """The words of a text, whatever stands between them."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _size(html: str) -> Iterator[Remark]:
    sent = inlined(html)
    if sent is None:
        yield Remark(
            ContentCheck.STYLES,
            TextKind.HTML,
            "The styles are too long to be written into the elements: some mail programs do not show them.",
        )
    size = len((sent or html).encode())
    if size > LARGEST_HTML:
        message = f"The HTML has {size // 1000} kB with its styles. Gmail shows about the first 100 kB only."
        yield Remark(ContentCheck.SIZE, TextKind.HTML, message)


def _links(html: str) -> Iterator[Remark]:
    addresses = [
        (place.attribute, entities.unescape(html[place.start : place.end]).strip())
        for place in places(html)
        if (place.tag, place.attribute) in {("a", "href"), ("img", "src")}
    ]
    faults: dict[str, list[str]] = {}
    for attribute, address in addresses:
        if fault := _fault(address, is_link=attribute == "href"):
            faults.setdefault(fault, []).append(address)
    for fault, faulty in faults.items():
        shown = ", ".join(repr(address[:100]) for address in dict.fromkeys(faulty[:SHOWN]))
        more = f" and {len(faulty) - SHOWN} more" if len(faulty) > SHOWN else ""
        yield Remark(ContentCheck.LINKS, TextKind.HTML, f"{fault}: {shown}{more}.")
    tracked = sum(attribute == "href" and _scheme(address) in WEB for attribute, address in addresses)
    if tracked > MOST_TRACKED_LINKS:
        message = f"There are {tracked} links. At most {MOST_TRACKED_LINKS} of a template can be tracked."
        yield Remark(ContentCheck.LINKS, TextKind.HTML, message)


def _scheme(address: str) -> str:
    scheme = SCHEME.match(address)
    return scheme[1].lower() if scheme else ""


def _fault(address: str, *, is_link: bool) -> str:
    """What is wrong with an address; empty if nothing is, or if a tag decides it."""
    if address.startswith("[%") or (is_link and address.startswith("#") and len(address) > 1):
        return ""
    if address in ("", "#"):
        return "A link leads nowhere" if is_link else "A picture has no address"
    if not _scheme(address):
        return "An address does not begin with https://"
    if _scheme(address) not in WEB:
        return ""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return "An address cannot be read"
    return "An address leads to a private host" if "[%" not in address.split("/")[2] and _is_private(host) else ""


def _is_private(host: str) -> bool:
    try:
        return not is_public(ipaddress.ip_address(host))
    except ValueError:
        return PRIVATE_NAMES.fullmatch(host.rstrip(".")) is not None


def _words(content: Content) -> Iterator[Remark]:
    """What filters for unwanted mail take for a sign of it."""
    text = content.text or text_of(content.html)
    for part, written in ((TextKind.SUBJECT, content.subject), (TextKind.TEXT, text)):
        words = list(dict.fromkeys(match[0].lower() for match in SPAM_WORDS.finditer(written)))
        if words:
            shown = ", ".join(map(repr, words[:SHOWN]))
            yield Remark(
                ContentCheck.SPAM_WORDS, part, f"Filters take these words for a sign of unwanted mail: {shown}."
            )
    letters = [letter for letter in re.sub(r"\[%.*?%\]", "", content.subject) if letter.isalpha()]
    if len(letters) >= LOUD_LETTERS and all(letter.isupper() for letter in letters):
        yield Remark(ContentCheck.SPAM_WORDS, TextKind.SUBJECT, "The subject is in capitals, as in unwanted mail.")
    if content.subject.count("!") > 1:
        yield Remark(ContentCheck.SPAM_WORDS, TextKind.SUBJECT, "The subject has several exclamation marks.")
