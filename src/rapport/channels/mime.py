"""A message as the bytes that go over SMTP.

The standard library's EmailMessage takes some milliseconds a message, most of them to parse headers
that are known to be well formed; written out directly it is a fortieth of that.
"""

import hashlib
import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from rapport.channels.messages import AttachedFile, Message
from rapport.channels.provider_headers import token_headers
from rapport.channels.routes import Route

SAFE_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}")
HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
LINE_ENDS = "\r\n"
LONGEST_LINE = 900
# An encoded word has 75 characters at most, and no line with one more than 76 (RFC 2047, 2).
ENCODED_WORD = "=?utf-8?b?{}?="
LONGEST_WORD, LONGEST_ENCODED_LINE = 75, 76
LONGEST_SUBJECT = 1000  # characters, the rest is cut off: servers refuse a message for the size of its headers
OURS = frozenset(
    {"from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "bcc", "cc", "dkim-signature"}
)
OURS_BEGINNING = "content-"
# Neither quoted-printable nor base64 ever holds "=_" (RFC 2045, 6.7 and 6.8), so no content can hold a boundary.
BOUNDARY, FILES_BOUNDARY = "=_rapport_part", "=_rapport_file"
BASE64_LINE = 76
# What may only stand in a message as it is (RFC 2045, 6.4), so that a file of such a type goes as plain bytes.
NEVER_ENCODED, BYTES = ("multipart/", "message/"), "application/octet-stream"
Headers = list[tuple[str, str]]
Sign = Callable[[Headers, bytes], Headers]
TEXT_HEADERS: dict[str, Headers] = {
    subtype: [
        ("Content-Type", f"text/{subtype}; charset=utf-8"),
        ("Content-Transfer-Encoding", "quoted-printable"),
    ]
    for subtype in ("plain", "html")
}
MULTIPART_HEADERS: Headers = [("Content-Type", f'multipart/alternative; boundary="{BOUNDARY}"')]
MIXED_HEADERS: Headers = [("Content-Type", f'multipart/mixed; boundary="{FILES_BOUNDARY}"')]
PART_HEADS = {
    subtype: "".join([f"--{BOUNDARY}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]).encode()
    for subtype, headers in TEXT_HEADERS.items()
}
LAST_BOUNDARY = f"--{BOUNDARY}--\r\n".encode()


def compose(message: Message, route: Route, now: datetime, sign: Sign | None = None) -> bytes:
    """The message with its headers; Message-ID follows from message_id, so that a repetition can be told.

    All of it is ASCII but for a recipient in other letters, which only goes to servers with SMTPUTF8 (RFC 6532).
    sign answers, of the headers and the body, the headers to put before them.
    """
    domain = route.from_address.rpartition("@")[2]
    of_content, body = _content(message)
    headers = {
        "From": _sender(_line(route.from_name), route.from_address),
        "To": message.to,
        "Subject": _encoded("Subject", _line(message.subject)[:LONGEST_SUBJECT]),
        "Date": format_datetime(now),
        "Message-ID": f"<{_id(message.message_id)}@{domain}>",
        "MIME-Version": "1.0",
    }
    if route.reply_to:
        headers["Reply-To"] = route.reply_to
    headers |= token_headers(route.provider, message.return_token)
    for name, value in message.headers.items():
        if HEADER_NAME.fullmatch(name) and name.lower() not in OURS and not name.lower().startswith(OURS_BEGINNING):
            headers[name] = _encoded(name, _line(value))
    written = [*headers.items(), *of_content]
    signatures = sign(written, body) if sign else []
    head = "".join(f"{name}: {value}{LINE_ENDS}" for name, value in [*signatures, *written])
    return f"{head}{LINE_ENDS}".encode() + body


def _sender(name: str, address: str) -> str:
    """A sender with its name, whose words are folded when they are not plain ASCII (RFC 2047, 2)."""
    if name.isascii() and "=?" not in name:
        return formataddr((name, address))
    return f"{_words('From', name)}{LINE_ENDS} <{address}>"


def _content(message: Message) -> tuple[Headers, bytes]:
    """The headers that say what a message's content is, and the content."""
    if not message.attachments:
        return _texts(message)
    of_texts, texts = _texts(message)
    head = "".join(f"{name}: {value}{LINE_ENDS}" for name, value in of_texts)
    parts = [f"{head}{LINE_ENDS}".encode() + texts, *map(_file, message.attachments)]
    joined = b"".join(f"--{FILES_BOUNDARY}{LINE_ENDS}".encode() + part for part in parts)
    return MIXED_HEADERS, joined + f"--{FILES_BOUNDARY}--{LINE_ENDS}".encode()


def _file(attached: AttachedFile) -> bytes:
    """A file: its headers, which the library folds, names in other letters too (RFC 2231), and its content."""
    content_type = BYTES if attached.content_type.lower().startswith(NEVER_ENCODED) else attached.content_type
    part = EmailMessage(policy=SMTP)
    part["Content-Type"] = content_type
    part["Content-Transfer-Encoding"] = "base64"
    part.add_header("Content-Disposition", "attachment", filename=_line(attached.file_name))
    content = attached.content
    lines = LINE_ENDS.join(content[begin : begin + BASE64_LINE] for begin in range(0, len(content), BASE64_LINE))
    return part.as_bytes() + f"{lines}{LINE_ENDS}".encode("ascii")


def _texts(message: Message) -> tuple[Headers, bytes]:
    """The same of the words alone."""
    if not message.html:
        return TEXT_HEADERS["plain"], _printable(message.text)
    parts = [("plain", message.text), ("html", message.html)]
    joined = b"".join(PART_HEADS[subtype] + _printable(content) for subtype, content in parts)
    return MULTIPART_HEADERS, joined + LAST_BOUNDARY


def _printable(content: str) -> bytes:
    """A text in quoted-printable, which every server takes."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    return b2a_qp(lines.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n") + b"\r\n"


def _id(message_id: str) -> str:
    """The left part of the Message-ID: the message's own id, or its digest when that cannot stand there."""
    return message_id if SAFE_ID.fullmatch(message_id) else hashlib.sha256(message_id.encode()).hexdigest()


def _line(text: str) -> str:
    """One line without control characters: a value never begins another header."""
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _encoded(name: str, value: str) -> str:
    """A header's value in ASCII (RFC 2047), folded when it is long."""
    if value.isascii() and "=?" not in value and len(value) <= LONGEST_LINE:
        return value
    return _words(name, value)


def _words(name: str, value: str) -> str:
    """A text as encoded words in base64, folded; no letter is divided between two words.

    The standard library's Header takes some milliseconds, most of them to weigh up where to fold.
    """
    words: list[str] = []
    room, octets = _room(LONGEST_ENCODED_LINE - len(f"{name}: ")), b""
    for letter in value:
        of_letter = letter.encode("utf-8", "replace")
        if len(octets) + len(of_letter) > room:
            words.append(_word(octets))
            room, octets = _room(LONGEST_WORD), b""
        octets += of_letter
    return f"{LINE_ENDS} ".join([*words, _word(octets)])


def _room(width: int) -> int:
    """How many bytes an encoded word of at most so many characters holds."""
    return max((min(width, LONGEST_WORD) - len(ENCODED_WORD.format(""))) // 4 * 3, 0)


def _word(octets: bytes) -> str:
    return ENCODED_WORD.format(b2a_base64(octets, newline=False).decode("ascii"))
