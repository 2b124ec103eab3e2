"""What a source knows of its messages that leave by themselves: what they say, how long they may take, what follows."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Origin, Receipt
from rapport.channels.models import Channel
from rapport.delivery import content
from rapport.delivery.bounces import note_failed
from rapport.delivery.content import Draft, Written
from rapport.delivery.outbox import Claim, Settled
from rapport.errors import RapportError
from rapport.stores.workers.leader import FAULTS


class MessageSource(ABC):
    """One kind of source, of which the sender asks this."""

    @abstractmethod
    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """The messages of claims on a channel, or why they are not sent; claims whose source is gone are left out."""

    @abstractmethod
    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """The pauses before each try of a message that was refused for now, in seconds."""

    @abstractmethod
    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether a message has waited for its server as long as it may."""

    @abstractmethod
    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """What follows from what became of messages, in the transaction that enters it; safe to repeat."""

    @abstractmethod
    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """What follows for the addresses of messages that failed; safe to repeat."""


class CampaignMessages(MessageSource):
    """A source whose messages go to customers for a campaign: they are written, and bounce, as those of runs do."""

    @abstractmethod
    def drafts(self, scope: Scope, claims: Sequence[Claim]) -> Mapping[Origin, list[tuple[Claim, Draft]]]:
        """What is to be written, by what links in it lead back to; claims whose source is gone are left out."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """By what is known of customers now. A template that cannot be used holds up no other template's messages."""
        for origin, drafts in self.drafts(scope, claims).items():
            try:
                with scope.records() as session:
                    written = content.write(scope, session, channel, origin, [draft for _, draft in drafts])
            except FAULTS:
                raise
            except RapportError as error:
                for claim, draft in drafts:
                    yield claim, Receipt(draft.message_id, "failed", error.message, permanent=True)
                continue
            yield from ((claim, written[draft.message_id]) for claim, draft in drafts)

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Suppress customers whose address does not exist, and count soft bounces."""
        note_failed(scope, channel_id, [(ended.claim.customer_id, ended.reason) for ended in failed])
