"""One SMTP connection: opened as its settings say, and used for one message after the other."""

import contextlib
import re
import smtplib
import ssl
import time

from rapport.channels.plain_addresses import PLAIN_ADDRESS
from rapport.channels.replies import UNSUPPORTED, Refused, Stage
from rapport.channels.routes import Route
from rapport.channels.smtp import CheckedSMTP

MESSAGES_PER_CONNECTION, SECONDS_PER_CONNECTION = 1000, 600.0
# As a server would answer that takes no addresses in other letters than ASCII (RFC 6531).
NO_OTHER_LETTERS = (553, f"{UNSUPPORTED} non-ASCII address")
# Codes of success; of one that has no meaning of its own the first digit tells (RFC 5321, 4.3.2).
TAKEN = range(200, 300)
GO_AHEAD = 354
LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class Broken(Exception):
    """A connection that ended or fell silent at a stage of the dialogue."""

    def __init__(self, stage: Stage, *, silent: bool) -> None:
        super().__init__(stage.value)
        self.stage = stage
        self.silent = silent


class Connection:
    """One SMTP connection. usable turns False after anything that leaves its state in doubt."""

    def __init__(self, route: Route) -> None:
        self.usable = True
        self._sent, self._opened = 0, time.monotonic()
        tls = _tls(route.security)
        self._smtp = CheckedSMTP(route, tls)
        try:
            self._smtp.ehlo_or_helo_if_needed()
            opportunistic = route.security == "opportunistic"
            offered = self._smtp.has_extn("starttls")
            if route.security == "starttls" or (opportunistic and offered):
                self._smtp.starttls(context=tls)
                self._smtp.ehlo_or_helo_if_needed()
            if route.username:
                if opportunistic and not offered:
                    raise smtplib.SMTPNotSupportedError
                self._smtp.login(route.username, route.password)
        except BaseException:
            self._smtp.close()
            raise

    def hand_over(self, return_path: str, to: str, content: bytes) -> None:
        """Send one message. Raises Refused for an answer that is no success, Broken for none; both with the stage."""
        stage = Stage.SENDER
        self._smtp.begin()
        try:
            options = self._options(to, content)
            if self._smtp.has_extn("pipelining"):
                self._envelope_at_once(return_path, options, to)
                stage = Stage.CONTENT
                self._smtp.send(_stuffed(content))
                self._expect(stage, *self._smtp.getreply())
            else:
                self._expect(stage, *self._smtp.mail(return_path, options))
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
            raise Broken(stage, silent=timed_out(error)) from error
        self._sent += 1

    def _options(self, to: str, content: bytes) -> list[str]:
        """What the sender's command says of a message. Raises Refused where the server cannot take its letters."""
        if not to.isascii() and not self._smtp.has_extn("smtputf8"):
            raise Refused(Stage.RECIPIENT, *NO_OTHER_LETTERS)
        options = [] if to.isascii() else ["SMTPUTF8"]
        if not content.isascii() and self._smtp.has_extn("8bitmime"):
            options.append("BODY=8BITMIME")
        return options

    def _envelope_at_once(self, return_path: str, options: list[str], to: str) -> None:
        """Sender, recipient and the announcement of the content in one go (RFC 2920): one wait instead of three.

        A server that wants the content although it refused the envelope gets no more on this connection.
        """
        mail = " ".join([f"MAIL FROM:{_path(return_path)}", *options])
        lines = [mail, f"RCPT TO:{_path(to)}", "DATA"]
        if any(end in line for line in lines for end in "\r\n"):
            raise ValueError("an address must be one line")
        self._smtp.send("".join(f"{line}\r\n" for line in lines).encode())
        refusal: Refused | None = None
        try:
            for stage in (Stage.SENDER, Stage.RECIPIENT):
                code, text = self._smtp.getreply()
                if code not in TAKEN:
                    refusal = refusal or Refused(stage, code, text)
            content_code, content_text = self._smtp.getreply()
        except (smtplib.SMTPException, OSError):
            if refusal is None:
                raise
            self.usable = False  # it has ended the connection after it had refused
            raise refusal from None
        if refusal is not None:
            self.usable = content_code != GO_AHEAD
            raise refusal
        if content_code != GO_AHEAD:
            raise Refused(Stage.CONTENT, content_code, content_text)

    @staticmethod
    def _expect(stage: Stage, code: int, text: bytes) -> None:
        if code not in TAKEN:
            raise Refused(stage, code, text)

    @property
    def is_worn(self) -> bool:
        """Whether it has served long enough: servers limit what they take on one connection."""
        old = time.monotonic() - self._opened > SECONDS_PER_CONNECTION
        return old or self._sent >= MESSAGES_PER_CONNECTION

    def _reset(self) -> None:
        if not self.usable:
            return
        try:
            self.usable = self._smtp.rset()[0] in TAKEN
        except (smtplib.SMTPException, OSError):
            self.usable = False

    def quit(self) -> None:
        """Leave politely, or at least leave."""
        with contextlib.suppress(smtplib.SMTPException, OSError):
            if self.usable:
                self._smtp.begin(waits=1)
                self._smtp.quit()
        self._smtp.close()


def _tls(security: str) -> ssl.SSLContext | None:
    """How connections are encrypted: with a valid certificate, or opportunistically with any (RFC 7435)."""
    if security == "none":
        return None
    if security != "opportunistic":
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _path(address: str) -> str:
    """An address as commands name it; smtplib takes some time to read what is no plain address."""
    return f"<{address}>" if PLAIN_ADDRESS.match(address) else smtplib.quoteaddr(address)


def _stuffed(content: bytes) -> bytes:
    """A message as it follows DATA, with the line that ends it (RFC 5321, 4.5.2)."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    dotted = content if b"\n." not in content and content[:1] != b"." else LEADING_DOT.sub(b"..", content)
    return dotted + end + b".\r\n"


def timed_out(error: BaseException) -> bool:
    """smtplib hides the network's error behind one of its own."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
