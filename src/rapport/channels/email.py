"""E-mail over SMTP: a bounded number of connections, each reused until anything goes wrong on it."""

import contextlib
import queue
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from rapport.channels import mime
from rapport.channels.addresses import recipient
from rapport.channels.brands.outgoing import Outgoing
from rapport.channels.brands.signing import digest_of_body
from rapport.channels.connection_faults import NO_CONNECTION, failure
from rapport.channels.connection_pool import ConnectionPool, Down
from rapport.channels.connections import Broken, Connection
from rapport.channels.messages import Message, Receipt, Sender, count
from rapport.channels.replies import SERVICE_CLOSING, Refused, Stage, receipt_of
from rapport.channels.senders import domain_of
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid, Unavailable
from rapport.settings import Settings
from rapport.stores.clock import Clock

# For so long receipts are gathered before they are given out.
GATHERED_SECONDS = 0.05
NOT_ALLOWED = "sender is not one that the tenant may send from"


def effective(channel: EmailSettings, server: Settings) -> EmailSettings:
    """A channel's settings with the server's own mail settings where the channel has none. Raises Invalid."""
    filled = channel.model_copy(update={"from_address": channel.from_address or server.mail_from})
    if channel.host:
        return filled
    parts = urlsplit(server.smtp_url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise Invalid("RAPPORT_SMTP_URL must be smtp://host:port or smtps://host:port.")
    security = "tls" if parts.scheme == "smtps" else "starttls" if "starttls" in parts.query else "none"
    own = {
        "host": parts.hostname,
        "port": parts.port or (465 if security == "tls" else 25),
        "security": security,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return filled.model_copy(update=own)


class EmailTransport:
    """Sends over at most `connections` connections; takes the next message only when one of them is free.

    Each message gets what its brand gives it: a return path and signatures.
    """

    def __init__(self, channel: EmailSettings, server: Settings, clock: Clock, brand: Outgoing | None = None) -> None:
        self._brand = brand or Outgoing()
        self._settings = effective(channel, server)
        self._allow_private = server.allow_private_addresses or not channel.host
        self._clock = clock
        self._pool = ConnectionPool(lambda: Connection(self._settings, allow_private=self._allow_private))
        self._workers = ThreadPoolExecutor(self._settings.connections, "smtp")

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as each is decided. Messages are drawn only as fast as they leave."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """Receipts together that were decided meanwhile, so that whoever keeps them writes seldom.

        At most as many messages are under way as there are connections, and at most as many wait for one or are
        decided without having been given out.
        """
        decided: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        waiting, connections = 0, self._settings.connections
        for message in messages:
            if waiting == 2 * connections:
                receipts = _some_of(decided, connections)
                yield receipts
                waiting -= len(receipts)
            self._workers.submit(self._decide, message, decided)
            waiting += 1
        while waiting:
            receipts = _some_of(decided, min(waiting, connections))
            yield receipts
            waiting -= len(receipts)

    def check(self) -> None:
        """Connect, log in and leave. Raises Unavailable."""
        try:
            Connection(self._settings, allow_private=self._allow_private).quit()
        except NO_CONNECTION as error:
            raise Unavailable(f"The mail server cannot be used: {failure(error)}.") from error

    def close(self) -> None:
        """Let messages in flight end, then leave every connection."""
        self._workers.shutdown(wait=True)
        self._pool.close()

    def _decide(self, message: Message, decided: "queue.SimpleQueue[Receipt]") -> None:
        try:
            receipt = self._deliver(message)
        except Exception as error:  # a receipt is owed for every message, whatever happens
            receipt = Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}")
        count("email", receipt.became)
        decided.put(receipt)

    def _deliver(self, message: Message) -> Receipt:
        settings = self._sent_as(message.sender)
        if not self._brand.may_send_from(settings.from_address):
            return Receipt(message.message_id, "failed", NOT_ALLOWED, True)
        try:
            message = replace(message, to=recipient(message.to))
        except ValueError:
            return Receipt(message.message_id, "failed", "not an e-mail address", True)
        try:
            content = mime.compose(message, settings, self._clock.now(), self._signing(settings.from_address))
        except ValueError as error:  # what cannot be written down now cannot be later
            return Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}", True)
        return_path = self._brand.return_path(message.message_id, message.return_token) or settings.from_address
        try:
            return self._attempt(message, return_path, content, repeat=True)
        except Down as down:
            return Receipt(message.message_id, "failed", down.reason, away=down.away)

    def _sent_as(self, sender: Sender) -> EmailSettings:
        """The settings with what a message says itself of its sender."""
        own = {"from_address": sender.address, "from_name": sender.name, "reply_to": sender.reply_to}
        changes = {name: value for name, value in own.items() if value}
        return self._settings.model_copy(update=changes) if changes else self._settings

    def _signing(self, from_address: str) -> mime.Sign | None:
        """How messages from an address are signed, in the name of its domain."""
        signer, domain = self._brand.signer, domain_of(from_address)
        if not signer.keys:
            return None
        return lambda headers, body: signer.signatures(headers, digest_of_body(body), domain, self._clock.now())

    def _attempt(self, message: Message, return_path: str, content: bytes, repeat: bool) -> Receipt:
        """Hand a message over; once more on a new connection if a reused one had ended before the content left.

        Raises Down.
        """
        connection, reused = self._pool.take(idle=repeat)
        began = time.monotonic()
        try:
            connection.hand_over(return_path, message.to, content)
            return Receipt(message.message_id, "sent", seconds=time.monotonic() - began)
        except (Refused, Broken) as error:
            if not (reused and repeat and _ended_early(error)):
                return replace(_answered(message.message_id, error), seconds=time.monotonic() - began)
            connection.usable = False
        finally:
            self._pool.give_back(connection)
        return self._attempt(message, return_path, content, repeat=False)


def _some_of(decided: "queue.SimpleQueue[Receipt]", least: int) -> list[Receipt]:
    """So many receipts, or more if there are; fewer when they take longer than a moment, but always one."""
    receipts = [decided.get()]
    end = time.monotonic() + GATHERED_SECONDS
    with contextlib.suppress(queue.Empty):
        while len(receipts) < least:
            receipts.append(decided.get(timeout=max(0.0, end - time.monotonic())))
        while True:
            receipts.append(decided.get_nowait())
    return receipts


def _ended_early(error: Refused | Broken) -> bool:
    """Whether a connection had ended before any content was handed over, as servers do with idle ones."""
    if isinstance(error, Refused):
        return error.code == SERVICE_CLOSING and error.stage is not Stage.CONTENT
    return error.stage is not Stage.CONTENT


def _answered(message_id: str, error: Refused | Broken) -> Receipt:
    """What becomes of a message that a server did not take."""
    if isinstance(error, Refused):
        return receipt_of(message_id, error)
    return Receipt(message_id, "failed", failure(error))
