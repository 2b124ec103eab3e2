"""Transactional mail as the sender takes it: what it says, to whom nothing goes, and what follows from its replies."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels import service as channels
from rapport.channels.messages import AttachedFile, Receipt
from rapport.channels.models import Channel
from rapport.channels.returned import ReturnKind
from rapport.delivery.content import Written
from rapport.delivery.models import Source
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.sources import MessageSource
from rapport.delivery.worker import CLOCK, Sender
from rapport.messaging.contactability import undeliverable
from rapport.messaging.models import Undeliverable
from rapport.stores import Stores
from rapport.transactional import events
from rapport.transactional.channel_writing import ChannelWriter
from rapport.transactional.entering import FreshClaim
from rapport.transactional.models import Attachment, Recipient, Send
from rapport.transactional.settings import TransactionalSettings
from rapport.transactional.writing import Writer


class TransactionalMessages(MessageSource):
    """Recipients of transactional mail, and of transactional messages on other channels, as a source of messages."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """By the template as it is now, or the content of the request; what was handed over, by the template as it was
        when the request was accepted.

        Nothing goes to an address that bounced hard on the channel, or whose holder complained or answered with a
        keyword; who unsubscribed gets transactional messages all the same.
        """
        fresh = [claim for claim in claims if isinstance(claim, FreshClaim)]
        recipients = {claim.source_id: claim.recipient for claim in fresh}
        sends = {claim.send.id: claim.send for claim in fresh}
        files = {claim.send.id: list(claim.files) for claim in fresh}
        if others := [claim for claim in claims if not isinstance(claim, FreshClaim)]:
            stored = _recipients(scope, others)
            recipients |= stored
            sends |= _sends(scope, {recipient.send_id for recipient in stored.values()})
            files |= _files(scope, {recipient.send_id for recipient in stored.values()})
        known = [claim.template for claim in fresh if claim.template]
        writer, on_channel = Writer(scope, channel, known), ChannelWriter(scope, channel, known)
        refused = _refused(scope, channel, recipients)
        for claim in claims:
            recipient = recipients.get(claim.source_id)
            if recipient is None:
                continue
            send = sends[recipient.send_id]
            if reason := refused[recipient.id]:
                yield claim, Receipt(claim.message_id, "suppressed", reason, permanent=True)
            elif send.brand_id is None:
                yield claim, on_channel.write(send, recipient)
            else:
                yield claim, writer.write(send, recipient, files.get(send.id, []))
        on_channel.keep_links()

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """As the tenant has set them for transactional mail."""
        return settings_or_defaults(scope, TransactionalSettings).retry_delays

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether it was due longer ago than the tenant lets messages be late."""
        hours = settings_or_defaults(scope, TransactionalSettings).wait_hours
        send_ids = {recipient.send_id for recipient in _recipients(scope, [claim]).values()}
        return all(CLOCK.now() - send.due_at > timedelta(hours=hours) for send in _sends(scope, send_ids).values())

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """Enter in the log what has ended, and tell listeners of it."""
        events.note_ended(scope, session, settled)

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Suppress the addresses that do not exist on the brand's channel."""
        kind = channels.kind_at(scope, channel_id)
        hard = [ended.claim for ended in failed if kind and kind.returned(ended.reason) is ReturnKind.PERMANENT]
        if hard:
            marks = [recipient.mark for recipient in _recipients(scope, hard).values()]
            with scope.records() as session:
                undeliverable.keep(scope, session, channel_id, Undeliverable.HARD_BOUNCE, marks)


class TransactionalSender(Sender):
    """Sends transactional mail in lanes of its own, so that no campaign is in its way."""

    name = "transactional sender"
    gathers = 0.05
    per_channel = 100

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.TRANSACTIONAL, TransactionalMessages())


def _refused(scope: Scope, channel: Channel, recipients: Mapping[int, Recipient]) -> dict[int, str]:
    """Why nothing goes to recipients; empty where something does."""
    addressed = [(recipient.mark, recipient.person) for recipient in recipients.values()]
    return dict(zip(recipients, undeliverable.among(scope, channel.id, addressed), strict=True))


def _recipients(scope: Scope, claims: Sequence[Claim]) -> dict[int, Recipient]:
    """The recipients of claims by their ids; those of persons who were erased meanwhile are gone."""
    ids = [claim.source_id for claim in claims]
    with scope.reads() as session:
        query = select(Recipient).where(Recipient.tenant_id == scope.tenant_id, Recipient.id.in_(ids))
        return {recipient.id: recipient for recipient in session.scalars(query)}


def _sends(scope: Scope, send_ids: Collection[int]) -> dict[int, Send]:
    with scope.reads() as session:
        query = select(Send).where(Send.tenant_id == scope.tenant_id, Send.id.in_(send_ids))
        return {send.id: send for send in session.scalars(query)}


def _files(scope: Scope, send_ids: Collection[int]) -> dict[int, list[AttachedFile]]:
    """The attachments of sends that have any, in their order."""
    files: dict[int, list[AttachedFile]] = defaultdict(list)
    with scope.reads() as session:
        of_sends = (Attachment.tenant_id == scope.tenant_id, Attachment.send_id.in_(send_ids))
        for attachment in session.scalars(select(Attachment).where(*of_sends).order_by(Attachment.place)):
            file = AttachedFile(attachment.file_name, attachment.content_type, attachment.content)
            files[attachment.send_id].append(file)
    return files
