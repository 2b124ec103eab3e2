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
from rapport.channels.messages import Message, Receipt, count
from rapport.channels.replies import PERMANENT, SERVICE_CLOSING, UNSUPPORTED, Refused, Stage, receipt_of
from rapport.channels.settings import EmailSettings
from rapport.channels.smtp import CheckedSMTP
from rapport.errors import Invalid, Unavailable
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.outside.addresses import PrivateAddress, Unresolved

# After a connection could not be opened, messages of the next seconds fail at once instead of waiting in line.
DOWN_SECONDS = 2.0
# For so long receipts are gathered before they are given out.
GATHERED_SECONDS = 0.05
MESSAGES_PER_CONNECTION, SECONDS_PER_CONNECTION = 1000, 600.0
# As a server would answer that takes no addresses in other letters than ASCII (RFC 6531).
NO_OTHER_LETTERS = (553, f"{UNSUPPORTED} non-ASCII address")
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


class Broken(Exception):
    """A connection that ended or fell silent at a stage of the dialogue."""

    def __init__(self, stage: Stage, silent: bool) -> None:
        super().__init__(stage.value)
        self.stage = stage
        self.silent = silent


class Down(Exception):
    """A mail server to which no connection could be opened a moment ago; away as in Receipt."""

    def __init__(self, reason: str, away: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


class Connection:
    """One SMTP connection. usable turns False after anything that leaves its state in doubt.

    A host that a tenant chose must be public unless allow_private; the operator's own may be anywhere.
    """

    def __init__(self, settings: EmailSettings, allow_private: bool) -> None:
        self.usable = True
        self._sent, self._opened = 0, time.monotonic()
        tls = ssl.create_default_context() if settings.security != "none" else None
        self._smtp = CheckedSMTP(settings, tls, allow_private)
        try:
            if settings.security == "starttls":
                self._smtp.starttls(context=tls)
            self._smtp.ehlo_or_helo_if_needed()
            if settings.username:
                self._smtp.login(settings.username, settings.password)
        except BaseException:
            self._smtp.close()
            raise

    def hand_over(self, sender: str, to: str, content: bytes) -> None:
        """Send one message. Raises Refused for an answer that is no success, Broken for none; both with the stage."""
        stage = Stage.SENDER
        self._smtp.begin()
        try:
            international = () if to.isascii() else ("SMTPUTF8",)
            if international and not self._smtp.has_extn("smtputf8"):
                raise Refused(Stage.RECIPIENT, *NO_OTHER_LETTERS)
            self._expect(stage, *self._smtp.mail(sender, international))
            stage = Stage.RECIPIENT
            self._expect(stage, *self._smtp.rcpt(to))
            stage = Stage.CONTENT
            self._expect(stage, *self._smtp.data(content))
        except Refused:
            self._reset()
            raise
        except smtplib.SMTPDataError as error:
            self._reset()
            raise Refused(stage, error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            self.usable = False
            raise Broken(stage, _timed_out(error)) from error
        self._sent += 1

    @staticmethod
    def _expect(stage: Stage, code: int, text: bytes) -> None:
        if code not in (250, 251, 252):
            raise Refused(stage, code, text)

    @property
    def is_worn(self) -> bool:
        """Whether it has served long enough: servers limit what they take on one connection."""
        old = time.monotonic() - self._opened > SECONDS_PER_CONNECTION
        return old or self._sent >= MESSAGES_PER_CONNECTION

    def _reset(self) -> None:
        try:
            self.usable = self._smtp.rset()[0] == 250
        except (smtplib.SMTPException, OSError):
            self.usable = False

    def quit(self) -> None:
        """Leave politely, or at least leave."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if self.usable:
                self._smtp.begin(waits=1)
                self._smtp.quit()
        self._smtp.close()


class EmailTransport:
    """Sends over at most `connections` connections; takes the next message only when one of them is free."""

    def __init__(self, channel: EmailSettings, server: Settings, clock: Clock) -> None:
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
            Connection(self._settings, self._allow_private).quit()
        except NO_CONNECTION as error:
            raise Unavailable(f"The mail server cannot be used: {_failure(error)}.") from error

    def close(self) -> None:
        """Let messages in flight end, then leave every connection."""
        self._workers.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get_nowait().quit()

    def _decide(self, message: Message, decided: "queue.SimpleQueue[Receipt]") -> None:
        try:
            receipt = self._deliver(message)
        except Exception as error:  # a receipt is owed for every message, whatever happens
            receipt = Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}")
        count("email", receipt.became)
        decided.put(receipt)

    def _deliver(self, message: Message) -> Receipt:
        try:
            message = replace(message, to=recipient(message.to))
        except ValueError:
            return Receipt(message.message_id, "failed", "not an e-mail address", True)
        try:
            content = mime.compose(message, self._settings, self._clock.now())
        except ValueError as error:  # what cannot be written down now cannot be later
            return Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}", True)
        try:
            return self._attempt(message, content, repeat=True)
        except Refused as refused:
            return receipt_of(message.message_id, refused)
        except Down as down:
            return Receipt(message.message_id, "failed", down.reason, away=down.away)
        except (Broken, *NO_CONNECTION) as error:
            return Receipt(message.message_id, "failed", _failure(error), away=_is_away(error))

    def _attempt(self, message: Message, content: bytes, repeat: bool) -> Receipt:
        """Hand a message over; once more on a new connection if a reused one had ended before the content left."""
        connection, reused = self._connection(idle=repeat)
        try:
            connection.hand_over(self._settings.from_address, message.to, content)
            return Receipt(message.message_id, "sent")
        except (Refused, Broken) as error:
            if not (reused and repeat and _ended_early(error)):
                raise
            connection.usable = False
        finally:
            self._release(connection)
        return self._attempt(message, content, repeat=False)

    def _connection(self, idle: bool) -> tuple[Connection, bool]:
        """A connection, and whether it was used before: only where an idle one will do."""
        with contextlib.suppress(queue.Empty):
            if idle:
                return self._idle.get_nowait(), True
        with self._lock:
            if time.monotonic() < self._down_until:
                raise Down(*self._down)
        try:
            return Connection(self._settings, self._allow_private), False
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


def _timed_out(error: BaseException) -> bool:
    """smtplib hides the network's error behind one of its own."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


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
    if _timed_out(error) or (isinstance(error, Broken) and error.silent):
        return "mail server did not answer in time"
    if isinstance(error, Broken):
        return "mail server ended the connection"
    return "mail server cannot be reached"
