"""The return path: where the failures of one message are reported to, so that each report tells of which (VERP)."""

import re

from rapport.access.scope import Scope
from rapport.channels.brands.models import Brand

# The local part up to what tells the message; servers take what follows a plus as a detail of the mailbox.
MAILBOX = "bounce+"
# RFC 5321, 4.5.3.1.1; some servers fold the case, so that what tells the message must not depend on it.
LONGEST_LOCAL = 64
DETAIL = re.compile(r"[A-Za-z0-9._=-]+")


def return_path(scope: Scope, brand: Brand, message_id: str, token: str = "") -> str:
    """The return path of a message of a brand: it tells the token, or else the message's id.

    Empty, so that failures are reported to the sender's address: for a brand without a bounce domain, and for what
    cannot stand in an address.
    """
    domain, detail = brand.settings.get("bounce_domain", ""), token or message_id
    if not domain or not DETAIL.fullmatch(detail) or len(MAILBOX) + len(detail) > LONGEST_LOCAL:
        return ""
    return f"{MAILBOX}{detail}@{domain}"
