"""Who may send as whom: over the server's own mail server a tenant sends from domains that the operator allows it."""

from collections.abc import Callable

from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.channels.settings import MailSettings
from rapport.errors import Invalid


def require_allowed_sender(scope: Scope, settings: MailSettings, sender: str = "a channel") -> None:
    """Raises Invalid for a sender's address that others may have; a mail server of the tenant's own decides itself.

    sender: whose settings they are, for the sentence.
    """
    if settings.from_address and not settings.host:
        require_allowed_domain(scope, settings.from_address, "settings.from_address", sender)


def require_allowed_domain(scope: Scope, address: str, parameter: str, sender: str) -> None:
    """Raises Invalid, naming the parameter, for an address that the tenant may not send from over the server's own
    mail server; the server's own address and none at all are allowed.
    """
    if not sender_rule(scope)(address):
        raise Invalid(
            f"{parameter} must not be of {domain_of(address)}: without a mail server of its own, {sender} sends from"
            " domains that the operator allows the tenant."
        )


def sender_rule(scope: Scope) -> Callable[[str], bool]:
    """A function that tells of an address whether the tenant may send from it over the server's own mail server."""
    domains = access.tenant(scope).sender_domains
    always = ("", scope.stores.settings.mail_from.lower())
    return lambda address: address.lower() in always or domain_of(address) in domains


def domain_of(address: str) -> str:
    """The domain of an address, in lower case."""
    return address.rpartition("@")[2].lower()
