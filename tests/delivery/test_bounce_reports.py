"""Delivery reports, complaints and bounces in other forms, as mail servers write them."""

from email.message import EmailMessage

import pytest

from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.reports import MailReport, reports, token_of_address

TOKEN = "aebagbadvqdqeyl4qmk5r2cfmb2xaqbqgazdgnbv"
OTHER = TOKEN[::-1]
RETURN_PATH = f"bounce+{TOKEN.upper()}@bounces.shop.example"
PERMANENT, TEMPORARY, BLOCK = MailEventKind.PERMANENT, MailEventKind.TEMPORARY, MailEventKind.BLOCK


def report_of(kind: str, headers: str, *parts: tuple[str, str]) -> bytes:
    """A multipart/report of parts, each with its type and content."""
    whole = "".join(f"--b\nContent-Type: {content_type}\n\n{content}\n" for content_type, content in parts)
    return (
        f"{headers}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="b"\n\n{whole}--b--\n'
    ).encode()


def delivery_report(*blocks: str, original: str = "Subject: Hi\n") -> bytes:
    """A report as RFC 3464 has it: a text for people, the results, and the header of the original."""
    headers = "From: MAILER-DAEMON@mx.example (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender"
    results = "\n\n".join(["Reporting-MTA: dns; mx.example\nArrival-Date: Tue, 10 Mar 2026 08:00:00 +0100", *blocks])
    return report_of(
        "delivery-status",
        headers,
        ("text/plain", "I'm sorry to have to inform you that your message could not be delivered."),
        ("message/delivery-status", f"{results}\n"),
        ("text/rfc822-headers", original),
    )


def block(action: str, status: str, diagnostic: str = "", recipient: str = "ann@example.com") -> str:
    lines = [f"Final-Recipient: rfc822; {recipient}", f"Original-Recipient: rfc822;{recipient}", f"Action: {action}"]
    lines += [f"Status: {status}"] + ([f"Diagnostic-Code: smtp; {diagnostic}"] if diagnostic else [])
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("blocks", "kinds"),
    [
        ([block("failed", "5.1.1", "550 5.1.1 <ann@example.com>: User unknown")], [PERMANENT]),
        ([block("failed", "5.0.0", "550 5.1.1 no such user")], [PERMANENT]),
        ([block("failed", "5.2.2", "552 5.2.2 Mailbox full")], [TEMPORARY]),
        ([block("failed", "4.4.7")], [TEMPORARY]),
        ([block("failed", "5.7.1", "550 5.7.1 blocked using zen.spamhaus.org")], [BLOCK]),
        ([block("delayed", "4.4.1", "connection timed out")], []),
        ([block("delivered", "2.0.0")], []),
        ([block("relayed", "2.0.0"), block("failed", "5.1.1", recipient="b@example.net")], []),
        ([block("failed", "5.1.1"), block("failed", "5.2.2", recipient="b@example.net")], [TEMPORARY]),
        ([block("failed", "5.1.1"), block("failed", "5.1.1", recipient="b@example.net")], [PERMANENT]),
        (["Final-Recipient: rfc822; ann@example.com\nStatus: 5.1.1"], [PERMANENT]),
    ],
)
def test_delivery_reports(blocks: list[str], kinds: list[MailEventKind]) -> None:
    said = reports(delivery_report(*blocks), [RETURN_PATH], "")
    assert [report.kind for report in said] == kinds
    assert all(report.token == TOKEN for report in said)


def test_a_report_to_another_address_names_its_message_by_the_original() -> None:
    original = f"From: shop@example.com\nX-Rapport-Message: {TOKEN}\nSubject: Hi\n"
    content = delivery_report(block("failed", "5.1.1"), original=original)
    assert reports(content, ["postmaster@bounces.shop.example"], "") == [MailReport(TOKEN, PERMANENT, "5.1.1")]
    assert reports(delivery_report(block("failed", "5.1.1")), ["postmaster@bounces.shop.example"], "") == []


def plain(subject: str, text: str, **headers: str) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = headers.pop("sender", "Mail Delivery System <MAILER-DAEMON@mx.example>"), subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()


QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.com>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <shop@example.com>
Subject: 450 reasons to be happy
"""
EXIM = """This message was created automatically by mail delivery software.
A message that you sent could not be delivered to one or more of its recipients.

  ann@example.com
    host mx.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ann@example.com>:
    552 mailbox is over quota
"""


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (plain("failure notice", QMAIL), [PERMANENT]),
        (
            plain("Mail delivery failed: returning message to sender", EXIM, X_Failed_Recipients="ann@example.com"),
            [TEMPORARY],
        ),
        (plain("Undeliverable: Hi", "550 Message rejected as spam by our content filter"), [BLOCK]),
        (plain("Delayed mail (still being retried)", "451 4.4.1 timed out. It will be retried"), []),
        (plain("Automatic reply: Hi", "I am out of office until 550 5.1.1", sender="ann@example.com"), []),
        (plain("Undeliverable?", "What does 550 5.1.1 mean?", sender="ann@example.com"), []),
        (plain("Out of office", "Away", Auto_Submitted="auto-replied"), []),
        (b"", []),
        (b"\xff\xfe not a mail at all", []),
    ],
)
def test_bounces_in_other_forms(content: bytes, kinds: list[MailEventKind]) -> None:
    sender = "ann@example.com" if b"From: ann@" in content else ""
    assert [report.kind for report in reports(content, [RETURN_PATH], sender)] == kinds


def complaint(kind: str, *fields: str, original: str = "Subject: Hi\n") -> bytes:
    feedback = "\n".join([f"Feedback-Type: {kind}", "User-Agent: Provider/1.0", "Version: 1", *fields, ""])
    return report_of(
        "feedback-report",
        "From: fbl@provider.example\nSubject: complaint",
        ("text/plain", "This is an email abuse report."),
        ("message/feedback-report", feedback),
        ("text/rfc822-headers", original),
    )


def test_complaints_name_their_message_by_return_path_or_header() -> None:
    expected = [MailReport(TOKEN, MailEventKind.COMPLAINT)]
    to = ["fbl@bounces.shop.example"]
    assert reports(complaint("abuse", f"Original-Mail-From: <{RETURN_PATH}>"), to, "fbl@provider.example") == expected
    with_header = complaint("abuse", original=f"X-Rapport-Message: {TOKEN}\nSubject: Hi\n")
    assert reports(with_header, to, "fbl@provider.example") == expected
    assert reports(complaint("not-spam", f"Original-Mail-From: <{RETURN_PATH}>"), to, "fbl@provider.example") == []
    assert reports(complaint("abuse"), to, "fbl@provider.example") == []


def test_tokens_are_found_behind_what_servers_put_before_them() -> None:
    assert token_of_address(RETURN_PATH) == token_of_address(f"{TOKEN}@x.example") == TOKEN
    for address in ("", "ann@example.com", "bounce+short@x.example", f"{TOKEN}!@x.example"):
        assert token_of_address(address) == ""
