"""The kind of channel of outside systems: they are told by a listener and pull the list, and send it themselves."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from rapport.access.scope import Scope
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.messages import Message, Receipt, Transport


class ExternalSettings(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid")


class ExternalTransport:
    """Counts every message as handed over: its recipient stands in the list that the outside system reads."""

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message."""
        return (Receipt(message.message_id, "sent", "listed") for message in messages)

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """All receipts together."""
        yield list(self.send(messages))

    def check(self) -> None:
        """There is nothing to connect to."""

    def close(self) -> None:
        """There is nothing to give back."""


class ExternalKind(ChannelKind):
    """Pulled; its vendor has the templates and reports who clicked. Customers are known there by their own id."""

    name = "external"
    settings = ExternalSettings
    is_pulled = True
    measures_clicks = True

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """Nothing leaves by it."""
        return ExternalTransport()
