"""The kind of channel of inboxes on web sites and in apps: Rapport keeps the messages, and clients fetch them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from rapport.access.scope import Scope
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.messages import Content, Message, Receipt, Transport, count
from rapport.customers.person_ids import VISITOR, person_of
from rapport.errors import Invalid
from rapport.inbox.storing import NewMessage, store

TOGETHER = 500
INBOX = "Inbox"  # the container that a web inbox shows
KEPT_DAYS, MOST_DAYS = 90, 1830


class InboxSettings(BaseModel):
    """For how many days a message stays that has no end of its own."""

    model_config = ConfigDict(extra="forbid")

    keep_days: int = Field(KEPT_DAYS, ge=1, le=MOST_DAYS)


class InboxDetails(BaseModel):
    """What an inbox message has beside its title and content.

    media is the address of a picture, or the path of one that Rapport keeps; url is where a click leads; payload is
    handed to the app or site. The message leaves the inbox at expires_at, or so many hours after it was sent.
    """

    model_config = ConfigDict(extra="forbid")

    media: str = Field("", max_length=2000)
    url: str = Field("", max_length=4000)
    payload: dict[str, Any] = Field(default_factory=dict)
    layout_type: int | None = Field(None, ge=0, le=1000)
    container: str = Field(INBOX, pattern=r"^[A-Za-z0-9_. -]{1,100}$")
    expires_at: AwareDatetime | None = None
    expires_after_hours: int | None = Field(None, ge=1, le=MOST_DAYS * 24)

    @model_validator(mode="after")
    def _one_end(self) -> "InboxDetails":
        if self.expires_at is not None and self.expires_after_hours is not None:
            raise ValueError("expires_at must be left out where expires_after_hours is given")
        return self


class InboxTransport:
    """Puts messages into inboxes; every one arrives, and one that is there already stays as it is."""

    kind: ClassVar[str] = "inbox"

    def __init__(self, scope: Scope, settings: InboxSettings) -> None:
        self._scope, self._kept = scope, timedelta(days=settings.keep_days)

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as soon as its inbox has it."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """The receipts of those that were stored together."""
        rest = iter(messages)
        while part := list(islice(rest, TOGETHER)):
            store(self._scope, [self._stored(message) for message in part])
            count(self.kind, "sent", len(part))
            yield [Receipt(message.message_id, "sent") for message in part]

    def _stored(self, message: Message) -> NewMessage:
        details, origin = InboxDetails.model_validate(message.details), message.origin
        customer_id = "" if message.to.startswith(VISITOR) else message.to
        return NewMessage(
            message_id=message.message_id,
            channel_id=origin.channel_id,
            person=person_of(customer_id, message.to.removeprefix(VISITOR)),
            customer_id=customer_id,
            title=message.subject,
            content=message.text,
            container_id=details.container,
            kept=self._kept,
            campaign_id=origin.campaign_id,
            send_id=origin.send_id,
            template_id=origin.template_id,
            media=details.media,
            url=details.url,
            payload=details.payload,
            layout_type=details.layout_type,
            expires_at=self._end(details),
        )

    def _end(self, details: InboxDetails) -> datetime | None:
        if details.expires_after_hours is not None:
            return self._scope.clock.now() + timedelta(hours=details.expires_after_hours)
        return details.expires_at

    def check(self) -> None:
        """There is nothing to connect to."""

    def close(self) -> None:
        """There is nothing to give back."""


class InboxKind(ChannelKind):
    """Kept by Rapport until a site or an app fetches it. Customers are known there by their own id."""

    name = "inbox"
    by_own_id_only = True
    settings = InboxSettings
    settings_told = "For an inbox channel, how long messages stay"
    details = InboxDetails
    known_id = 495
    measures_clicks = True
    message_noun = "inbox messages"

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The inboxes of the tenant's customers."""
        return InboxTransport(scope, InboxSettings.model_validate(settings))

    def check_content(self, content: Content) -> None:
        """A message has a title. Raises Invalid."""
        if not content.subject:
            raise Invalid("An inbox template needs a subject, which is the title of its messages.")
