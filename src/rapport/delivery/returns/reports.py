"""What a mail that came in says of messages that were sent: delivery reports, complaints, and bounces of other forms.

Delivery reports are read as RFC 3464 has it, one result for each recipient; complaints as RFC 5965 has it. Servers that
write neither are read by the header X-Failed-Recipients and by the codes in their text. Answers of people and programs
(out of office) are none of these and say nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

from rapport.channels.provider_headers import OWN
from rapport.channels.returned import STATUS_IN_TEXT, classify
from rapport.delivery.models import MailEventKind
from rapport.messaging.tracking.tokens import RETURN_TOKEN

CODE = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
# What programs call themselves that send a bounce, and what they call it.
BOUNCING_SENDER = re.compile(r"mailer[-_]?daemon|postmaster|mail delivery|mail administrator", re.IGNORECASE)
BOUNCING_SUBJECT = re.compile(
    r"undeliver|returned mail|delivery (status|failure|problem|has failed)|failure notice|mail delivery failed|"
    r"could not be delivered|delivery incomplete|delayed mail",
    re.IGNORECASE,
)
DELAYED = re.compile(r"delayed|delivery incomplete|will (be )?(retr|continue)|not yet been delivered", re.IGNORECASE)
# Separates a token from what a server puts before it in an address.
SEPARATOR = re.compile(r"[-+=.]")
TEXT_LENGTH = 20_000


@dataclass(frozen=True, slots=True)
class MailReport:
    """What is said of a message: its token in lower case, what happened, and the status as far as there is one."""

    token: str
    kind: MailEventKind
    detail: str = ""


def token_of_address(address: str) -> str:
    """The token in the local part of an address that mail comes back to; empty for an address without one."""
    last = SEPARATOR.split(address.rpartition("@")[0])[-1]
    return last.lower() if RETURN_TOKEN.fullmatch(last) else ""


def reports(content: bytes, recipients: list[str], sender: str) -> list[MailReport]:
    """What a mail says, by its content, the addresses that it was sent to, and its envelope sender."""
    mail = message_from_bytes(content, policy=policy.default)
    tokens = [token for address in recipients if (token := token_of_address(address))]
    original = _token_of_original(mail)
    if complaint := _part(mail, "message/feedback-report"):
        return _complaints(complaint, original, tokens)
    if status := _part(mail, "message/delivery-status"):
        return list(_delivery_reports(status, tokens or original, _text(mail)))
    return _other_bounce(mail, tokens or original, sender)


def _complaints(report: Message, original: list[str], tokens: list[str]) -> list[MailReport]:
    """A complaint in the Abuse Reporting Format; other feedback, such as "not-spam", says nothing."""
    fields = next(iter(_blocks(report)), None)
    if fields is None or str(fields.get("Feedback-Type", "")).strip().lower() not in ("abuse", "fraud", "virus"):
        return []
    sender = token_of_address(str(fields.get("Original-Mail-From", "")).strip(" <>"))
    named = [sender] if sender else original or tokens
    return [MailReport(token, MailEventKind.COMPLAINT) for token in named]


def _delivery_reports(status: Message, tokens: list[str], text: str) -> Iterator[MailReport]:
    """The results of a delivery report. The first block is about the message, each of the others about a recipient.

    Each of our messages has one recipient, so several blocks are about one message: it has come back when none of them
    says that it arrived.
    """
    results = [fields for fields in _blocks(status) if fields.get("Action") or fields.get("Status")]
    failed = [fields for fields in results if _action(fields) == "failed"]
    if failed and not any(_action(fields) in ("delivered", "relayed", "expanded") for fields in results):
        kinds = dict(_failure(fields, text) for fields in failed)
        # The worst is not taken: what is said of another address, to which it was forwarded, is nothing about this one.
        kind = MailEventKind.PERMANENT if set(kinds) == {MailEventKind.PERMANENT} else _mildest(kinds)
        for token in tokens:
            yield MailReport(token, kind, kinds[kind])


def _mildest(kinds: dict[MailEventKind, str]) -> MailEventKind:
    return next(
        kind for kind in (MailEventKind.BLOCK, MailEventKind.TEMPORARY, MailEventKind.PERMANENT) if kind in kinds
    )


def _failure(fields: Message, text: str) -> tuple[MailEventKind, str]:
    status = STATUS_IN_TEXT.search(str(fields.get("Status", "")))
    diagnostic = str(fields.get("Diagnostic-Code", ""))
    by_server = STATUS_IN_TEXT.search(diagnostic)
    # Gateways write 5.0.0 of their own where the server that refused said more.
    best = by_server if by_server and (not status or status[1].endswith(".0.0")) else status
    code = CODE.search(diagnostic)
    kind = classify(best[1] if best else "", int(code[1]) if code else 0, diagnostic or text)
    return MailEventKind(kind), best[1] if best else ""


def _other_bounce(mail: EmailMessage, tokens: list[str], sender: str) -> list[MailReport]:
    """A bounce in no standard form. What is only delayed has not come back, and people's answers are no bounces."""
    subject = str(mail.get("Subject", ""))
    from_program = BOUNCING_SENDER.search(str(mail.get("From", ""))) or not (sender.strip(" <>") or _is_answer(mail))
    if "X-Failed-Recipients" not in mail and not (from_program and BOUNCING_SUBJECT.search(subject)):
        return []
    text = _text(mail)
    status, code = STATUS_IN_TEXT.search(text), CODE.search(text)
    if DELAYED.search(subject) or (not (status or code) and DELAYED.search(text)):
        return []
    kind = classify(status[1] if status else "", int(code[1]) if code else 500, text)
    return [MailReport(token, MailEventKind(kind), status[1] if status else "") for token in tokens]


