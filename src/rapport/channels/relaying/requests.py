"""What a process of relays is asked to do, and what it answers."""

import pickle
from dataclasses import dataclass
from typing import Any

from rapport.channels.messages import Receipt
from rapport.channels.routes import Letter, Route


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Relay letters by a route, on so many connections; keys are selectors with private keys in PEM."""

    number: int
    route: Route
    keys: tuple[tuple[str, str], ...]
    connections: int


@dataclass(frozen=True, slots=True)
class RelayLetters:
    """Hand letters over by the relay of that number; the answer to each bears its mark."""

    number: int
    letters: tuple[tuple[int, Letter], ...]


@dataclass(frozen=True, slots=True)
class CloseRelay:
    """Leave the connections of a relay, after what is under way; the answer bears the mark."""

    number: int
    mark: int


Request = OpenRelay | RelayLetters | CloseRelay
# The mark of a request with the receipt of a letter, or with nothing once the connections of a relay are left.
Answer = tuple[int, Receipt | None]
# What is answered meanwhile goes together.
Answers = list[Answer]


def packed(request: Request | Answers) -> bytes:
    """As it goes between a server and a process that it has started: nobody else can write there."""
    return pickle.dumps(request, pickle.HIGHEST_PROTOCOL)


def unpacked(octets: bytes) -> Any:
    """What packed() was given."""
    return pickle.loads(octets)  # noqa: S301 - from this program alone
