"""Management of channels: what exists, whether it can be reached, a message to try it."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticKnownError

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.samples import Sample, rendered
from rapport.api.sections import SectionRouter
from rapport.channels import apps, opening, service
from rapport.channels import settings as channel_settings
from rapport.channels.kinds import registry
from rapport.channels.messages import Content, Sender
from rapport.channels.models import Channel
from rapport.delivery.returns import webhooks
from rapport.errors import Invalid, Unavailable
from rapport.messaging import templates
from rapport.messaging.template_senders import sender_of

router = SectionRouter("Management: channels", "/manage/v1/channels", JsonRoute)
ChannelId = Annotated[int, Path(ge=1, le=2**31 - 1)]
SERVER = {"host": "smtp.example.com", "port": 587, "security": "starttls", "username": "mailer"}
MAIL, MAIL_SHOWN = ({**SERVER, "password": password} for password in ("the mailer's", "********"))
SETTINGS = ". ".join(
    f"{kind.settings_told}: {', '.join(kind.settings.model_fields)}" for kind in registry.kinds() if kind.settings_told
)


def _known(name: Any) -> Any:
    """A name of a kind of channel; any other value is told as pydantic tells it of a Literal of their names."""
    names = [kind.name for kind in registry.kinds()]
    if name not in names:
        *others, last = map(repr, names)
        expected = " or ".join(filter(None, [", ".join(others), last]))
        raise PydanticKnownError("literal_error", {"expected": expected})
    return name


def _listed(schema: dict[str, Any]) -> None:
    schema["enum"] = [kind.name for kind in registry.kinds()]


KindName = Annotated[str, PlainValidator(_known, json_schema_input_type=str), Field(json_schema_extra=_listed)]


class ChannelIn(Body):
    """A channel to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Email"])
    kind: KindName = Field(examples=["email"])
    id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[504], description="Its ChannelID; assigned if left out")
    address_attribute: str | None = Field(
        None, max_length=128, examples=["EMAIL"], description="The attribute with the customer's address"
    )
    permission_attribute: str | None = Field(
        "default", max_length=128, examples=["ALLOW_EMAIL"], description="The attribute that must not be No; null: none"
    )
    settings: dict[str, Any] = Field({}, examples=[MAIL], description=SETTINGS)


class ChannelChange(Body):
    """What to change; members left out stay as they are."""

    name: str = Field("", min_length=1, max_length=200, examples=["Newsletter"])
    address_attribute: str = Field("", min_length=1, max_length=128, examples=["EMAIL"])
    permission_attribute: str | None = Field(None, max_length=128, examples=["ALLOW_EMAIL"])
    settings: dict[str, Any] = Field(
        {},
        examples=[MAIL],
        description="Replaces all settings; a masked password is kept if host, port, username and security stay the "
        "same",
    )


class ChannelOut(BaseModel):
    """A channel; secrets are shown masked."""

    id: int = Field(examples=[504])
    name: str = Field(examples=["Email"])
    kind: str = Field(examples=["email"])
    address_attribute: str = Field(examples=["EMAIL"])
    permission_attribute: str | None = Field(examples=["ALLOW_EMAIL"])
    settings: dict[str, Any] = Field(examples=[MAIL_SHOWN])
    fault: str = Field("", description="Why the channel cannot send, whatever its settings; empty if it can")
    created_at: datetime


class AppOut(BaseModel):
    """An app of an external channel, as its provider registered it."""

    model_config = ConfigDict(from_attributes=True)

    app_id: str = Field(examples=["acme-ios"])
    name: str = Field(examples=["Acme Slots iPhone"])
    updated_at: datetime


class MailEventsOut(BaseModel):
    """Where the mail provider of a channel reports to."""

    provider: str = Field(examples=["postmark"], description="As the channel's settings name it; empty: none")
    url: str = Field(
        examples=["https://rapport.example.com/mail-events/postmark/3.504.0123456789abcdef0123456789abcdef"],
        description="The address to enter at the provider. Whoever knows it can report, so it is a secret",
    )


class CheckOut(BaseModel):
    """Whether messages could be sent now."""

    ok: bool
    reason: str = Field(examples=["The mail server cannot be used: mail server refused the login."])


class TestIn(Sample):
    """A test message for a channel: one of its templates, as a customer would get it, or a text."""

    to: str = Field(min_length=3, max_length=320, examples=["me@northwind.example"])
    template_id: int | None = Field(None, ge=0, le=2**31 - 1)
    subject: str = Field("Test message", max_length=1000)
    text: str = Field("This is a test message from Rapport.", max_length=100_000)


