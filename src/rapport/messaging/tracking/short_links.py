"""Short addresses in messages whose every character is paid: each stands for one of Rapport's own long ones.

Its name is made of the message and the address by a secret: nobody can guess one, and a message that is written again
has the same.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.secrets import tenant_secret
from rapport.errors import NotFound
from rapport.messaging.models import ShortLink
from rapport.stores import Stores

PATH = "/s"
KEPT = timedelta(days=400)
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Of 62 characters, so that there are 8e17 of them.
LENGTH = 10
SLUG = re.compile(f"[0-9A-Za-z]{{{LENGTH}}}")
KEEP = text("""
    INSERT INTO short_links (slug, tenant_id, customer_key, path, made_at)
    SELECT slug, :tenant_id, key, path, :at
    FROM unnest(CAST(:slugs AS text[]), CAST(:keys AS text[]), CAST(:paths AS text[])) AS made (slug, key, path)
    ORDER BY slug
    ON CONFLICT DO NOTHING
""")
DROP_OLD = text("DELETE FROM short_links WHERE tenant_id = :tenant_id AND made_at < :before")


@dataclass(frozen=True, slots=True)
class Shortened:
    """A short address by its name: the customer whose message has it, and the path that it stands for."""

    slug: str
    customer_id: str
    path: str


class Shortener:
    """Shortens addresses in texts, and gathers what has to be kept before the messages leave. Get one a batch."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._base = scope.stores.settings.links_url
        self._key = tenant_secret(scope, "short links").encode()
        self._long = re.compile(re.escape(self._base) + r"(/[!-~]+)")
        self._made: list[Shortened] = []

    def shortened(self, message_id: str, customer_id: str, written: str) -> str:
        """A text with Rapport's own addresses shortened."""

        def short(match: re.Match[str]) -> str:
            digest = hmac.digest(self._key, f"{message_id}/{match[1]}".encode(), "sha256")
            slug = _slug(int.from_bytes(digest[:16], "big"))
            self._made.append(Shortened(slug, customer_id, match[1]))
            return f"{self._base}{PATH}/{slug}"

        return self._long.sub(short, written)

    def keep(self, records: Session | Connection) -> None:
        """Keep what was made, in the caller's transaction, and forget what is very old."""
        new_links, self._made = self._made, []
        if not new_links:
            return
        now = self._scope.clock.now()
        parameters = {
            "slugs": [link.slug for link in new_links],
            "keys": [link.customer_id.lower() for link in new_links],
            "paths": [link.path for link in new_links],
        }
        records.execute(KEEP, {"tenant_id": self._scope.tenant_id, "at": now, **parameters})
        records.execute(DROP_OLD, {"tenant_id": self._scope.tenant_id, "before": now - KEPT})


def _slug(number: int) -> str:
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    return "".join(digits)


def path_of(stores: Stores, slug: str) -> str:
    """The path that a short address stands for. Raises NotFound."""
    stored = None
    if SLUG.fullmatch(slug):
        with stores.records.reads() as session:
            stored = session.get(ShortLink, slug)
    if stored is None:
        raise NotFound("This link is not valid.")
    return stored.path


def forget(scope: Scope, session: Session, customer_ids: Sequence[str]) -> None:
    """Forget the short addresses of persons, in the caller's transaction."""
    keys = [customer_id.lower() for customer_id in customer_ids]
    theirs = (ShortLink.tenant_id == scope.tenant_id, ShortLink.customer_key.in_(keys))
    session.execute(delete(ShortLink).where(*theirs))
