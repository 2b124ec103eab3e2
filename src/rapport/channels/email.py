"""E-mail over SMTP: a bounded number of connections, each reused until anything goes wrong on it."""

import contextlib
import queue
import smtplib
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from rapport.channels import mime
from rapport.channels.addresses import recipient
from rapport.channels.brands.outgoing import Outgoing
from rapport.channels.brands.signing import digest_of_body
from rapport.channels.connections import Broken, Connection, timed_out
from rapport.channels.messages import Message, Receipt, Sender, count
from rapport.channels.replies import PERMANENT, SERVICE_CLOSING, Refused, Stage, receipt_of
from rapport.channels.senders import domain_of
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid, Unavailable
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.outside.addresses import PrivateAddress, Unresolved

# After a connection could not be opened, messages of the next seconds fail at once instead of waiting in line.
DOWN_SECONDS = 2.0
# For so long receipts are gathered before they are given out.
GATHERED_SECONDS = 0.05
NOT_ALLOWED = "sender is not one that the tenant may send from"
# Why no connection could be opened.
NO_CONNECTION = (smtplib.SMTPException, OSError, Unresolved, PrivateAddress)


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


class Down(Exception):
    """A mail server to which no connection could be opened a moment ago; away as in Receipt."""

    def __init__(self, reason: str, *, away: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


class EmailTransport:
    """Sends over at most `connections` connections; takes the next message only when one of them is free.

    Each message gets what its brand gives it: a return path and signatures.
    """

    def __init__(self, channel: EmailSettings, server: Settings, clock: Clock, brand: Outgoing | None = None) -> None:
        self._brand = brand or Outgoing()
        self._settings = effective(channel, server)
        self._allow_private = server.allow_private_addresses or not channel.host
        self._clock = clock
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._workers = ThreadPoolExecutor(self._settings.connections, "smtp")
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._down = ("", False)

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
            raise Unavailable(f"The mail server cannot be used: {_failure(error)}.") from error

    def close(self) -> None:
        """Let messages in flight end, then leave every connection."""
        self._workers.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get_nowait().quit()

    def _decide(self, message: Message, decided: "queue.SimpleQueue[Receipt]") -> None:
        began = time.monotonic()
        try:
            receipt = replace(self._deliver(message), seconds=time.monotonic() - began)
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
        except Refused as refused:
            return receipt_of(message.message_id, refused)
        except Down as down:
            return Receipt(message.message_id, "failed", down.reason, away=down.away)
        except (Broken, *NO_CONNECTION) as error:
            return Receipt(message.message_id, "failed", _failure(error), away=_is_away(error))

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
        """Hand a message over; once more on a new connection if a reused one had ended before the content left."""
        connection, reused = self._connection(idle=repeat)
        try:
            connection.hand_over(return_path, message.to, content)
            return Receipt(message.message_id, "sent")
        except (Refused, Broken) as error:
            if not (reused and repeat and _ended_early(error)):
                raise
            connection.usable = False
        finally:
            self._release(connection)
        return self._attempt(message, return_path, content, repeat=False)

    def _connection(self, idle: bool) -> tuple[Connection, bool]:
        """A connection, and whether it was used before: only where an idle one will do."""
        with contextlib.suppress(queue.Empty):
            if idle:
                return self._idle.get_nowait(), True
        with self._lock:
            if time.monotonic() < self._down_until:
                reason, away = self._down
                raise Down(reason, away=away)
        try:
            return Connection(self._settings, allow_private=self._allow_private), False
        except NO_CONNECTION as error:
            with self._lock:
                self._down_until = time.monotonic() + DOWN_SECONDS
                self._down = _failure(error), _is_away(error)
            raise

    def _release(self, connection: Connection) -> None:
        if connection.usable and not connection.is_worn:
            self._idle.put(connection)
        else:
            connection.quit()


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


def _is_away(error: BaseException) -> bool:
    """Whether no connection could be opened, for no reason that lies in the channel's settings."""
    if isinstance(error, Unresolved):
        return True
    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return error.smtp_code < PERMANENT
    return isinstance(error, smtplib.SMTPServerDisconnected | OSError) and not isinstance(
        error, ssl.SSLError | smtplib.SMTPResponseException | smtplib.SMTPNotSupportedError
    )


def _failure(error: BaseException) -> str:
    """What went wrong with a connection, in few words that hold no address and no secret."""
    if isinstance(error, Unresolved):
        return "mail server's name cannot be resolved"
    if isinstance(error, PrivateAddress):
        return "mail server has a private address, which is not allowed"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "mail server refused the login"
    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return f"mail server refused the connection {error.smtp_code}"
    if isinstance(error, ssl.SSLError):
        return "mail server has no valid certificate"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "mail server does not support what the channel asks for"
    if timed_out(error) or (isinstance(error, Broken) and error.silent):
        return "mail server did not answer in time"
    if isinstance(error, Broken):
        return "mail server ended the connection"
    return "mail server cannot be reached"