def _is_answer(mail: EmailMessage) -> bool:
    """Whether a mail says that it answers by itself for a person; programs that bounce may say so, too."""
    return str(mail.get("Auto-Submitted", "")).lower().startswith("auto-replied") or "X-Autoreply" in mail


def _action(fields: Message) -> str:
    action = str(fields.get("Action", "")).strip().lower()
    return action or ("failed" if str(fields.get("Status", "")).strip().startswith("5") else "")


def _blocks(part: Message) -> list[Message]:
    """The blocks of fields in a part of a report."""
    payload = part.get_payload()
    blocks = payload if isinstance(payload, list) else [message_from_bytes(str(payload).encode())]
    return [block for block in blocks if isinstance(block, Message)]


def _part(mail: Message, content_type: str) -> Message | None:
    return next((part for part in mail.walk() if part.get_content_type() == content_type), None)


def _token_of_original(mail: Message) -> list[str]:
    """The token in the header of the original message that a report has, whole or its header only."""
    for part in mail.walk():
        if part is not mail and part.get(OWN) and RETURN_TOKEN.fullmatch(str(part[OWN]).strip()):
            return [str(part[OWN]).strip().lower()]
        if part.get_content_type() in ("text/rfc822-headers", "text/plain"):
            match = re.search(f"^{OWN}:[ \t]*(\\S+)", _decoded(part), re.IGNORECASE | re.MULTILINE)
            if match and RETURN_TOKEN.fullmatch(match[1]):
                return [match[1].lower()]
    return []


def _text(mail: Message) -> str:
    """The beginning of what a mail says to people, without the message that it returns."""
    for part in mail.walk():
        if part.get_content_type() == "text/plain":
            text = _decoded(part)[:TEXT_LENGTH]
            # Servers that write no report put the message behind a line such as "This is a copy of the message".
            return re.split(r"^-{3,}.*(?:copy|original|below).*$|^Return-Path:", text, maxsplit=1, flags=re.I | re.M)[0]
    return ""


def _decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
