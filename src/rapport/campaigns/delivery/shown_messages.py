"""Messages of campaigns as they are shown in a browser: written again as they were when they were sent.

No message is stored. It is written from the version that the template had then, and from what the campaign or its
trigger said. The values of the customer are those of the data date of that time while its profiles are kept, and the
present ones after that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.measurement.received import received
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.publishing import rewards
from rapport.campaigns.runs import queries
from rapport.channels import service as channels
from rapport.channels.addresses import mended
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.messages import Content, Origin
from rapport.customers.privacy import persons
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source
from rapport.delivery.values import attribute_values
from rapport.errors import NotFound
from rapport.messaging import templates, versions
from rapport.messaging.message_writer import A_SECOND, MessageWriter
from rapport.messaging.tracking.tokens import MessageToken, SentFor
from rapport.redemptions import allocation

GONE = "This message is no longer available."


@dataclass(frozen=True)
class SentMessage:
    """A message that was sent: its id, the recipient group, and what its source said besides (see Draft)."""

    message_id: str
    group: int
    extra: Mapping[str, Any] = field(default_factory=dict)


# What a firing of a triggered campaign sent, by the token of the message; None for one that is not kept any more.
# Firings are kept a floor above: whoever asks brings the lookup.
FiredMessages = Callable[[Scope, MessageToken], SentMessage | None]


def shown(scope: Scope, message: MessageToken, fired_messages: FiredMessages) -> Content:
    """A message of a campaign as it was sent, without a pixel; its links are those that it had.

    Raises NotFound when its customer was erased, or its template, campaign or firing is gone; Invalid when it needs
    what is gone, such as an attribute.
    """
    written_at, customer_id = message.written_at, message.customer_id
    if message.sent_for != SentFor.CAMPAIGN or not customer_id or written_at is None:
        raise NotFound(GONE)
    if persons.is_erased(scope, customer_id):
        raise NotFound(GONE)
    campaign, row, sent = _sent(scope, message, fired_messages)
    origin = Origin(
        channel_id=row.channel_id,
        campaign_id=campaign.id,
        template_id=row.template_id,
        recipient_group_id=row.recipient_group_id,
        action_id=row.action_id,
        delivery_date=campaign.execution_date.isoformat(),
    )
    channel = channels.channel(scope, row.channel_id)
    present = templates.template(scope, row.channel_id, row.template_id)
    template = versions.template_at(scope, present, written_at + A_SECOND)
    writer = MessageWriter(scope, channel, template, origin, written_at)
    names = {*writer.attributes, channel.address_attribute} - {OWN_ID}
    day = written_at.astimezone(scope.time_zone).date()
    values = {OWN_ID: customer_id, **attribute_values(scope, [customer_id], names, day).get(customer_id, {})}
    address = mended(values.get(channel.address_attribute) or "")
    codes = allocation.shown(scope, campaign.id, {sent.message_id: row.promo_code})
    extra = {"promo_code": codes[sent.message_id], **sent.extra}
    return writer.content(sent.message_id, customer_id, address, values, extra)


def _sent(
    scope: Scope, message: MessageToken, fired_messages: FiredMessages
) -> tuple[Occurrence, OccurrenceChannel, SentMessage]:
    """Which campaign sent a message, to which group, and what it said. Raises NotFound."""
    with scope.reads() as session:
        campaign = session.get(Occurrence, (scope.tenant_id, message.source_id))
    if campaign is None:
        raise NotFound(GONE)
    sent = fired_messages(scope, message) if campaign.is_triggered else _of_run(scope, campaign, message)
    if sent is None:
        raise NotFound(GONE)
    rows = select(OccurrenceChannel).where(
        OccurrenceChannel.tenant_id == scope.tenant_id,
        OccurrenceChannel.campaign_id == campaign.id,
        OccurrenceChannel.recipient_group_id == sent.group,
        OccurrenceChannel.channel_id == message.channel_id,
        OccurrenceChannel.template_id == message.template_id,
    )
    with scope.reads() as session:  # the portions of a group differ in their templates and times only
        row = session.scalars(rows.order_by(OccurrenceChannel.portion).limit(1)).first()
    if row is None:
        raise NotFound(GONE)
    return campaign, row, sent


def _of_run(scope: Scope, campaign: Occurrence, message: MessageToken) -> SentMessage | None:
    """What a run sent; None for a customer who is not among its recipients."""
    customer_id, channel_id = message.customer_id, message.channel_id
    with scope.records() as session:
        recipients = received(scope, session, campaign, channel_id, [customer_id], lambda *_: ())
    recipient = recipients.get(customer_id.lower())
    if recipient is None:
        return None
    products: list[str] = []
    if campaign.plan.products:
        place = {"execution_date": campaign.execution_date, "campaign": campaign.id}
        rows = scope.warehouse.rows(queries.PRODUCTS, customers=[customer_id], **place)
        products = [str(name) for _, name in rows]
    identity = message_id(scope.tenant_id, Source.RUN, campaign.id, channel_id, customer_id)
    in_tags = rewards.in_tags(scope, campaign, [customer_id])[customer_id]
    return SentMessage(identity, recipient.group, {"products": products, **in_tags})
