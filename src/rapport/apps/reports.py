"""What apps tell of messages: read from their events, and handed to whoever counts messages or keeps their state."""

import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from rapport.access.scope import Scope
from rapport.apps.states import MessageType, Reported
from rapport.errors import Invalid

OF_MESSAGE, OF_OVERLAY = "k.message.", "optimove.om."
OLD_OPENED = "k.push.opened"  # of the first SDKs, whose data is the id alone
LARGEST_ID = 2**63 - 1
DIGITS = re.compile(r"[0-9]{1,19}")


class AboutMessage(NamedTuple):
    """What an event says of which message."""

    type: MessageType
    reported: Reported
    message_id: int


@dataclass(frozen=True)
class MessageReport:
    """What an install told of a message, by the message's number: of push and in-app that of a part.

    customer_id is whose the install was at that time; None when nobody was known, or the event named somebody else.
    event_id is the sender's, details are the members of the event.
    """

    type: MessageType
    reported: Reported
    message_id: int
    app_id: int
    install_id: str
    customer_id: str | None
    at: datetime
    event_id: uuid.UUID
    details: Mapping[str, Any]


class ReportSink(ABC):
    """Where what apps tell of messages goes."""

    @abstractmethod
    def record(self, scope: Scope, reports: Sequence[MessageReport]) -> None:
        """Record reports, of any type; those that it does not know are passed over. Safe to repeat."""


def about_message(event_type: str, data: Mapping[str, Any]) -> AboutMessage | None:
    """The message that an event tells of, and what; None for an event that tells of none. Raises Invalid."""
    if event_type == OLD_OPENED:
        return AboutMessage(MessageType.PUSH, Reported.OPENED, message_id_of(data))
    for prefix in (OF_MESSAGE, OF_OVERLAY):
        name = event_type.removeprefix(prefix)
        if name != event_type and name in set(Reported):
            kind = MessageType.OVERLAY if prefix == OF_OVERLAY else _type(data)
            return AboutMessage(kind, Reported(name), message_id_of(data))
    return None


def message_id_of(data: Mapping[str, Any]) -> int:
    """The number of a message. Raises Invalid."""
    number = data.get("id")
    if isinstance(number, str) and DIGITS.fullmatch(number):
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= LARGEST_ID:
        raise Invalid("id must be the number of a message.")
    return number


def _type(data: Mapping[str, Any]) -> MessageType:
    number = data.get("type", MessageType.PUSH)
    if isinstance(number, bool) or number not in (MessageType.PUSH, MessageType.IN_APP):
        raise Invalid("type must be 1 (push) or 2 (in-app).")
    return MessageType(number)
