"""What a channel takes and gives back: one message, one receipt, one small interface between them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from prometheus_client import Counter

MESSAGES = Counter(
    "rapport_messages_total", "Attempts to send messages, by kind of channel and outcome", ["kind", "outcome"]
)


@dataclass(frozen=True)
class Content:
    """What a template or a message says: text, html beside it, a subject. The kind of channel tells what it needs.

    details are what its kind has beside them, such as the buttons of a push message: members of the kind's model.
    """

    subject: str = ""
    text: str = ""
    html: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TextSize:
    """How long a text is on phones: the alphabet that it needs, its units of that, and its segments, which are paid."""

    alphabet: str
    units: int
    segments: int


@dataclass(frozen=True)
class Sender:
    """As whom a message is sent, and where answers go; what is empty is as the channel has it."""

    address: str = ""
    name: str = ""
    reply_to: str = ""


@dataclass(frozen=True)
class AttachedFile:
    """A file that goes with a message; content is base64 without line breaks."""

    file_name: str
    content_type: str
    content: str


@dataclass(frozen=True)
class Origin:
    """What a message was sent for; delivery_date is the campaign's execution date (YYYY-MM-DD).

    address is the mark of where the message went, which later may not be the customer's address any more. send_id is
    the number of a transactional send, of a message that belongs to no campaign.
    """

    channel_id: int = 0
    campaign_id: int = 0
    template_id: int = 0
    recipient_group_id: int = 0
    action_id: int = 0
    delivery_date: str = ""
    address: str = ""
    send_id: int = 0


@dataclass(frozen=True)
class Message:
    """One message to one customer. message_id is deterministic, so that a receiver can tell a repetition.

    Its kind of channel writes it: what a kind does not have, such as a subject or headers, stays empty. return_token
    is what a report of its failure brings back; without one it is the message's id. details are those of its content,
    origin is what it was sent for, as far as that is known.
    """

    message_id: str
    customer_id: str
    to: str
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sender: Sender = Sender()
    return_token: str = ""
    attachments: tuple[AttachedFile, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = Origin()


@dataclass(frozen=True)
class Receipt:
    """What became of a message. A failure that is not permanent may be tried again under the same message_id.

    away: the server could not be asked at all, so that nothing was tried. Suppressed: nothing may go there;
    skipped: somebody else has had it.
    reason is one of few short phrases, without addresses or server texts: it is stored per customer. retry_after:
    after how many seconds the server wants to be asked again, 0 where it does not say; seconds: how long its answers
    took.
    """

    message_id: str
    outcome: Literal["sent", "failed", "suppressed", "skipped"]
    reason: str = ""
    permanent: bool = False
    away: bool = False
    retry_after: float = 0.0
    seconds: float = field(default=0.0, compare=False)

    @property
    def became(self) -> str:
        """In a word, for metrics: sent, refused for good, deferred, or away."""
        failed = "away" if self.away else "refused" if self.permanent else "deferred"
        return "sent" if self.outcome == "sent" else failed


def count(kind: str, became: str, messages: int = 1) -> None:
    """Tell the metrics what became of messages on a kind of channel."""
    MESSAGES.labels(kind, became).inc(messages)


class Transport(Protocol):
    """A way out, open until close()."""

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """Send a stream of messages: one receipt each, as each is decided, in any order."""

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """send(), but those together that were decided meanwhile: to be entered together."""

    def check(self) -> None:
        """Connect and leave again without sending. Raises Unavailable with one plain sentence."""

    def close(self) -> None:
        """Give connections back."""
