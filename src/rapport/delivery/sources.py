"""What a source knows of its messages that leave by themselves: what they say, how long they may take, what follows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery.content import Draft
from rapport.delivery.outbox import Claim, Settled
from rapport.messaging.contactability.suppressions import Origin


class MessageSource(ABC):
    """One kind of source, of which the sender asks this."""

    @abstractmethod
    def drafts(self, scope: Scope, claims: Sequence[Claim]) -> Mapping[Origin, list[tuple[Claim, Draft]]]:
        """What is to be written, by what links in it lead back to; claims whose source is gone are left out."""

    @abstractmethod
    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """The pauses before each try of a message that was refused for now, in seconds."""

    @abstractmethod
    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether a message has waited for its server as long as it may."""

    @abstractmethod
    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """What follows from what became of messages, in the transaction that enters it; safe to repeat."""
