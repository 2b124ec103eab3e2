"""In-app messages that an app's server sends to named customers: accepted, entered in the outbox, written, forgotten.

No attributes of customers are put in: tags of the template have their defaults, as the reference documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Content, Origin, Receipt
from rapport.channels.models import Channel
from rapport.delivery import outbox
from rapport.delivery.content import Written
from rapport.delivery.models import OPEN, OutboxMessage, Source, State
from rapport.delivery.outbox import Claim, Entry, Settled
from rapport.delivery.sources import MessageSource
from rapport.delivery.values import attribute_values
from rapport.delivery.worker import Sender
from rapport.errors import Invalid, NotFound
from rapport.in_app.contents import InAppContent
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, purposes
from rapport.messaging.editions import Editions
from rapport.messaging.models import Template
from rapport.stores import Stores
from rapport.stores.records import hold, next_id
from rapport.transactional.models import InAppSend
from rapport.wording import refused

SEQUENCE = "in-app send"
RETRY_DELAYS = (30.0, 120.0, 600.0)
LATE = timedelta(days=1)
GONE = "the template is gone"


def check(template: Template, details: Mapping[str, Any]) -> None:
    """Whether a template with these details set makes a message. Raises Invalid naming the member."""
    whole = {**template.details, **details}
    try:
        InAppContent.model_validate(whole).check()
    except ValidationError as error:
        raise Invalid(refused(error, InAppContent, whole, "details")) from error


def accept(scope: Scope, template: Template, details: Mapping[str, Any], due: Mapping[str, datetime | None]) -> int:
    """Accept messages of a template to customers, each at an instant or at once: the number of the send.

    details were checked. Once this returns nothing is lost.
    """
    with scope.records() as session:
        number = next_id(session, scope.tenant_id, SEQUENCE)
        place = {"channel_id": template.channel_id, "template_id": template.id}
        accepted_at = scope.clock.now()
        session.add(
            InAppSend(tenant_id=scope.tenant_id, id=number, **place, details=dict(details), accepted_at=accepted_at)
        )
        entries = [
            Entry(number, template.channel_id, customer_id, 0, template.id, 0, "", due_at=due_at)
            for customer_id, due_at in due.items()
        ]
        outbox.enter(scope, session, Source.IN_APP, entries)
        scope.audit(session, "send", f"in-app messages {number}", template=template.id, customers=len(entries))
    return number


class InAppMessages(MessageSource):
    """In-app messages of servers, as a source of messages."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """The messages; nothing for customers who have said no to the channel since."""
        sends = _sends(scope, {claim.source_id for claim in claims})
        for number, send in sends.items():
            theirs = [claim for claim in claims if claim.source_id == number]
            try:
                template = templates.template(scope, send.channel_id, send.template_id)
            except NotFound:
                for claim in theirs:
                    yield claim, Receipt(claim.message_id, "failed", GONE, permanent=True)
                continue
            yield from self._of_template(scope, channel, template, send, theirs)

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """Nothing outside is asked, so a failure that passes is one of the records."""
        return RETRY_DELAYS

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether the send was accepted so long ago that it is given up."""
        send = _sends(scope, {claim.source_id}).get(claim.source_id)
        return send is None or scope.clock.now() - send.accepted_at > LATE

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """Forget sends all of whose messages have ended, and the messages with them."""
        for number in sorted({each.claim.source_id for each in settled if each.state is not State.PENDING}):
            # Of two that end the last messages side by side, the second sees what the first has done.
            hold(session, scope.tenant_id, f"{SEQUENCE} {number}")
            of_send = (
                OutboxMessage.tenant_id == scope.tenant_id,
                OutboxMessage.source == Source.IN_APP,
                OutboxMessage.source_id == number,
            )
            if not session.scalar(select(exists().where(*of_send, OutboxMessage.state.in_(OPEN)))):
                outbox.drop_sources(session, Source.IN_APP, [(scope.tenant_id, number)])
                if (send := session.get(InAppSend, (scope.tenant_id, number))) is not None:
                    session.delete(send)

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Nothing: a customer without the app is no address that has gone."""

    @staticmethod
    def _of_template(
        scope: Scope, channel: Channel, template: Template, send: InAppSend, claims: Sequence[Claim]
    ) -> Iterator[tuple[Claim, Written]]:
        purpose = purposes.purpose_of(scope, channel.id, template.id)
        refusals = preferences.unreachable(scope, channel.id, [claim.customer_id for claim in claims], purpose)
        origin = Origin(channel.id, template_id=template.id, send_id=send.id)
        editions = Editions(scope, template)
        languages = attribute_values(scope, [claim.customer_id for claim in claims], editions.of_language)
        for claim in claims:
            if claim.customer_id in refusals:
                yield claim, Receipt(claim.message_id, "suppressed", refusals[claim.customer_id], permanent=True)
                continue
            edition = editions.of(languages.get(claim.customer_id, {}))
            filled = edition.render(claim.customer_id, {}, {}, scope.now_local())
            content = Content(details={**filled.details, **send.details})
            message = channel.behaviour.write(claim.message_id, claim.customer_id, claim.customer_id, content)
            yield claim, replace(message, origin=origin)


class InAppSender(Sender):
    """Sends in-app messages of servers."""

    name = "in-app-sender"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.IN_APP, InAppMessages())


def _sends(scope: Scope, numbers: set[int]) -> dict[int, InAppSend]:
    query = select(InAppSend).where(InAppSend.tenant_id == scope.tenant_id, InAppSend.id.in_(numbers))
    with scope.reads() as session:
        return {send.id: send for send in session.scalars(query)}
