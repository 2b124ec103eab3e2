"""Replies to keywords in answers to text messages, as a source of messages: they belong to no campaign."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Content, Receipt
from rapport.channels.models import Channel
from rapport.delivery import outbox
from rapport.delivery.content import Written
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.sources import MessageSource
from rapport.delivery.worker import Sender
from rapport.messaging.contactability import keywords
from rapport.stores import Stores

NOT_WANTED = "the reply has ended"
RETRY_DELAYS = (30.0, 300.0)
LATE = timedelta(hours=1)


class KeywordReplies(MessageSource):
    """Replies that wait. No suppression holds them up: they tell somebody that the wish was heard."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """The texts as they were when the keyword came."""
        waiting = keywords.replies(scope, [claim.source_id for claim in claims])
        for claim in claims:
            reply = waiting.get(claim.source_id)
            if reply is None:
                yield claim, Receipt(claim.message_id, "skipped", NOT_WANTED, permanent=True)
            else:
                yield claim, channel.behaviour.write(claim.message_id, "", reply.address, Content(text=reply.text))

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """Somebody waits for it."""
        return RETRY_DELAYS

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether nobody waits for it any more."""
        since = keywords.waits_since(scope, claim.source_id)
        return since is None or scope.clock.now() - since > LATE

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """Forget the number of what has ended, and the message with it."""
        ended = [each.claim.source_id for each in settled if each.state is not State.PENDING]
        if ended:
            keywords.end(scope, session, ended)
            outbox.drop_sources(session, Source.KEYWORD_REPLY, [(scope.tenant_id, number) for number in ended])

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Nothing: the message was to an address, and no customer is held to it."""


class KeywordReplySender(Sender):
    """Sends replies to keywords."""

    name = "keyword reply sender"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.KEYWORD_REPLY, KeywordReplies())
