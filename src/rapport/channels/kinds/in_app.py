"""The kind of channel by which messages are shown within apps."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rapport.access.scope import Scope
from rapport.apps.definitions import app
from rapport.apps.models import Install
from rapport.apps.service import Ability, installs_of, persons_with
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.messages import Content, Message, Receipt, Transport, count
from rapport.errors import Invalid, NotFound
from rapport.in_app.contents import InAppContent
from rapport.in_app.storing import NewMessage, Purpose, store

MOST_AT_ONCE = 500
Outcome = Literal["failed", "suppressed"]
NO_APP, NO_CONSENT = "no app installed", "no consent to in-app messages"
NOT_VALID = "its values make no valid message"


class InAppSettings(BaseModel):
    """Whose apps show the messages."""

    model_config = ConfigDict(extra="forbid")

    app_id: int | None = Field(None, ge=1, description="The app that shows the messages; all apps without one.")
    requires_consent: bool = Field(
        True, description="Whether a customer gets a message only if an app has reported consent to in-app messages."
    )


class InAppTransport:
    """Stores messages for apps to fetch: what is stored has arrived as far as Rapport can bring it."""

    def __init__(self, scope: Scope, settings: InAppSettings) -> None:
        self._scope, self._settings = scope, settings

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """The receipts of those that were stored together."""
        iterator = iter(messages)
        while part := list(islice(iterator, MOST_AT_ONCE)):
            yield self._store(part)

    def check(self) -> None:
        """There is nothing to connect to."""

    def close(self) -> None:
        """There is nothing to give back."""

    def _store(self, messages: Sequence[Message]) -> list[Receipt]:
        installs = installs_of(self._scope, {message.to for message in messages}, self._settings.app_id)
        receipts, stored = [], []
        for message in messages:
            refusal = self._refusal(installs.get(message.to, []))
            content = None if refusal else _content(message)
            if content:
                stored.append(_new(message, content, self._settings.app_id))
            else:
                receipts.append(_refused(message.message_id, *(refusal or ("failed", NOT_VALID))))
        with self._scope.records() as session:
            store(self._scope, session, stored)
        receipts += [Receipt(message.message_id, "sent", "stored") for message in stored]
        for receipt in receipts:
            count(InAppKind.name, receipt.became)
        return receipts

    def _refusal(self, installs: Sequence[Install]) -> tuple[Outcome, str] | None:
        """Why nothing can be shown to whoever has these installs."""
        if not self._settings.requires_consent:
            return None
        if not installs:
            return "failed", NO_APP
        return None if any(install.in_app_consent for install in installs) else ("suppressed", NO_CONSENT)


class InAppKind(ChannelKind):
    """Messages that apps fetch and show; an app knows its user by the customer's id."""

    name = "in_app"
    settings = InAppSettings
    settings_told = "For an in-app channel, whose apps show the messages"
    details = InAppContent
    known_id = 427
    by_own_id_only = True
    message_noun = "in-app messages"
    needs_device = True

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The store of messages."""
        return InAppTransport(scope, InAppSettings.model_validate(settings))

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """The app must be one of the tenant's. Raises Invalid."""
        app_id = settings.get("app_id")
        if app_id is None:
            return
        try:
            app(scope, app_id)
        except NotFound as error:
            raise Invalid(f"settings.app_id must be an app of yours: there is no app {app_id}.") from error

    def with_device(
        self, scope: Scope, settings: Mapping[str, Any], among: Collection[str] | None = None
    ) -> set[str] | None:
        """Those who have consented in an app; all where that is not asked for."""
        of_channel = InAppSettings.model_validate(settings)
        if not of_channel.requires_consent:
            return None
        return persons_with(scope, Ability.SHOWS_IN_APP, of_channel.app_id, among)

    def check_content(self, content: Content) -> None:
        """There is something to show, and the inbox says what. Raises Invalid."""
        InAppContent.model_validate(content.details).check()


def _content(message: Message) -> InAppContent | None:
    """What a message says; None where the values that were filled in do not fit."""
    try:
        return InAppContent.model_validate(message.details)
    except ValidationError:
        return None


def _new(message: Message, content: InAppContent, app_id: int | None) -> NewMessage:
    origin = message.origin
    purpose = Purpose(origin.channel_id, origin.template_id, origin.campaign_id, origin.send_id)
    return NewMessage(message.message_id, message.to, content, purpose, app_id)


def _refused(message_id: str, outcome: Outcome, reason: str) -> Receipt:
    return Receipt(message_id, outcome, reason, permanent=True)
