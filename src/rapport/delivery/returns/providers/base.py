"""What a mail provider is: how its reports are signed, and what they say."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import orjson

from rapport.delivery.models import MailEventKind
from rapport.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says of the message of a token at an instant, with the status of a failure."""

    token: str
    kind: MailEventKind
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a provider; headers are by lower-case name, key is what the channel is set up with to check it."""

    headers: Mapping[str, str]
    body: bytes
    key: str

    def json(self) -> Any:
        """The body. Raises Invalid."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Invalid("The body must be JSON.") from error


class Provider(ABC):
    """One mail provider. Nobody outside of this package knows which there are."""

    name: ClassVar[str]

    @abstractmethod
    def check(self, call: Call) -> None:
        """Whether a call is the provider's. Raises Unauthorized."""

    @abstractmethod
    def reports(self, call: Call) -> Iterable[Report]:
        """What a call says of messages of Rapport; what is about others, or of no use, is left out. Raises Invalid."""


def instant_of_seconds(seconds: Any) -> datetime:
    """An instant in seconds since 1970, as a number or a text. Raises Invalid."""
    try:
        return EPOCH + timedelta(seconds=float(seconds))
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid("A report has no time.") from error


def instant_of_text(text: Any) -> datetime:
    """An instant in ISO 8601; without a zone it is UTC. Raises Invalid."""
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Invalid("A report has no time.") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def members(value: Any) -> Mapping[str, Any]:
    """An object, or nothing where there is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """An array, or nothing where there is none."""
    return value if isinstance(value, list) else []


def code_of(value: Any) -> int:
    """An SMTP code, 0 where there is none."""
    text = str(value or "")[:3]
    return int(text) if text.isdigit() else 0
