"""The mail server for what comes back: it takes mail for return paths and complaint addresses only, and relays nothing.

It speaks SMTP or LMTP (RFC 2033), for a mail server in front of it or directly for the host in the MX record of the
bounce domain. Mail to any other address is refused, and so is a token that Rapport did not sign.
"""

import asyncio
import re

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.reports import reports, token_of_address
from rapport.errors import NotFound
from rapport.messaging.tracking.tokens import MessageToken, TokenReader
from rapport.stores import Stores
from rapport.stores.outages import outage
from rapport.stores.workers.base import Worker

log = structlog.get_logger("rapport.delivery")
# Where mailbox providers send complaints to; what a complaint says names its message.
COMPLAINTS = re.compile(r"(fbl|abuse|complaints?|postmaster)\Z", re.IGNORECASE)
MOST_BYTES, MOST_RECIPIENTS = 1024 * 1024, 100
# What returned messages have in a line may be longer than it should be.
LONGEST_LINE = 64 * 1024
WAIT_SECONDS, STOP_SECONDS = 60.0, 0.2


class _Smtp(SMTP):
    line_length_limit = LONGEST_LINE


class _Lmtp(LMTP):
    line_length_limit = LONGEST_LINE


class InboundMail(Worker):
    """A thread with an event loop that takes mail until it is stopped. port tells where it listens once it does."""

    name = "inbound mail"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores.workers)
        self._stores = stores
        self.port = 0

    def work(self) -> None:
        """Take mail until told to stop."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        settings = self._stores.settings
        handler = Returns(self._stores)
        protocol = _Lmtp if settings.bounce_protocol == "lmtp" else _Smtp

        def connected() -> SMTP:
            return protocol(
                handler,
                hostname="rapport",
                ident="Rapport",
                data_size_limit=MOST_BYTES,
                enable_SMTPUTF8=True,
                timeout=WAIT_SECONDS,
            )

        server = await asyncio.get_running_loop().create_server(connected, settings.bounce_host, settings.bounce_port)
        self.port = server.sockets[0].getsockname()[1]
        log.info("mail that comes back is taken", host=settings.bounce_host, port=self.port)
        async with server:
            while not self.stopping:
                await asyncio.sleep(STOP_SECONDS)


class Returns:
    """What an SMTP server does with mail that comes back (a handler of aiosmtpd)."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._tokens = TokenReader(stores)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take an address that mail may come back to."""
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        token = token_of_address(address)
        try:
            if not COMPLAINTS.match(address.rpartition("@")[0]):
                await asyncio.to_thread(self._tokens.read, token)
        except NotFound:
            return "550 5.1.1 No such address"
        except Exception as error:
            return self._away(error)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str | list[str]:
        """Take a mail: what it says of messages is accepted before the answer, all else is dropped."""
        try:
            await asyncio.to_thread(self._accept, envelope)
            answer = "250 2.0.0 OK"
        except Exception as error:
            answer = self._away(error)
        # LMTP answers for each recipient.
        return "\r\n".join([answer] * len(envelope.rcpt_tos)) if isinstance(server, LMTP) else answer

    def _accept(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        at = self._stores.clock.now()
        happenings = []
        for report in reports(content, envelope.rcpt_tos, envelope.mail_from or ""):
            if message := self._message(report.token):
                happenings.append(Happening(message, report.kind, at, detail=report.detail))
        accept(self._stores, happenings)

    def _message(self, token: str) -> MessageToken | None:
        try:
            return self._tokens.read(token)
        except NotFound:
            return None

    def _away(self, error: Exception) -> str:
        if outage(error) is None:
            log.exception("mail that came back cannot be read")
        return "451 4.3.0 Try again later"
