"""What all ways of SMS have in common: numbers are written in one form, texts may not be too long, and the provider's
ids of messages are kept before anybody is told that the messages were sent.
"""

import queue
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rapport.access.scope import Scope
from rapport.channels.handing import Decided, handed_over
from rapport.channels.messages import Message, Receipt
from rapport.channels.sms import submissions
from rapport.channels.sms.numbers import NOT_A_NUMBER, number_of
from rapport.channels.sms.settings import SmsChannelSettings, usual_region
from rapport.channels.sms.texts import size_of

NAME = "sms"
TOO_LONG = "the text has too many segments"
NO_SUCH_NUMBER = "no such number"


class SmsTransport(ABC):
    """A way out for texts. Subclasses say how many messages are handed over together and are under way at most."""

    def __init__(self, scope: Scope, channel: SmsChannelSettings) -> None:
        self._scope, self._channel = scope, channel
        self._region = usual_region(scope, channel)
        self._together, self._most = 1, 2 * channel.connections
        self._submitted: queue.SimpleQueue[submissions.Submission] = queue.SimpleQueue()

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as each is decided."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """Receipts together that were decided meanwhile."""
        least = max(self._most // 2, 1)
        for receipts in handed_over(messages, self._hand, NAME, self._together, self._most, least):
            self._keep_submitted()
            yield receipts

    def note_submitted(self, provider_id: str, message: Message) -> None:
        """Keep by which id the provider reports on a message."""
        if provider_id and message.return_token:
            place = message.origin.channel_id
            self._submitted.put(submissions.Submission(place, provider_id, message.return_token))

    def _keep_submitted(self) -> None:
        rows = []
        while not self._submitted.empty():
            rows.append(self._submitted.get())
        if rows:
            submissions.keep(self._scope, rows)

    def _hand(self, messages: Sequence[Message], decided: Decided) -> None:
        ready: list[Message] = []
        for message in messages:
            checked = self._checked(message)
            if isinstance(checked, Receipt):
                decided.put(checked)
            else:
                ready.append(checked)
        if ready:
            self.begin(ready, decided)

    def _checked(self, message: Message) -> Message | Receipt:
        try:
            number = number_of(message.to, self._region)
        except ValueError:
            return Receipt(message.message_id, "failed", NOT_A_NUMBER, permanent=True)
        if size_of(message.text).segments > self._channel.most_segments:
            return Receipt(message.message_id, "failed", TOO_LONG, permanent=True)
        return message if number == message.to else replace(message, to=number)

    @abstractmethod
    def begin(self, messages: Sequence[Message], decided: Decided) -> None:
        """Have messages sent, whose receipts are put there: one is owed for each, whatever happens."""

    @abstractmethod
    def check(self) -> None:
        """Connect and leave again without sending. Raises Unavailable with one plain sentence."""

    @abstractmethod
    def close(self) -> None:
        """Let messages under way end, and leave."""
