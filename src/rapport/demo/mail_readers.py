"""The retailer's customers, who do with the mail in their mailboxes what people do.

What they fetch is read as the public routes read it, token and all, and recorded by the same worker: there is only no
server between, which would make a day of a demo longer.
"""

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import urlsplit

from rapport.access.scope import Scope
from rapport.app import mail_event_sinks
from rapport.campaigns.delivery import unsubscribing
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns import requested
from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.recorder import record_all
from rapport.delivery.returns.reports import token_of_address
from rapport.demo.mail_programs import Deed, DeedKind
from rapport.messaging.contactability import suppressions
from rapport.messaging.tracking.tokens import TokenReader

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
NO_SUCH_MAILBOX = "5.1.1"


class MailReaders:
    """All of them."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._tokens = scope, TokenReader(scope.stores)

    def do(self, deeds: Iterable[Deed]) -> None:
        """Carry deeds out, each at its time up to now, and have them recorded."""
        stores, done = self._scope.stores, list(deeds)
        accept(stores, [self._happening(deed) for deed in done if deed.kind != DeedKind.UNSUBSCRIBE])
        record_all(stores, mail_event_sinks(), timedelta(0))
        for deed in done:
            if deed.kind == DeedKind.UNSUBSCRIBE:
                _, customer_id, origin = suppressions.read_token(stores, deed.address.rpartition("/")[2])
                unsubscribing.unsubscribe(self._scope, customer_id, origin)

    def _happening(self, deed: Deed) -> Happening:
        now = self._scope.clock.now()
        if deed.kind == DeedKind.SEND_BACK:
            message = self._tokens.read(token_of_address(deed.address))
            return Happening(message, MailEventKind.PERMANENT, now, detail=NO_SUCH_MAILBOX)
        _, *parts = urlsplit(deed.address).path.strip("/").split("/")
        asked = (
            requested.pixel(self._tokens, *parts)
            if deed.kind == DeedKind.LOAD
            else requested.link(self._scope.stores, self._tokens, *parts)
        )
        written_at = asked.message.written_at or now
        return asked.happening(written_at + (now - written_at) * deed.share, "GET", BROWSER)
