"""What comes in about SMS channels, whichever way it comes: reports on messages, and answers of people.

Whoever records it stands above this package and registers here.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from rapport.access.scope import Scope


class Reported(StrEnum):
    """What a provider says became of a message."""

    DELIVERED = "delivered"
    FAILED = "failed"  # for a reason that may pass, or that says nothing of the number
    INVALID = "invalid"  # there is no such number


@dataclass(frozen=True)
class Report:
    """A report on a message: by its return token, or by the provider's id of it. detail is the provider's status."""

    status: Reported
    at: datetime
    token: str = ""
    provider_id: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Answer:
    """A text that somebody sent to an SMS channel."""

    sender: str
    text: str
    at: datetime


class Incoming(Protocol):
    """Records what comes in."""

    def report(self, scope: Scope, channel_id: int, report: Report) -> bool:
        """Record a report; whether its message is known (yet)."""

    def answer(self, scope: Scope, channel_id: int, answer: Answer) -> None:
        """Carry out what an answer means. Safe to repeat."""


_REGISTERED: list[Incoming] = []


def register(incoming: Incoming) -> None:
    """Have what comes in by connections that channels keep recorded."""
    _REGISTERED[:] = [incoming]


def registered() -> Incoming:
    """Who records what comes in."""
    return _REGISTERED[0]
