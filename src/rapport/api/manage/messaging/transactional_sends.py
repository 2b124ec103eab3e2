"""Messages that applications send to single persons on SMS, inbox, in-app and popup channels."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.bodies import CustomerID
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.api.wire.transactional_bodies import (
    LONGEST_UNIQUE_ID,
    MOST_PERSONALIZATION_BYTES,
    MOST_RECIPIENTS,
    text_of,
)
from rapport.transactional import channel_messages, request_keys
from rapport.transactional.channel_messages import Reached, Sent
from rapport.transactional.personalizations import tag_name
from rapport.transactional.requests import Addressee, Order, OwnText

router = SectionRouter("Management: transactional mail", "/manage/v1/transactional", JsonRoute)
LONGEST_TEXT = 100_000
LARGEST_ID = 2**31 - 1
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]


def _values(texts: object) -> dict[str, str]:
    """Values by the names of their tags. Raises ValueError."""
    if not isinstance(texts, dict):
        raise ValueError("must be an object with texts")
    if len(orjson.dumps(texts)) > MOST_PERSONALIZATION_BYTES:
        raise ValueError(f"must have at most {MOST_PERSONALIZATION_BYTES} bytes")
    return {tag_name(str(name)): text_of(value) for name, value in texts.items()}


class ContentIn(BaseModel):
    """Content in place of a template. It may have tags, as a template may."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field("", max_length=1000, description="The title, where messages of the channel have one")
    text: str = Field("", max_length=LONGEST_TEXT, examples=["Your code is [%TRANS:CODE%]."])
    html: str = Field("", max_length=LONGEST_TEXT, description="Of web popups")
    details: dict[str, Any] = Field({}, description="As templates of the channel have them")


class RecipientIn(BaseModel):
    """Whom a message goes to: a customer, or an address such as a phone number."""

    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerID | None = Field(None, examples=["Q1001"], description="The message goes to its address")
    address: str | None = Field(None, min_length=1, max_length=1000, examples=["+442079460018"])
    values: Annotated[dict[str, str], BeforeValidator(_values)] = Field(
        {}, examples=[{"CODE": "4711"}], description="The values of tags, by name; at most 50,000 bytes"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "RecipientIn":
        if (self.customer_id is None) == (self.address is None):
            raise ValueError("must have either customer_id or address")
        return self


class MessagesIn(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid")

    channel_id: Id = Field(examples=[493], description="A channel of the kind sms, inbox, in_app or web_popup")
    template_id: Id | None = Field(None, examples=[3], description="A template of the channel")
    content: ContentIn | None = Field(None, description="In place of template_id")
    recipients: list[RecipientIn] = Field(min_length=1, max_length=MOST_RECIPIENTS)
    unique_message_id: str | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_UNIQUE_ID,
        examples=["order-A-1009-code"],
        description="A request whose ID has succeeded before is refused with 409",
    )
    send_at: AwareDatetime | None = Field(None, description="At once if left out or past")

    @model_validator(mode="after")
    def _one_of_both(self) -> "MessagesIn":
        if (self.template_id is None) == (self.content is None):
            raise ValueError("The body must have either template_id or content")
        return self

    def order(self) -> Order:
        """For whom, and when."""
        addressees = [Addressee(each.address or "", each.values, each.customer_id or "") for each in self.recipients]
        due_at: datetime | None = self.send_at and self.send_at.astimezone(UTC)
        return Order(addressees, [], self.unique_message_id or "", due_at)


class ReachedOut(BaseModel):
    """What was done for a recipient."""

    customer_id: str | None = Field(examples=["Q1001"])
    address: str | None = Field(examples=["+442079460018"], description="null: the customer's ID is the address")
    accepted: bool
    reason: str = Field(examples=["", "there is no such customer"], description="Why it gets nothing")
    missing_values: list[str] = Field(examples=[["CODE"]], description="Tags without a value, which are empty")


class MessagesOut(BaseModel):
    """A request that was accepted, with its recipients in their order."""

    send_id: int = Field(examples=[90417], description="The message log has the messages by it")
    recipients: list[ReachedOut]


@router.post(
    "/messages",
    status_code=202,
    summary="Send transactional messages on another channel than e-mail",
    responses={
        202: {"description": "Accepted for all recipients, or for some: accepted says so of each"},
        400: {"description": "The body is malformed, or no recipient can be reached"},
        404: {"description": "There is no such channel or template"},
        409: {"description": request_keys.USED},
    },
)
def send_messages(
    body: MessagesIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> MessagesOut:
    """Sends a template, or the content of the call, to up to 200 recipients on a channel of the kind sms, inbox, in_app
    or web_popup.

    Also reaches people who have unsubscribed from marketing messages. Nothing goes to numbers that do not exist or that
    have answered with a keyword such as STOP, and no in-app messages go to people who have not consented to them.
    """
    scope, order = principal.scope, body.order()
    if body.template_id is not None:
        return _shown(channel_messages.send_template(scope, body.channel_id, body.template_id, order))
    content = body.content or ContentIn()
    own = OwnText(content.subject.strip(), content.text, content.html, content.details)
    return _shown(channel_messages.send_text(scope, body.channel_id, own, order))


def _shown(sent: Sent) -> MessagesOut:
    return MessagesOut(send_id=sent.send_id, recipients=[_recipient(reached) for reached in sent.recipients])


def _recipient(reached: Reached) -> ReachedOut:
    return ReachedOut(
        customer_id=reached.customer_id or None,
        address=reached.address or None,
        accepted=not reached.fault,
        reason=reached.fault,
        missing_values=reached.missing_tags,
    )
