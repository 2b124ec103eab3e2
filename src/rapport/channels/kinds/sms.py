"""The kind of channel by which Rapport itself sends text messages."""

from collections.abc import Callable, Mapping
from typing import Any

from rapport.access.scope import Scope
from rapport.channels.addresses import mended
from rapport.channels.kinds.base import AddressForm, ChannelKind
from rapport.channels.messages import Content, Message, Sender, TextSize, Transport
from rapport.channels.returned import ReturnKind
from rapport.channels.sms import aggregator, http, smpp, submissions
from rapport.channels.sms.numbers import NOT_A_NUMBER, is_phone_number, number_of, phone_sql
from rapport.channels.sms.sending import NAME, NO_SUCH_NUMBER
from rapport.channels.sms.settings import SMS_PLACE, SmsChannelSettings, Via, usual_region
from rapport.channels.sms.texts import outside_gsm, size_of
from rapport.errors import Invalid

TRANSPORTS: dict[Via, Callable[[Scope, SmsChannelSettings], Transport]] = {
    Via.HTTP: http.HttpTransport,
    Via.SMPP: smpp.SmppTransport,
    Via.AGGREGATOR: aggregator.AggregatorTransport,
}
CHECKS = {Via.HTTP: http.checked, Via.SMPP: smpp.checked, Via.AGGREGATOR: aggregator.checked}


class SmsKind(ChannelKind):
    """Text messages by an HTTP provider, an SMS centre (SMPP), or an aggregator of the SMS API."""

    name = NAME
    settings = SmsChannelSettings
    settings_told = "For an SMS channel, how text messages are sent"
    secret_place = SMS_PLACE
    known_id = 493
    address_attribute = "MOBILE_NUMBER"
    permission_attribute = "ALLOW_SMS"
    address_form = AddressForm("phone number", "phone numbers", "a", is_phone_number, phone_sql)
    message_noun = "text message"
    has_returns = True
    has_short_links = True

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The way that the settings name."""
        channel = SmsChannelSettings.model_validate(settings)
        channel = channel.model_copy(update={"timeout_seconds": min(channel.timeout_seconds, longest)})
        submissions.drop_old(scope)
        return TRANSPORTS[channel.via](scope, channel)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """What the way out needs must be there, and may lead to no private address. Raises Invalid."""
        channel = SmsChannelSettings.model_validate(settings)
        CHECKS[channel.via](channel, allow_private=scope.stores.settings.allow_private_addresses)

    def check_content(self, content: Content) -> None:
        """A text message is text, and nothing else. Raises Invalid."""
        if content.subject or content.html or not content.text.strip():
            raise Invalid("An SMS template needs text, and can have no subject and no html.")

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        """The text; who wants no more follows a link in it, or answers with a keyword."""
        return Message(message_id, customer_id, to, text=content.text.strip())

    def written_to(self, scope: Scope, settings: Mapping[str, Any]) -> Callable[[str], str]:
        """Numbers in the form of E.164; what is none stays, and fails when it is sent."""
        region = usual_region(scope, SmsChannelSettings.model_validate(settings))

        def written(text: str) -> str:
            try:
                return number_of(text, region)
            except ValueError:
                return mended(text)

        return written

    def text_size(self, text: str) -> TextSize:
        """Its alphabet and its segments."""
        return size_of(text)

    def costly_letters(self, text: str) -> list[str]:
        """Those outside of the GSM alphabet."""
        return outside_gsm(text)

    def returned(self, reason: str) -> ReturnKind | None:
        """A number that there is not suppresses for good; all else says nothing of the number."""
        return ReturnKind.PERMANENT if reason in (NOT_A_NUMBER, NO_SUCH_NUMBER) else None

    def tracks(self, scope: Scope, settings: Mapping[str, Any]) -> bool:
        """As the settings say."""
        return SmsChannelSettings.model_validate(settings).tracking

    def sending_attributes(self, scope: Scope, settings: Mapping[str, Any], subject: str, sender: Sender) -> list[str]:
        """The sender."""
        return [SmsChannelSettings.model_validate(settings).sender]
