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
from rapport.channels.messages import Message, Receipt
from rapport.channels.replies import SERVICE_CLOSING, UNSUPPORTED, Refused, Stage, receipt_of
from rapport.channels.settings import EmailSettings
from rapport.errors import Invalid, Unavailable
from rapport.settings import Settings
from rapport.stores.addresses import Unresolved, resolve_public
from rapport.stores.clock import Clock

# After a connection could not be opened, messages of the next seconds fail at once instead of waiting in line.
DOWN_SECONDS = 2.0
MESSAGES_PER_CONNECTION = 1000
# As a server would answer that takes no addresses in other letters than ASCII (RFC 6531).
NO_OTHER_LETTERS = (553, f"{UNSUPPORTED} non-ASCII address")


def effective(channel: EmailSettings, server: Settings) -> EmailSettings:
    """A channel's settings with the server's own mail settings where the channel has none. Raises Invalid.

    A host that a tenant chose must be public; the operator's own may be anywhere.
    """
    filled = channel.model_copy(update={"from_address": channel.from_address or server.mail_from})
    if channel.host:
        host = f"[{channel.host}]" if ":" in channel.host else channel.host
        try:
            address = resolve_public(f"http://{host}:{channel.port}", server.allow_private_addresses)
        except Unresolved:
            return filled
        except Invalid as error:
            raise Invalid("settings.host leads to a private address, which this server does not use.") from error
        return filled if channel.security != "none" else filled.model_copy(update={"host": address})
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


class Connection:
    """One SMTP connection. usable turns False after anything that leaves its state in doubt."""

    def __init__(self, settings: EmailSettings) -> None:
        self.sent = 0
        self.usable = True
        where = (settings.host, settings.port)
        tls = ssl.create_default_context() if settings.security != "none" else None
        if settings.security == "tls":
            self._smtp: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=settings.timeout_seconds, context=tls)
        else:
            self._smtp = smtplib.SMTP(*where, timeout=settings.timeout_seconds)
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
            # smtplib hides the network's error behind one of its own.
            silent = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
            raise Broken(stage, silent) from error
        self.sent += 1

    @staticmethod
    def _expect(stage: Stage, code: int, text: bytes) -> None:
        if code not in (250, 251, 252):
            raise Refused(stage, code, text)

    def _reset(self) -> None:
        try:
            self.usable = self._smtp.rset()[0] == 250
        except (smtplib.SMTPException, OSError):
            self.usable = False

    def quit(self) -> None:
        """Leave politely, or at least leave."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if self.usable:
                self._smtp.quit()
        self._smtp.close()


class EmailTransport:
    """Sends over at most `connections` connections; takes the next message only when one of them is free."""

    def __init__(self, channel: EmailSettings, server: Settings, clock: Clock) -> None:
        self._settings = effective(channel, server)
        self._clock = clock
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._workers = ThreadPoolExecutor(self._settings.connections, "smtp")
        self._lock = threading.Lock()
        self._down_until = 0.0

    def send(self, messages: Iterable[Message]) -> Iterator[Receipt]:
        """One receipt a message, as each is decided. Messages are drawn only as fast as they leave."""
        for receipts in self.send_many(messages):
            yield from receipts

    def send_many(self, messages: Iterable[Message]) -> Iterator[list[Receipt]]:
        """Receipts together that were decided meanwhile, at most one a connection.

        No more messages are under way or decided without having been given out than there are connections.
        """
        decided: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        waiting = 0
        for message in messages:
            if waiting == self._settings.connections:
                receipts = _all_of(decided)
                yield receipts
                waiting -= len(receipts)
            self._workers.submit(self._decide, message, decided)
            waiting += 1
        while waiting:
            receipts = _all_of(decided)
            yield receipts
            waiting -= len(receipts)

    def check(self) -> None:
        """Connect, log in and leave. Raises Unavailable."""
        try:
            Connection(self._settings).quit()
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"The mail server cannot be used: {_failure(error)}.") from error

    def close(self) -> None:
        """Let messages in flight end, then leave every connection."""
        self._workers.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get_nowait().quit()

    def _decide(self, message: Message, decided: "queue.SimpleQueue[Receipt]") -> None:
        try:
            decided.put(self._deliver(message))
        except Exception as error:  # a receipt is owed for every message, whatever happens
            decided.put(Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}"))

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
        except (Broken, smtplib.SMTPException, OSError) as error:
            return Receipt(message.message_id, "failed", _failure(error))

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
                raise ConnectionError("mail server down")
        try:
            return Connection(self._settings), False
        except (smtplib.SMTPException, OSError):
            with self._lock:
                self._down_until = time.monotonic() + DOWN_SECONDS
            raise

    def _release(self, connection: Connection) -> None:
        if connection.usable and connection.sent < MESSAGES_PER_CONNECTION:
            self._idle.put(connection)
        else:
            connection.quit()


def _all_of(decided: "queue.SimpleQueue[Receipt]") -> list[Receipt]:
    """At least one receipt, for which it waits, and those that are there too."""
    receipts = [decided.get()]
    with contextlib.suppress(queue.Empty):
        while True:
            receipts.append(decided.get_nowait())
    return receipts


def _ended_early(error: Refused | Broken) -> bool:
    """Whether a connection had ended before any content was handed over, as servers do with idle ones."""
    if isinstance(error, Refused):
        return error.code == SERVICE_CLOSING and error.stage is not Stage.CONTENT
    return error.stage is not Stage.CONTENT


def _failure(error: BaseException) -> str:
    """What went wrong with a connection, in few words that hold no address and no secret."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "mail server refused the login"
    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError):
        return f"mail server refused the connection {error.smtp_code}"
    if isinstance(error, ssl.SSLError):
        return "mail server has no valid certificate"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "mail server does not support what the channel asks for"
    if isinstance(error, TimeoutError) or (isinstance(error, Broken) and error.silent):
        return "mail server did not answer in time"
    if isinstance(error, Broken):
        return "mail server ended the connection"
    return "mail server cannot be reached"
