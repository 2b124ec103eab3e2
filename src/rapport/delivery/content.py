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
from rapport.customers.person_ids import person_of
from rapport.delivery import once
from rapport.delivery.values import Values, attribute_values
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, purposes, suppressed_addresses
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.models import Template
from rapport.redemptions import allocation
from rapport.stores.workers.leader import FAULTS

log = structlog.get_logger("rapport.delivery")
NO_ADDRESS = "no address"
NO_CODE = "no promo code left"
Written = Message | Receipt


@dataclass(frozen=True)
class Draft:
    """A message that is to be written. customer_id is empty for a visitor whom nobody knows, whose id is visitor_id.

    extra is what the source knows besides: promo_code, products, and what an event said (see messaging.render).
    """

    message_id: str
    customer_id: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    visitor_id: str = ""


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
    letters = MessageWriter(scope, channel, template, origin)
    names = {*letters.attributes, channel.address_attribute} - {OWN_ID}
    ids = sorted({draft.customer_id for draft in drafts if draft.customer_id})
    values = attribute_values(scope, ids, names)
    addresses = _addresses(scope, channel, values)
    refused = _refused(scope, records, channel, template, origin.campaign_id, ids, addresses)
    codes = allocation.allocate(
        scope,
        records,
        origin.campaign_id,
        [
            allocation.Wanted(draft.message_id, draft.customer_id, draft.extra.get("promo_code") or "")
            for draft in drafts
            if draft.customer_id not in refused and addresses.of(draft)
        ],
    )
    written = {draft.message_id: _written(letters, draft, values, addresses, refused, codes) for draft in drafts}
    letters.keep_links(records)
    return written


def unwritten(drafts: Sequence[Draft], reason: str) -> dict[str, Written]:
    """The receipts of messages none of which can be written for a reason, by id: they fail for good."""
    return {draft.message_id: _not_sent(draft, "failed", reason) for draft in drafts}


@dataclass(frozen=True)
class _Addresses:
    """The addresses of customers by CustomerID: as they are known, and as they are written to.

    are_ids: they are the ids themselves; visitors_too: those of visitors as well.
    """

    known: Mapping[str, str]
    written: Mapping[str, str]
    are_ids: bool = False
    visitors_too: bool = False

    def of(self, draft: Draft) -> str:
        """Where a message goes; empty where there is no address."""
        if not self.are_ids:
            return self.written.get(draft.customer_id, "")
        if draft.visitor_id and not draft.customer_id and self.visitors_too:
            return person_of("", draft.visitor_id)
        return draft.customer_id

    @property
    def spelled_otherwise(self) -> dict[str, str]:
        """Those as they are written to which another key names than as they are known."""
        keys = {customer_id: channel_addresses.address_key(address) for customer_id, address in self.known.items()}
        return {
            customer_id: address
            for customer_id, address in self.written.items()
            if channel_addresses.address_key(address) != keys[customer_id]
        }


def _addresses(scope: Scope, channel: Channel, values: Mapping[str, Values]) -> _Addresses:
    if channel.address_attribute == OWN_ID:
        return _Addresses({}, {}, are_ids=True, visitors_too=channel.behaviour.by_own_id_only)
    known = {customer_id: attributes.get(channel.address_attribute) or "" for customer_id, attributes in values.items()}
    written_to = channel.behaviour.written_to(scope, channel.settings)
    return _Addresses(known, {customer_id: written_to(address) for customer_id, address in known.items()})


def _refused(
    scope: Scope,
    records: Session | Connection,
    channel: Channel,
    template: Template,
    campaign_id: int,
    ids: Sequence[str],
    addresses: _Addresses,
) -> dict[str, once.Refusal]:
    """Outcome and reason of customers to whom nothing goes: since processing addresses change and people say no."""
    if not ids:
        return {}
    purpose = purposes.purpose_of(scope, channel.id, template.id)
    unreachable = preferences.unreachable(scope, channel.id, ids, purpose, addresses.known)
    unreachable |= suppressed_addresses.among(scope, channel.id, purpose, addresses.spelled_otherwise)
    recipients = [
        once.Recipient(campaign_id, customer_id, {channel.id: address})
        for customer_id, address in addresses.written.items()
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
    letters: MessageWriter,
    draft: Draft,
    values: Mapping[str, Values],
    addresses: _Addresses,
    refused: Mapping[str, once.Refusal],
    codes: Mapping[str, str | None],
) -> Written:
    """One message, or the receipt of one that is not sent; one that cannot be written is no other customer's fault."""
    customer_id = draft.customer_id
    attributes = {OWN_ID: customer_id, **values.get(customer_id, {})} if customer_id else {}
    address = addresses.of(draft)
    if customer_id in refused:
        return _not_sent(draft, *refused[customer_id])
    if not address:
        return _not_sent(draft, "failed", NO_ADDRESS)
    promo_code = codes[draft.message_id]
    if promo_code is None:
        return _not_sent(draft, "failed", NO_CODE)
    extra = {**draft.extra, "promo_code": promo_code} if promo_code else draft.extra
    try:
        return letters.write(draft.message_id, customer_id, address, attributes, extra)
    except FAULTS:
        raise
    except Exception as error:
        log.exception("a message cannot be written", message_id=draft.message_id)
        return _not_sent(draft, "failed", f"not sent: {type(error).__name__}")


def _not_sent(draft: Draft, outcome: Any, reason: str) -> Receipt:
    return Receipt(draft.message_id, outcome, reason, permanent=True)
