"""External channels: an outside system is told by a listener and pulls the list, so nothing is sent from here."""

from collections.abc import Iterable, Iterator

from rapport.channels.messages import Message, Receipt


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
