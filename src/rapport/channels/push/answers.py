"""What a provider answered about a message for one device, whichever provider it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import orjson

from rapport.apps.devices import Device
from rapport.channels.push.payloads import Push

# What providers call a fault: one word, or a few. Anything else of theirs is not stored per customer.
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_ ]{0,59}")


class Verdict(Enum):
    """What became of a message for a device. AWAY: the provider could not be asked; DEAD: its token is of no use any
    more; LATER: it was refused for now, or nobody knows.
    """

    TAKEN = "taken"
    DEAD = "dead"
    REFUSED = "refused"
    LATER = "later"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict with its reason in few words; status is that of HTTP, 0 for none; retry_after in seconds."""

    verdict: Verdict
    reason: str = ""
    status: int = 0
    retry_after: float = 0.0

    @property
    def may_pass(self) -> bool:
        """Whether the message may be tried again."""
        return self.verdict in (Verdict.LATER, Verdict.AWAY)


TAKEN = Answer(Verdict.TAKEN, status=200)


class Provider(Protocol):
    """A way to the devices of one kind; used inside one event loop. name is its short name in the log of errors."""

    @property
    def name(self) -> str:
        """The short name."""

    async def send(self, push: Push, device: Device, message_id: str) -> Answer:
        """Hand over a message for a device, whose token is of this kind."""

    async def check(self) -> None:
        """Connect or log in without sending. Raises Unavailable with one plain sentence."""

    async def close(self) -> None:
        """Give connections back."""


def refusal(provider: str, status: int, word: str, verdict: Verdict, retry_after: float = 0.0) -> Answer:
    """An answer that is no success; word is what the provider calls it."""
    named = f" {word}" if WORD.fullmatch(word) else ""
    return Answer(verdict, f"{provider} answered {status}{named}", status, retry_after)


def by_status(status: int) -> Verdict:
    """What a status means that says nothing more: too many requests and faults of the server may pass."""
    return Verdict.LATER if status == 429 or status >= 500 else Verdict.REFUSED


def json_object(body: bytes | None) -> Mapping[str, Any]:
    """The JSON object of an answer; an empty one where it has none."""
    try:
        parsed = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
