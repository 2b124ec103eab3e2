"""Requests for messages on another channel than those of transactional mail are accepted: text messages, messages in
inboxes and apps, popups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.messages import Content
from rapport.channels.models import Channel
from rapport.customers.writes import attribute_writes
from rapport.delivery.content import NO_ADDRESS
from rapport.delivery.values import attribute_values
from rapport.errors import Invalid
from rapport.messaging import templates
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.editions import Editions
from rapport.messaging.models import Template
from rapport.messaging.tag_problems import tag_problems
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.transactional.accepting import enter
from rapport.transactional.channel_writing import own_template
from rapport.transactional.entering import Request
from rapport.transactional.personalizations import missing_tags
from rapport.transactional.requests import Addressee, Order, OwnText

UNKNOWN, NO_DEVICE = "there is no such customer", "no reachable device"


@dataclass(frozen=True)
class Reached:
    """A recipient of a request that was accepted: the address (empty where the customer's id is it), why nothing goes
    there, if so, and the tags that got no value.
    """

    customer_id: str
    address: str
    fault: str
    missing_tags: list[str]


@dataclass(frozen=True)
class Sent:
    """A request that was accepted, with its recipients in the order of the request."""

    send_id: int
    recipients: list[Reached]


def send_template(scope: Scope, channel_id: int, template_id: int, order: Order) -> Sent:
    """Accept messages of a template. Raises NotFound, Invalid if nobody can be reached, and Conflict for a
    UniqueMessageID that was used.
    """
    channel = _channel(scope, channel_id)
    return _accept(scope, channel, templates.template(scope, channel_id, template_id), "", order)


def send_text(scope: Scope, channel_id: int, written: OwnText, order: Order) -> Sent:
    """Accept messages with the content of the request. Raises as send_template, and Invalid for the content."""
    channel = _channel(scope, channel_id)
    checked = replace(written, details=channel.behaviour.checked_details(written.details))
    content = Content(checked.subject, checked.text, checked.html, checked.details)
    if wrong := tag_problems(scope, content, may_bring=True):
        raise Invalid(wrong[0].sentence)
    channel.behaviour.check_content(content)
    template = own_template(scope, channel_id, checked)
    return _accept(scope, channel, template, orjson.dumps(asdict(checked)).decode(), order)


def _channel(scope: Scope, channel_id: int) -> Channel:
    """The channel. Raises NotFound, and Invalid for one on which messages are sent by another call."""
    channel = channels.channel(scope, channel_id)
    kind = channel.behaviour
    if kind.is_pulled:
        raise Invalid("An external system sends the messages of an external channel.")
    if kind.own_call:
        raise Invalid(f"channel_id: applications send on a channel of the kind {kind.name} by {kind.own_call}.")
    if kind.fault:
        raise Invalid(kind.fault)
    return channel


def _accept(scope: Scope, channel: Channel, template: Template, content: str, order: Order) -> Sent:
    now = OUTSIDE_CLOCK.now()
    reached = _reached(scope, channel, Editions(scope, template).transactional, order.addressees)
    if all(recipient.fault for recipient in reached):
        raise Invalid(f"recipients[0]: {reached[0].fault}.")
    marks = suppressed_addresses.marks_of(scope, [recipient.address for recipient in reached])
    addressees = [
        Addressee(recipient.address, addressee.values, recipient.customer_id)
        for recipient, addressee in zip(reached, order.addressees, strict=True)
    ]
    faults = [recipient.fault for recipient in reached]
    request = Request(
        brand_id=None,
        channel_id=channel.id,
        template=None if content else template,
        state=None,
        content=content,
        accepted_at=scope.clock.now(),
        due_at=max(order.due_at, now) if order.due_at else now,
        unique_id=order.unique_id,
        recipients=list(zip(addressees, marks, faults, strict=True)),
        files=(),
    )
    return Sent(enter(scope, request, faults.count(""), at_once=request.due_at <= now), reached)


def _reached(scope: Scope, channel: Channel, expected: Sequence[str], addressees: Sequence[Addressee]) -> list[Reached]:
    """Recipients with their addresses as they are written to, and the expected tags that have no value.

    Raises Invalid for an address on a channel that reaches customers by their id.
    """
    by_id = channel.address_attribute == OWN_ID
    for place, addressee in enumerate(addressees):
        if by_id and not addressee.customer_id:
            raise Invalid(f"recipients[{place}].customer_id is required: the channel reaches customers by their ID.")
    known = attribute_writes.spellings(scope, {each.customer_id for each in addressees if each.customer_id})
    addresses = {} if by_id else _addresses(scope, channel, list(known.values()))
    kind, settings = channel.behaviour, channel.settings
    device_holders = kind.with_device(scope, settings, set(known)) if kind.needs_device else None
    written_to, form = kind.written_to(scope, settings), kind.address_form
    reached = []
    for addressee in addressees:
        customer_id, address = known.get(addressee.customer_id.lower(), ""), ""
        if addressee.customer_id and not customer_id:
            fault = UNKNOWN
        elif by_id:
            has_device = device_holders is None or customer_id.lower() in device_holders
            fault = "" if has_device else NO_DEVICE
        else:
            address = written_to(addressee.address or addresses.get(customer_id, ""))
            fault = "" if form.passes(address) else form.fault if address else NO_ADDRESS
        missing = missing_tags(expected, [addressee.values])
        reached.append(Reached(customer_id or addressee.customer_id, address, fault, missing))
    return reached


def _addresses(scope: Scope, channel: Channel, customer_ids: Sequence[str]) -> Mapping[str, str]:
    """The present addresses of customers on a channel, by CustomerID."""
    name = channel.address_attribute
    values = attribute_values(scope, customer_ids, [name])
    return {customer_id: attributes.get(name) or "" for customer_id, attributes in values.items()}
