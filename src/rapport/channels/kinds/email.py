"""The kind of channel by which Rapport itself sends e-mail."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rapport.access.scope import Scope
from rapport.channels.addresses import email_sql, is_email_address
from rapport.channels.email import EmailTransport
from rapport.channels.kinds.base import AddressForm, Bounce, ChannelKind
from rapport.channels.messages import Content, Message, Transport
from rapport.channels.replies import is_hard_bounce, is_soft_bounce
from rapport.channels.senders import require_allowed_sender
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid
from rapport.settings import Settings


class EmailKind(ChannelKind):
    """E-mail over SMTP, with the headers by which mail programs offer to unsubscribe."""

    name = "email"
    settings = EmailSettings
    settings_told = "Of an email channel, how mail leaves"
    secret_place = ("host", "port", "username", "security")
    known_id = 504
    address_attribute = "EMAIL"
    permission_attribute = "ALLOW_EMAIL"
    address_form = AddressForm("e-mail address", "e-mail addresses", "an", is_email_address, email_sql)
    message_noun = "mail"

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """Connections to the channel's mail server, or the server's own; the sender must be allowed still."""
        self.check_settings(scope, settings)
        of_channel = EmailSettings.model_validate(settings)
        of_channel = of_channel.model_copy(update={"timeout_seconds": min(of_channel.timeout_seconds, longest)})
        return EmailTransport(of_channel, scope.stores.settings, scope.clock)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """The sender's address must be one that the tenant may send from. Raises Invalid."""
        require_allowed_sender(scope, EmailSettings.model_validate(settings))

    def check_content(self, content: Content) -> None:
        """Mail has a subject and says something. Raises Invalid."""
        if not (content.subject and (content.html or content.text)):
            raise Invalid("An e-mail template needs a subject, and html or text.")

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        """A letter; with a URL it has the headers to unsubscribe."""
        letter = super().write(message_id, customer_id, to, content)
        return replace(letter, headers=unsubscribe_headers(unsubscribe_url)) if unsubscribe_url else letter

    def bounce(self, reason: str) -> Bounce | None:
        """By what the recipient's mail server answered."""
        if is_hard_bounce(reason):
            return Bounce.HARD
        return Bounce.SOFT if is_soft_bounce(reason) else None

    def sending_attributes(self, settings: Mapping[str, Any], server: Settings, subject: str) -> list[str]:
        """From name, from address and subject."""
        of_channel = EmailSettings.model_validate(settings)
        return [of_channel.from_name, of_channel.from_address or server.mail_from, subject]


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The headers by which mail programs offer to unsubscribe with one click (RFC 2369, RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
