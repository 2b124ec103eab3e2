"""Messages with a link to the page of preferences, which somebody asked for by an address."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Content, Receipt
from rapport.channels.models import Channel
from rapport.delivery import outbox
from rapport.delivery.content import Written
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Claim, Entry, Settled
from rapport.delivery.sources import MessageSource
from rapport.delivery.worker import Sender
from rapport.messaging.models import BrandGroup
from rapport.messaging.topics import pages, requested_links
from rapport.stores import Stores

NOBODY = "nobody to whom a link may be sent has the address"
RETRY_DELAYS = (60.0, 300.0)
LATE = timedelta(hours=1)


def ask_for_link(scope: Scope, group: BrandGroup, address: str, language: str) -> None:
    """Have a link sent to whoever has an address, if somebody has. Raises NotFound for a group without e-mail."""
    channel_id = requested_links.mail_channel(group)
    with scope.records() as session:
        number = requested_links.keep(scope, session, group, address, language)
        if number is not None:
            entry = Entry(number, channel_id, "", 0, 0, 0, "")
            outbox.enter(scope, session, Source.PREFERENCE_LINK, [entry])


class PreferenceLinkMessages(MessageSource):
    """Links that were asked for, as a source of messages."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """The messages; who has an address is looked up now. No suppression holds them up but of bounced addresses."""
        requests = requested_links.requests(scope, [claim.source_id for claim in claims])
        for claim in claims:
            request = requests.get(claim.source_id)
            link = requested_links.requested_link(scope, request, channel.id) if request and request.address else ""
            if request is None or not link:
                yield claim, Receipt(claim.message_id, "skipped", NOBODY, permanent=True)
            else:
                content = _content(scope, request.language, link)
                yield claim, channel.behaviour.write(claim.message_id, "", request.address, content)

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """Somebody waits for it."""
        return RETRY_DELAYS

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether it was asked for so long ago that nobody waits for it any more."""
        request = requested_links.requests(scope, [claim.source_id]).get(claim.source_id)
        return request is None or scope.clock.now() - request.requested_at > LATE

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """Forget the address of what has ended, and the message with it."""
        ended = [each.claim.source_id for each in settled if each.state is not State.PENDING]
        if ended:
            requested_links.forget(scope, session, ended, scope.clock.now() - requested_links.PAUSE)
            sources = [(scope.tenant_id, number) for number in ended]
            outbox.drop_sources(session, Source.PREFERENCE_LINK, sources)

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Nothing: the message was to an address, and no customer is held to it."""


class PreferenceLinkSender(Sender):
    """Sends links that were asked for."""

    name = "preference-link-sender"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.PREFERENCE_LINK, PreferenceLinkMessages())


def _content(scope: Scope, language: str, link: str) -> Content:
    _, words = pages.words_in(scope, language, "")
    return Content(words.title, f"{words.mail}\n\n{link}\n")
