"""A message as the bytes that go over SMTP."""

import hashlib
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from rapport.channels.messages import Message
from rapport.channels.settings import EmailSettings

# Quoted-printable or base64 rather than raw 8-bit: every server takes it and no relay rewrites it.
POLICY = SMTP.clone(cte_type="7bit")
SAFE_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}")
OURS = {"from", "to", "subject", "date", "message-id", "reply-to", "mime-version"}


def compose(message: Message, settings: EmailSettings, now: datetime) -> bytes:
    """The message with its headers; Message-ID follows from message_id, so that a repetition can be told."""
    domain = settings.from_address.rpartition("@")[2]
    mail = EmailMessage(policy=POLICY)
    mail["From"] = _address(settings.from_name, settings.from_address)
    mail["To"] = message.to
    mail["Subject"] = _line(message.subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_id(message.message_id)}@{domain}>"
    if settings.reply_to:
        mail["Reply-To"] = settings.reply_to
    for name, value in message.headers.items():
        if name.lower() not in OURS:
            mail[name] = _line(value)
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return mail.as_bytes()


def _address(name: str, address: str) -> Address | str:
    return Address(name, addr_spec=address) if name else address


def _id(message_id: str) -> str:
    """The left part of the Message-ID: the message's own id, or its digest when that cannot stand there."""
    return message_id if SAFE_ID.fullmatch(message_id) else hashlib.sha256(message_id.encode()).hexdigest()


def _line(text: str) -> str:
    """One line: a value never begins another header."""
    return " ".join(text.splitlines())
