"""What went wrong with a connection to a mail server: in words, and whether the server is away for now."""

import smtplib
import ssl

from rapport.channels.connections import Broken, timed_out
from rapport.channels.replies import PERMANENT
from rapport.channels.smtp import NoReply
from rapport.hosts import PrivateAddress, Unresolved

# Why no connection could be opened.
NO_CONNECTION = (smtplib.SMTPException, OSError, Unresolved, PrivateAddress)
# A handshake that ended: it says nothing about certificates.
CUT_OFF = ssl.SSLEOFError | ssl.SSLZeroReturnError


def is_away(error: BaseException) -> bool:
    """Whether no connection could be opened, for no reason that lies in the channel's settings.

    A server that refuses for now (4xx) whatever it is asked before a message is away, too.
    """
    if isinstance(error, Unresolved | CUT_OFF):
        return True
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code < PERMANENT
    return isinstance(error, smtplib.SMTPServerDisconnected | OSError) and not isinstance(
        error, ssl.SSLError | smtplib.SMTPNotSupportedError
    )


def failure(error: BaseException) -> str:
    """What went wrong with a connection, in few words that hold no address and no secret."""
    if isinstance(error, Unresolved):
        return "mail server's name cannot be resolved"
    if isinstance(error, PrivateAddress):
        return "mail server has a private address, which is not allowed"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "mail server refused the login" + (" for now" if is_away(error) else "")
    if isinstance(error, smtplib.SMTPResponseException):
        return f"mail server refused the connection {error.smtp_code}"
    if isinstance(error, ssl.SSLError) and not isinstance(error, CUT_OFF):
        return "mail server has no valid certificate"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "mail server does not support what the channel asks for"
    if timed_out(error) or (isinstance(error, Broken) and error.silent):
        return "mail server did not answer in time"
    if isinstance(error, Broken):
        return "mail server ended the connection"
    if isinstance(error, NoReply):
        return "mail server does not answer according to SMTP"
    return "mail server cannot be reached"
