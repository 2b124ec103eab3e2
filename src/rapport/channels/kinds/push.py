"""The kind of channel by which Rapport itself sends push messages to the devices and browsers of customers."""

from collections.abc import Collection, Mapping
from typing import Any

from rapport.access.scope import Scope
from rapport.apps import definitions as app_definitions
from rapport.apps.service import Ability, persons_with
from rapport.channels.addresses import mended
from rapport.channels.kinds.base import ChannelKind
from rapport.channels.messages import Content, Message, Transport
from rapport.channels.push.details import PushDetails
from rapport.channels.push.settings import PushSettings, check_accounts
from rapport.channels.push.transport import PushTransport
from rapport.errors import Invalid


class PushKind(ChannelKind):
    """Push messages by APNs, FCM, HMS and web push. Customers are reached by their own id, on each of their devices."""

    name = "push"
    settings = PushSettings
    settings_told = "For a push channel, the accounts at the providers"
    details = PushDetails
    known_id = 506
    permission_attribute = "ALLOW_PUSH"
    message_noun = "push message"
    own_call = "Send Push (POST /v2/notifications)"
    needs_device = True
    has_providers = True

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """Connections to the providers at which the channel has an account."""
        accounts = PushSettings.model_validate(settings)
        check_accounts(accounts)
        return PushTransport(scope, accounts, longest)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """The app must be there, and each account whole. Raises Invalid."""
        accounts = PushSettings.model_validate(settings)
        if accounts.app_id is not None and all(app.id != accounts.app_id for app in app_definitions.apps(scope)):
            raise Invalid(f"settings.app_id must be an app of the tenant, and there is no app {accounts.app_id}.")
        check_accounts(accounts)

    def with_device(
        self, scope: Scope, settings: Mapping[str, Any], among: Collection[str] | None = None
    ) -> set[str] | None:
        """Those with a push token, unless notifications are switched off."""
        app_id = PushSettings.model_validate(settings).app_id
        return persons_with(scope, Ability.TAKES_PUSH, app_id, among)

    def made_of(self, scope: Scope, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """The apps, with whose keys browsers are written to."""
        return tuple((app.id, app.updated_at) for app in app_definitions.apps(scope))

    def check_content(self, content: Content) -> None:
        """It shows a text, or wakes the app without showing anything. Raises Invalid."""
        if content.html:
            raise Invalid("A push template has a title (subject) and a text, and no html.")
        if not content.text and not content.details.get("background"):
            raise Invalid("A push template needs a text, or details.background to wake the app without one.")

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        """A message to a customer; an address differs from the id that it is in what mending takes off."""
        person = customer_id if mended(customer_id) == to else to
        return Message(message_id, customer_id, person, content.subject, content.text, details=content.details)
