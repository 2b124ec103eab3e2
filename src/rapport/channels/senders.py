"""Who may send as whom: over the server's own mail server a tenant sends from domains that the operator allows it."""

from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid


def require_allowed_sender(scope: Scope, settings: EmailSettings) -> None:
    """Raises Invalid for a sender's address that others may have; a mail server of the tenant's own decides itself."""
    sender = settings.from_address.lower()
    if settings.host or sender in ("", scope.stores.settings.mail_from.lower()):
        return
    domain = sender.rpartition("@")[2]
    if domain not in access.tenant(scope).sender_domains:
        raise Invalid(
            f"settings.from_address must not be of {domain}: without a mail server of its own, a channel sends from"
            " domains that the operator allows the tenant."
        )
