"""Test messages of a template, to addresses that the tenant has listed for them."""

import uuid
from dataclasses import replace
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.samples import Sample, rendered
from rapport.api.manage.messaging.templates import Id, TemplateId
from rapport.api.sections import SectionRouter
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.messages import Message, Origin
from rapport.channels.models import Channel
from rapport.errors import Invalid
from rapport.messaging import templates
from rapport.messaging.models import Template
from rapport.messaging.settings import MOST_TEST_ADDRESSES, MessagingSettings
from rapport.messaging.template_senders import sender_of

router = SectionRouter("Management: templates", "/manage/v1", JsonRoute)
SUBJECT = "[Test] "
HEADER = "X-Rapport-Test"
Address = Annotated[str, Field(min_length=3, max_length=320)]


class TestSendIn(Sample):
    """The customer whose values are used, and the addresses."""

    to: list[Address] = Field(
        [],
        max_length=MOST_TEST_ADDRESSES,
        examples=[["qa@northwind.example"]],
        description="Some of the addresses in messaging.test_addresses; if empty, all",
    )


class TestSendOut(BaseModel):
    """What became of the message to an address."""

    to: str = Field(examples=["qa@northwind.example"])
    outcome: str = Field(examples=["sent"])
    reason: str = Field(examples=["", "recipient rejected 550 5.1.1"])
    permanent: bool


@router.post(
    "/channels/{channel_id}/templates/{template_id}/test-sends", summary="Send a template to the test addresses"
)
def send_test(
    channel_id: Id,
    template_id: TemplateId,
    body: TestSendIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TestSendOut]:
    """Sends the template at once, with the values of a customer, to test addresses of the tenant, and returns each
    outcome.

    The subject begins with [Test]. Suppressions do not apply, no link in the mail changes anything, and results do not
    count it.
    """
    scope = principal.scope
    channel = channels.channel(scope, channel_id)
    if channel.behaviour.is_pulled:
        raise Invalid("An external system sends the messages of an external channel.")
    template = templates.template(scope, channel_id, template_id)
    recipients = _recipients(scope, body.to)
    messages = {message.message_id: message for message in _messages(scope, channel, template, body, recipients)}
    with opening.trying(scope, channel) as transport:
        receipts = {receipt.message_id: receipt for receipt in transport.send(messages.values())}
    return [
        TestSendOut(
            to=message.to,
            outcome=receipts[message_id].outcome,
            reason=receipts[message_id].reason,
            permanent=receipts[message_id].permanent,
        )
        for message_id, message in messages.items()
    ]


def _recipients(scope: Scope, to: list[str]) -> list[str]:
    """The addresses to send to. Raises Invalid when none is listed, or for one that is not."""
    listed = {address.lower(): address for address in tenant_settings(scope, MessagingSettings).test_addresses}
    if not listed:
        raise Invalid("The tenant setting messaging.test_addresses lists no address: add those of your testers.")
    for address in to:
        if address.lower() not in listed:
            raise Invalid(f"to: {address} is not listed in the tenant setting messaging.test_addresses.")
    return list(dict.fromkeys(listed[address.lower()] for address in to)) or list(listed.values())


def _messages(
    scope: Scope, channel: Channel, template: Template, sample: Sample, recipients: list[str]
) -> list[Message]:
    """The message of a sample to each recipient, marked as a test."""
    content = rendered(scope, template, sample)
    content = replace(content, subject=f"{SUBJECT}{content.subject}")
    sender = sender_of(scope, channel, template)
    written = [channel.behaviour.write(f"test-{uuid.uuid4()}", "test", to, content) for to in recipients]
    origin, marked = Origin(channel.id, template_id=template.id), {HEADER: "yes"}
    return [
        replace(message, sender=sender, origin=origin, headers={**message.headers, **marked}) for message in written
    ]
