"""The kind of channel of popups on web pages: a page that reports an event is told in the answer what to show."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from rapport.access.scope import Scope
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.kinds.inbox import InboxTransport
from rapport.channels.messages import Content, Message, Transport
from rapport.errors import Invalid
from rapport.inbox.storing import NewMessage

CONTAINER, DELAY = "web popup", "delay_seconds"
KEPT_HOURS, MOST_HOURS, LONGEST_DELAY = 24, 720, 3600


class WebPopupSettings(BaseModel):
    """For how many hours a popup waits for a page to show it."""

    model_config = ConfigDict(extra="forbid")

    keep_hours: int = Field(KEPT_HOURS, ge=1, le=MOST_HOURS)


class WebPopupDetails(BaseModel):
    """After how many seconds the page shows the popup."""

    model_config = ConfigDict(extra="forbid")

    delay_seconds: int = Field(0, ge=0, le=LONGEST_DELAY)


class WebPopupTransport(InboxTransport):
    """Keeps popups, as an inbox does messages, until pages fetch them."""

    kind: ClassVar[str] = "web_popup"

    def __init__(self, scope: Scope, settings: WebPopupSettings) -> None:
        self._scope, self._kept = scope, timedelta(hours=settings.keep_hours)

    def _stored(self, message: Message) -> NewMessage:
        details = WebPopupDetails.model_validate(message.details)
        plain = super()._stored(replace(message, details={}))
        payload = {DELAY: details.delay_seconds}
        return replace(plain, content=message.html, container_id=CONTAINER, payload=payload)


class WebPopupKind(ChannelKind):
    """Kept by Rapport until a page of the customer or visitor reports an event, and shown by that page."""

    name = "web_popup"
    answers_events = True
    by_own_id_only = True
    settings = WebPopupSettings
    settings_told = "For a channel of web popups, how long popups wait"
    details = WebPopupDetails
    measures_clicks = True
    message_noun = "web popups"

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The popups that wait for pages."""
        return WebPopupTransport(scope, WebPopupSettings.model_validate(settings))

    def check_content(self, content: Content) -> None:
        """A popup has HTML. Raises Invalid."""
        if not content.html:
            raise Invalid("A web popup template needs html.")
