"""The mail programs of the retailer's customers: what becomes of each message, and the addresses that are fetched then.

Which messages are opened is a matter of luck, by the message's id and a seed: the same message has the same luck
whenever it comes, so a seed is a retailer. The addresses are those in the message as it came.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from enum import StrEnum
from html.parser import HTMLParser
from urllib.parse import urlsplit

# Chance per mail; clicking presupposes opening, and what bounces is never seen.
OPEN_RATE, CLICK_RATE, UNSUBSCRIBE_RATE, BOUNCE_RATE = 0.34, 0.08, 0.003, 0.006
PIXEL_PATH, LINK_PATH = "/o/", "/l/"
PART = 8  # bytes of a digest that make one chance


class DeedKind(StrEnum):
    """What is done with a message: its pixel is loaded, a link of it followed, it is unsubscribed from or sent back."""

    LOAD = "load"
    FOLLOW = "follow"
    UNSUBSCRIBE = "unsubscribe"
    SEND_BACK = "send back"


@dataclass(frozen=True)
class Deed:
    """One thing that is done with a message. address is the URL that is fetched, or the return path of what bounces.

    share: when it is done, as a share of the time from the message's coming to the evening.
    """

    message_id: str
    kind: DeedKind
    address: str
    share: float


class _Addresses(HTMLParser):
    """Collects the addresses of the pictures and links of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect those of one tag."""
        values = dict(attrs)
        if tag == "img" and (source := values.get("src")):
            self.pictures.append(source)
        if tag == "a" and (target := values.get("href")):
            self.links.append(target)


def deeds(seed: int, content: bytes, return_path: str) -> Iterator[Deed]:
    """What the recipient of a message does with it. A message without tracking leaves nothing to do but to open it."""
    message_id = _message_id(content.partition(b"\r\n\r\n")[0])
    opening, leaving, bouncing, choosing, waiting = _luck(seed, message_id)
    if bouncing < BOUNCE_RATE:
        yield Deed(message_id, DeedKind.SEND_BACK, return_path, 0.0)
        return
    if opening >= OPEN_RATE and leaving >= UNSUBSCRIBE_RATE:
        return
    message = message_from_bytes(content)
    share = 0.02 + 0.9 * waiting
    if opening < OPEN_RATE:
        addresses = _addresses(message)
        for picture in addresses.pictures:
            if urlsplit(picture).path.startswith(PIXEL_PATH):
                yield Deed(message_id, DeedKind.LOAD, picture, share)
        tracked = [link for link in addresses.links if urlsplit(link).path.startswith(LINK_PATH)]
        if opening < CLICK_RATE and tracked:
            yield Deed(message_id, DeedKind.FOLLOW, tracked[int(choosing * len(tracked))], share + 0.01)
    if leaving < UNSUBSCRIBE_RATE and (target := _unsubscribing(message)):
        yield Deed(message_id, DeedKind.UNSUBSCRIBE, target, share + 0.02)


def _unsubscribing(message: Message) -> str:
    """Where a message can be unsubscribed from; long headers come in several lines."""
    return "".join(str(message["List-Unsubscribe"] or "").split()).strip("<>")


def _message_id(head: bytes) -> str:
    named = (line.partition(b":")[2] for line in head.splitlines() if line[:11].lower() == b"message-id:")
    return next(named, b"").strip().decode("ascii", "replace")


def _luck(seed: int, message_id: str) -> list[float]:
    """Five numbers from 0 up to 1."""
    digest = hashlib.sha512(f"{seed}/{message_id}".encode()).digest()
    return [int.from_bytes(digest[at : at + PART]) / 2 ** (8 * PART) for at in range(0, 5 * PART, PART)]


def _addresses(message: Message) -> _Addresses:
    addresses = _Addresses()
    for part in message.walk():
        if part.get_content_type() == "text/html":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                addresses.feed(payload.decode(part.get_content_charset("utf-8"), "replace"))
    return addresses
