"""The kind of channel by which Rapport itself sends e-mail."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.addresses import email_sql, is_email_address
from rapport.channels.brands import brands
from rapport.channels.brands.outgoing import outgoing
from rapport.channels.email import EmailTransport
from rapport.channels.exchangers import Exchangers
from rapport.channels.kinds.base import AddressForm, ChannelKind
from rapport.channels.messages import Content, Message, Sender, Transport
from rapport.channels.rate_plans import RatePlan
from rapport.channels.relaying.processes import RelayProcesses, relay_processes
from rapport.channels.replies import returned
from rapport.channels.returned import ReturnKind
from rapport.channels.senders import require_allowed_sender
from rapport.channels.settings import MAIL_PLACE, EmailSettings
from rapport.errors import Invalid


class EmailKind(ChannelKind):
    """E-mail over SMTP, with the headers by which mail programs offer to unsubscribe."""

    name = "email"
    settings = EmailSettings
    settings_told = "For an e-mail channel, how mail is sent"
    secret_place = MAIL_PLACE
    known_id = 504
    address_attribute = "EMAIL"
    permission_attribute = "ALLOW_EMAIL"
    address_form = AddressForm("e-mail address", "e-mail addresses", "an", is_email_address, email_sql)
    message_noun = "mail"
    own_call = "SendTransactionalMail"
    has_returns = True

    def open(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """Connections to the mail server of the channel, its brand or the server; the sender must be allowed still."""
        return self._opened(scope, settings, longest, None)

    def open_for_many(self, scope: Scope, settings: Mapping[str, Any], longest: float) -> Transport:
        """The same, with processes that write, sign and send the messages where there is more than one core."""
        return self._opened(scope, settings, longest, relay_processes(scope.stores))

    @staticmethod
    def _opened(
        scope: Scope, settings: Mapping[str, Any], longest: float, processes: RelayProcesses | None
    ) -> Transport:
        brand = brands.brand_of(scope, settings)
        mail = brands.mail_settings(settings, brand)
        require_allowed_sender(scope, mail)
        mail = mail.model_copy(update={"timeout_seconds": min(mail.timeout_seconds, longest)})
        return EmailTransport(mail, scope.stores.settings, scope.clock, outgoing(scope, brand, mail), processes)

    def check_settings(self, scope: Scope, settings: Mapping[str, Any]) -> None:
        """The sender's address must be one that the tenant may send from. Raises Invalid."""
        require_allowed_sender(scope, brands.mail_settings(settings, brands.brand_of(scope, settings)))

    def adopt(
        self,
        scope: Scope,
        session: Session,
        channel_id: int,
        name: str,
        settings: Mapping[str, Any],
        present: Mapping[str, Any],
    ) -> dict[str, Any]:
        """With a brand, its own unless the settings name another. Raises Invalid for a brand that there is not."""
        return brands.adopt(scope, session, channel_id, name, settings, present)

    def made_of(self, scope: Scope, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """The brand, whose settings and keys a transport has."""
        brand = brands.brand_of(scope, settings)
        return (brand.id, brand.version) if brand else ()

    def check_content(self, content: Content) -> None:
        """Mail has a subject and says something. Raises Invalid."""
        if not (content.subject and (content.html or content.text)):
            raise Invalid("An e-mail template needs a subject, and html or text.")

    def write(self, message_id: str, customer_id: str, to: str, content: Content, unsubscribe_url: str = "") -> Message:
        """A letter; with a URL it has the headers to unsubscribe."""
        letter = super().write(message_id, customer_id, to, content)
        return replace(letter, headers=unsubscribe_headers(unsubscribe_url)) if unsubscribe_url else letter

    def provider(self, to: str) -> str:
        """The domain of the address."""
        return to.rpartition("@")[2].strip().lower()

    def mail_servers(self, scope: Scope, domains: Collection[str]) -> Mapping[str, Sequence[str]]:
        """Those of their MX records."""
        return scope.stores.workers.only(Exchangers, scope.stores).of(domains)

    def rate_plan(self, scope: Scope, settings: Mapping[str, Any]) -> RatePlan | None:
        """That of the channel, or of its brand."""
        return brands.mail_settings(settings, brands.brand_of(scope, settings)).rate_plan

    def returned(self, reason: str) -> ReturnKind | None:
        """By what the recipient's mail server answered."""
        return returned(reason)

    def tracks(self, scope: Scope, settings: Mapping[str, Any]) -> bool:
        """As the channel's settings say, otherwise as its brand's do where the server has a public URL."""
        wish = EmailSettings.model_validate(settings).tracking
        if wish is not None or not scope.stores.settings.public_url:
            return bool(wish)
        brand = brands.brand_of(scope, settings)
        return brand is None or bool(brand.settings.get("tracking", True))

    def sending_attributes(self, scope: Scope, settings: Mapping[str, Any], subject: str, sender: Sender) -> list[str]:
        """From name, from address and subject."""
        mail = brands.mail_settings(settings, brands.brand_of(scope, settings))
        address = sender.address or mail.from_address or scope.stores.settings.mail_from
        return [sender.name or mail.from_name, address, subject]


def unsubscribe_headers(url: str) -> dict[str, str]:
    """The headers by which mail programs offer to unsubscribe with one click (RFC 2369, RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