class TestOut(BaseModel):
    """The outcome of the message."""

    outcome: str = Field(examples=["sent"])
    reason: str = Field(examples=["", "recipient rejected 550 5.1.1"])
    permanent: bool


def _shown(channel: Channel) -> ChannelOut:
    shown = ChannelOut.model_validate(channel, from_attributes=True)
    return shown.model_copy(
        update={
            "settings": channel_settings.masked(channel.behaviour, channel.settings),
            "fault": channel.behaviour.fault,
        }
    )


@router.get("", summary="List channels")
def list_channels(page: Paged, principal: Principal = Depends(admin)) -> list[ChannelOut]:  # noqa: B008
    """The tenant's channels, by id."""
    return page.of(service.channels(principal.scope)).each(_shown)


@router.post("", status_code=201, summary="Create a channel")
def create_channel(body: ChannelIn, principal: Principal = Depends(admin)) -> ChannelOut:  # noqa: B008
    """Create a channel; 409 for a name or id that is taken."""
    return _shown(service.create_channel(principal.scope, **body.model_dump()))


@router.get("/{channel_id}", summary="Get a channel")
def get_channel(channel_id: ChannelId, principal: Principal = Depends(admin)) -> ChannelOut:  # noqa: B008
    """A channel by id."""
    return _shown(service.channel(principal.scope, channel_id))


@router.patch("/{channel_id}", summary="Change a channel")
def change_channel(
    channel_id: ChannelId,
    body: ChannelChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> ChannelOut:
    """Change a channel; its kind and id stay."""
    return _shown(service.update_channel(principal.scope, channel_id, **body.model_dump(exclude_unset=True)))


@router.get("/{channel_id}/apps", summary="List the apps of a channel")
def list_apps(channel_id: ChannelId, principal: Principal = Depends(admin)) -> list[AppOut]:  # noqa: B008
    """Apps by id, as AddChannelApps left them."""
    service.channel(principal.scope, channel_id)
    return [AppOut.model_validate(app) for app in apps.apps(principal.scope, channel_id)]


@router.get("/{channel_id}/mail-events", summary="Get the webhook address of a channel's mail provider")
def get_mail_events(channel_id: ChannelId, principal: Principal = Depends(admin)) -> MailEventsOut:  # noqa: B008
    """The mail provider reports deliveries, bounces and complaints to this address.

    The channel's setting `provider` says which provider it is (ses, sendgrid, mailgun, postmark, sparkpost), and
    `events_key` how its calls are checked: SendGrid's verification key, Mailgun's signing key, the ARN of the SNS topic
    of SES, or the password that Postmark and SparkPost send.
    """
    channel = service.channel(principal.scope, channel_id)
    url = webhooks.webhook_url(principal.scope, channel)
    return MailEventsOut(provider=webhooks.provider_of(principal.scope, channel)[0], url=url)


@router.post("/{channel_id}/check", summary="Test the connection of a channel")
def check_channel(channel_id: ChannelId, principal: Principal = Depends(admin)) -> CheckOut:  # noqa: B008
    """Connect and log in without sending anything."""
    with opening.trying(principal.scope, service.channel(principal.scope, channel_id)) as transport:
        try:
            transport.check()
        except Unavailable as error:
            return CheckOut(ok=False, reason=error.message)
    return CheckOut(ok=True, reason="")


@router.post("/{channel_id}/test-messages", summary="Send a test message")
def send_test_message(
    channel_id: ChannelId,
    body: TestIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TestOut:
    """Send one message at once and return its outcome; suppressions do not apply."""
    channel = service.channel(principal.scope, channel_id)
    if channel.behaviour.is_pulled:
        raise Invalid("An external system sends the messages of an external channel.")
    content, sender = _content(principal.scope, channel, body)
    message = channel.behaviour.write(f"test-{uuid.uuid4()}", "test", body.to, content)
    message = replace(message, sender=sender)
    with opening.trying(principal.scope, channel) as transport:
        (receipt,) = transport.send([message])
    return TestOut.model_validate(receipt, from_attributes=True)


def _content(scope: Scope, channel: Channel, body: TestIn) -> tuple[Content, Sender]:
    """What a test message says, and as whom it is sent."""
    if body.template_id is None:
        return Content(body.subject, body.text), Sender()
    template = templates.template(scope, channel.id, body.template_id)
    return rendered(scope, template, body), sender_of(scope, channel, template)
