"""Texts of people that come in several parts, over whichever binds of the process, until all parts are there.

They are kept in memory alone: what is lost with the process would have been no keyword, which fits into one part.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from rapport.stores import Stores

# A sender counts its long texts with one octet, so that a number comes again.
KEPT_SECONDS, MOST_TEXTS = 600.0, 2000


@dataclass(frozen=True)
class Part:
    """A part of a text: the place of so many (from 1) under the sender's number of the text, and its octets."""

    octets: bytes
    reference: int = 0
    total: int = 1
    place: int = 1


@dataclass(frozen=True)
class Sender:
    """Who sent a text to which channel."""

    tenant_id: int
    channel_id: int
    number: str


Key = tuple[Sender, int, int]


@dataclass
class _Gathered:
    """The octets that are there by their places, and when the first of them came, by the monotonic clock."""

    began: float
    octets: dict[int, bytes] = field(default_factory=dict)


class LongTexts:
    """What has come of texts that are not whole yet."""

    def __init__(self, stores: Stores) -> None:
        self._gathered: OrderedDict[Key, _Gathered] = OrderedDict()
        self._lock = threading.Lock()

    def joined(self, sender: Sender, part: Part) -> bytes | None:
        """The octets of a text once all its parts have come, in any order; None until then."""
        if part.total == 1:
            return part.octets
        key, now = (sender, part.reference, part.total), time.monotonic()
        with self._lock:
            self._tidy(now)
            gathered = self._gathered.setdefault(key, _Gathered(now))
            gathered.octets[part.place] = part.octets
            if len(gathered.octets) < part.total:
                return None
            return b"".join(gathered.octets[place] for place in sorted(gathered.octets))

    def forget(self, sender: Sender, part: Part) -> None:
        """Forget a text that was recorded; until then its last part may come again."""
        with self._lock:
            self._gathered.pop((sender, part.reference, part.total), None)

    def stop(self) -> None:
        """There is nothing to end."""

    def _tidy(self, now: float) -> None:
        while self._gathered:
            oldest = next(iter(self._gathered.values()))
            if len(self._gathered) < MOST_TEXTS and now - oldest.began < KEPT_SECONDS:
                return
            self._gathered.popitem(last=False)


def long_texts(stores: Stores) -> LongTexts:
    """Those of this process for an installation."""
    return stores.workers.only(LongTexts, stores)
