"""In-app messages that a push message announces: the app then fetches and shows them at once.

The push leaves after the message is stored and before its receipt is given. So whoever is killed between sends both
again, under the same ids: nothing is lost, and a device shows one of two pushes with one id. What becomes of the push
changes nothing about the message.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import structlog
from pydantic import ValidationError

from rapport.access.scope import Scope
from rapport.channels.messages import Message, Receipt, Transport
from rapport.conditions.outcomes import Outcome
from rapport.errors import RapportError
from rapport.in_app.contents import InAppContent, Surface
from rapport.in_app.reading import numbers_of

log = structlog.get_logger("rapport.channels")
IN_APP, OVERLAY = 1, 2  # what the SDKs are told to fetch


class AnnouncedTransport:
    """A transport of in-app messages, which announces those that say so by the way out of a push channel."""

    def __init__(self, scope: Scope, stored: Transport, open_push: Callable[[], Transport]) -> None:
        self._scope, self._stored, self._open_push = scope, stored, open_push
        self._push: Transport | None = None

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """The receipts of those that were stored together, once they are announced."""
        waiting: dict[str, Message] = {}

        def seen() -> Iterator[Message]:
            for message in messages:
                waiting[message.message_id] = message
                yield message

        for receipts in self._stored.send_many(seen()):
            pairs = [(waiting.pop(receipt.message_id), receipt) for receipt in receipts]
            self._announce([message for message, receipt in pairs if Outcome(receipt.outcome) is Outcome.SENT])
            yield receipts

    def check(self) -> None:
        """As the store of messages does."""
        self._stored.check()

    def close(self) -> None:
        """Leave the push channel."""
        self._stored.close()
        if self._push is not None:
            self._push.close()

    def _announce(self, messages: Sequence[Message]) -> None:
        contents = {message.message_id: content for message in messages if (content := _content(message)).tickle}
        if not contents:
            return
        numbers = numbers_of(self._scope, contents)
        pushes = [
            _push(message, contents[message.message_id], numbers[message.message_id])
            for message in messages
            if message.message_id in contents
        ]
        try:
            self._push = self._push or self._open_push()
            for _ in self._push.send(pushes):
                pass
        except RapportError as error:
            log.warning("in-app messages are not announced", tenant_id=self._scope.tenant_id, reason=error.message)


def _content(message: Message) -> InAppContent:
    try:
        return InAppContent.model_validate(message.details)
    except ValidationError:
        return InAppContent()


def _push(message: Message, content: InAppContent, number: int) -> Message:
    tickle = content.tickle
    if tickle is None:
        raise ValueError(message.message_id)
    link: dict[str, Any] = {"type": IN_APP, "id": number} if content.surface is Surface.IN_APP else {"type": OVERLAY}
    details: dict[str, Any] = {"deep_link": link, "collapse_key": f"in-app-{number}"}
    if tickle.url:
        details["url"] = tickle.url
    if tickle.data:
        details["data"] = tickle.data
    message_id = f"{message.message_id[:56]}-tickle"
    return Message(message_id, message.customer_id, message.to, tickle.title, tickle.message, details=details)
