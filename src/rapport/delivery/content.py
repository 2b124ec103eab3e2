"""What leaves for each customer, written from what is known at that moment, or why nothing does.

Runs and firings write by it, so the same customer gets the same message, or the same reason, by either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.messages import Message, Origin, Receipt
from rapport.channels.models import Channel
from rapport.delivery import once
from rapport.delivery.values import Values, attribute_values
from rapport.messaging import rendering, templates
from rapport.messaging.contactability import preferences, purposes
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.models import Template
from rapport.stores.workers.leader import FAULTS

log = structlog.get_logger("rapport.delivery")
NO_ADDRESS = "no address"
Written = Message | Receipt


@dataclass(frozen=True)
class Draft:
    """A message that is to be written. customer_id is empty for a visitor whom nobody knows.

    extra is what the source knows besides: promo_code, products, and what an event said (see messaging.render).
    """

    message_id: str
    customer_id: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def write(
    scope: Scope,
    records: Session | Connection,
    channel: Channel,
    origin: Origin,
    drafts: Sequence[Draft],
) -> dict[str, Written]:
    """The messages of one template by id, or the receipts of those that are not sent after all: nothing may go to the
    customer or its address, there is none, or somebody else has had the campaign there.

    The addresses of the others are taken for them in records. Raises NotFound and Invalid for the template.
    """
    template = templates.template(scope, channel.id, origin.template_id)
    names = {*rendering.attributes_used(template), channel.address_attribute} - {OWN_ID}
    ids = sorted({draft.customer_id for draft in drafts if draft.customer_id})
    values = attribute_values(scope, ids, names)
    refused = _refused(scope, records, channel, template, origin.campaign_id, ids, values)
    letters = MessageWriter(scope, channel, template, origin)
    return {draft.message_id: _written(channel, letters, draft, values, refused) for draft in drafts}


def unwritten(drafts: Sequence[Draft], reason: str) -> dict[str, Written]:
    """The receipts of messages none of which can be written for a reason, by id: they fail for good."""
    return {draft.message_id: _not_sent(draft, "failed", reason) for draft in drafts}


def _refused(
    scope: Scope,
    records: Session | Connection,
    channel: Channel,
    template: Template,
    campaign_id: int,
    ids: Sequence[str],
    values: Mapping[str, Values],
) -> dict[str, once.Refusal]:
    """Outcome and reason of customers to whom nothing goes: since processing addresses change and people say no."""
    if not ids:
        return {}
    by_id = channel.address_attribute == OWN_ID
    addresses = (
        {}
        if by_id
        else {
            customer_id: attributes.get(channel.address_attribute) or "" for customer_id, attributes in values.items()
        }
    )
    purpose = purposes.purpose_of(scope, channel.id, template.id)
    unreachable = preferences.unreachable(scope, channel.id, ids, purpose, addresses)
    recipients = [
        once.Recipient(campaign_id, customer_id, {channel.id: address})
        for customer_id, address in addresses.items()
        if address.strip() and customer_id not in unreachable
    ]
    ended = once.refused(scope, records, recipients)
    late = {
        recipient.person: ended_on[channel.id]
        for recipient, ended_on in zip(recipients, ended, strict=True)
        if ended_on
    }
    return late | {customer_id: ("suppressed", reason) for customer_id, reason in unreachable.items()}


def _written(
    channel: Channel,
    letters: MessageWriter,
    draft: Draft,
    values: Mapping[str, Values],
    refused: Mapping[str, once.Refusal],
) -> Written:
    """One message, or the receipt of one that is not sent; one that cannot be written is no other customer's fault."""
    customer_id = draft.customer_id
    attributes = {OWN_ID: customer_id, **values.get(customer_id, {})} if customer_id else {}
    address = channel_addresses.mended(attributes.get(channel.address_attribute) or "")
    if customer_id in refused:
        return _not_sent(draft, *refused[customer_id])
    if not address:
        return _not_sent(draft, "failed", NO_ADDRESS)
    try:
        return letters.write(draft.message_id, customer_id, address, attributes, draft.extra)
    except FAULTS:
        raise
    except Exception as error:
        log.exception("a message cannot be written", channel_id=channel.id, message_id=draft.message_id)
        return _not_sent(draft, "failed", f"not sent: {type(error).__name__}")


def _not_sent(draft: Draft, outcome: Any, reason: str) -> Receipt:
    return Receipt(draft.message_id, outcome, reason, permanent=True)
