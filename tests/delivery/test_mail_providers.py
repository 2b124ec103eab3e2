"""Webhooks of mail providers in the shapes that they have, signed here: what they say, and that nobody else can."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Report
from rapport.delivery.returns.providers.mailgun import Mailgun
from rapport.delivery.returns.providers.postmark import Postmark
from rapport.delivery.returns.providers.sendgrid import SIGNATURE, TIMESTAMP, SendGrid
from rapport.delivery.returns.providers.ses import AmazonSes
from rapport.delivery.returns.providers.sparkpost import SparkPost
from rapport.errors import Invalid, Unauthorized

TOKEN = "aebagbadvqdqeyl4qmk5r2cfmb2xaqbqgazdgnbv"
AT = datetime(2026, 3, 10, 8, 30, tzinfo=UTC)
SECONDS = int(AT.timestamp())
PERMANENT, TEMPORARY, BLOCK = MailEventKind.PERMANENT, MailEventKind.TEMPORARY, MailEventKind.BLOCK
COMPLAINT, DELIVERED, WISH = MailEventKind.COMPLAINT, MailEventKind.DELIVERED, MailEventKind.UNSUBSCRIBED


def kinds(said: list[Report]) -> list[MailEventKind]:
    assert all(report.token == TOKEN and report.at == AT for report in said)
    return [report.kind for report in said]


def call(body: Any, key: str = "", headers: Mapping[str, str] | None = None) -> Call:
    return Call(headers or {}, json.dumps(body).encode(), key)


# SendGrid

SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
SENDGRID_PUBLIC = base64.b64encode(
    SENDGRID_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()


def sendgrid(*events: dict[str, Any]) -> Call:
    usual = {"email": "ann@example.com", "timestamp": SECONDS, "sg_event_id": "e", "rapport": TOKEN}
    body = json.dumps([{**usual, **event} for event in events]).encode()
    signature = SENDGRID_KEY.sign(str(SECONDS).encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: str(SECONDS)}
    return Call(headers, body, SENDGRID_PUBLIC)


def test_sendgrid_says_what_became_of_messages() -> None:
    said = SendGrid().reports(
        sendgrid(
            {"event": "processed"},
            {"event": "deferred", "response": "451 try later"},
            {"event": "delivered"},
            {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown"},
            {"event": "bounce", "type": "bounce", "status": "5.0.0", "reason": "550 whatever"},
            {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": "550 blocked by spamhaus"},
            {"event": "bounce", "type": "blocked", "status": "4.2.2", "reason": "452 mailbox full"},
            {"event": "dropped", "reason": "Bounced Address"},
            {"event": "dropped", "reason": "Spam Content"},
            {"event": "spamreport"},
            {"event": "unsubscribe"},
            {"event": "open", "useragent": "Mozilla"},
            {"event": "something new"},
            {"event": "spamreport", "rapport": ""},
        )
    )
    assert kinds(list(said)) == [DELIVERED, PERMANENT, PERMANENT, BLOCK, TEMPORARY, PERMANENT, COMPLAINT, WISH]


def test_only_sendgrid_can_sign() -> None:
    good = sendgrid({"event": "spamreport"})
    SendGrid().check(good)
    for other in (
        Call(good.headers, good.body + b" ", good.key),
        Call({**good.headers, TIMESTAMP: "1"}, good.body, good.key),
        Call({}, good.body, good.key),
        Call(good.headers, good.body, ""),
        Call(good.headers, good.body, "no key"),
    ):
        with pytest.raises(Unauthorized):
            SendGrid().check(other)


# Mailgun


def mailgun(event: dict[str, Any], key: str = "signing key") -> Call:
    signature = hmac.new(b"signing key", f"{SECONDS}nonce".encode(), hashlib.sha256).hexdigest()
    data = {"timestamp": float(SECONDS), "recipient": "ann@example.com", "user-variables": {"rapport": TOKEN}, **event}
    signed = {"timestamp": str(SECONDS), "token": "nonce", "signature": signature}
    return call({"signature": signed, "event-data": data}, key)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "delivered"}, [DELIVERED]),
        ({"event": "complained"}, [COMPLAINT]),
        ({"event": "unsubscribed"}, [WISH]),
        ({"event": "opened"}, []),
        ({"event": "failed", "severity": "temporary", "reason": "generic"}, []),
        (
            {"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550}},
            [PERMANENT],
        ),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-bounce"}, [PERMANENT]),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-complaint"}, [COMPLAINT]),
        ({"event": "failed", "severity": "permanent", "reason": "espblock"}, [BLOCK]),
        ({"event": "failed", "severity": "permanent", "reason": "old"}, [TEMPORARY]),
        (
            {
                "event": "failed",
                "severity": "permanent",
                "reason": "generic",
                "delivery-status": {"code": 550, "message": "5.7.1 blocked"},
            },
            [BLOCK],
        ),
        ({"event": "delivered", "user-variables": {}}, []),
    ],
)
def test_mailgun_says_what_became_of_messages(event: dict[str, Any], expected: list[MailEventKind]) -> None:
    Mailgun().check(mailgun(event))
    assert kinds(list(Mailgun().reports(mailgun(event)))) == expected


def test_only_mailgun_can_sign() -> None:
    event = {"event": "complained"}
    for other in (mailgun(event, "another key"), mailgun(event, ""), call({}, "signing key"), call([], "signing key")):
        with pytest.raises(Unauthorized):
            Mailgun().check(other)
    with pytest.raises(Invalid):
        Mailgun().check(Call({}, b"no json", "signing key"))


# Postmark


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            {"RecordType": "Bounce", "Type": "HardBounce", "BouncedAt": AT.isoformat(), "Details": "smtp;550 5.1.1"},
            [PERMANENT],
        ),
        ({"RecordType": "Bounce", "Type": "SoftBounce", "BouncedAt": "2026-03-10T08:30:00Z"}, [TEMPORARY]),
        ({"RecordType": "Bounce", "Type": "Blocked", "BouncedAt": "2026-03-10T08:30:00Z"}, [BLOCK]),
        ({"RecordType": "Bounce", "Type": "AutoResponder", "BouncedAt": "2026-03-10T08:30:00Z"}, []),
        ({"RecordType": "SpamComplaint", "BouncedAt": "2026-03-10T08:30:00Z"}, [COMPLAINT]),
        ({"RecordType": "Delivery", "DeliveredAt": "2026-03-10T08:30:00Z"}, [DELIVERED]),
        (
            {
                "RecordType": "SubscriptionChange",
                "ChangedAt": "2026-03-10T08:30:00Z",
                "SuppressSending": True,
                "SuppressionReason": "ManualSuppression",
                "Origin": "Recipient",
            },
            [WISH],
        ),
        ({"RecordType": "Open", "ReceivedAt": "2026-03-10T08:30:00Z"}, []),
        ({}, []),
    ],
)
def test_postmark_says_what_became_of_messages(record: dict[str, Any], expected: list[MailEventKind]) -> None:
    assert kinds(list(Postmark().reports(call({**record, "Metadata": {"rapport": TOKEN}})))) == expected


@pytest.mark.parametrize("provider", [Postmark(), SparkPost()])
def test_who_does_not_sign_shows_the_password(provider: Postmark | SparkPost) -> None:
    def shown(password: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}

    provider.check(call({}, "päss:word", shown("päss:word")))
    provider.check(call({}))
    for headers in (shown("other"), {}, {"authorization": "Basic ???"}, {"authorization": "Bearer päss"}):
        with pytest.raises(Unauthorized):
            provider.check(call({}, "päss:word", headers))


# SparkPost


def test_sparkpost_says_what_became_of_messages() -> None:
    def event(kind: str, **members: Any) -> dict[str, Any]:
        name = "unsubscribe_event" if "unsubscribe" in kind else "message_event"
        told = {"type": kind, "timestamp": str(SECONDS), "rcpt_meta": {"rapport": TOKEN}, **members}
        return {"msys": {name: told}}

    body = [
        {"msys": {}},
        event("delivery"),
        event("delay", bounce_class="20"),
        event("bounce", bounce_class="10", raw_reason="550 5.1.1 unknown"),
        event("out_of_band", bounce_class="30"),
        event("bounce", bounce_class="22", raw_reason="552 5.2.2 full"),
        event("bounce", bounce_class="51"),
        event("bounce", bounce_class="1", raw_reason="554 listed at spamhaus"),
        event("bounce", bounce_class="90"),
        event("spam_complaint"),
        event("list_unsubscribe"),
        event("injection"),
        event("bounce", bounce_class="10", rcpt_meta={}),
    ]
    expected = [DELIVERED, PERMANENT, PERMANENT, TEMPORARY, BLOCK, BLOCK, WISH, COMPLAINT, WISH]
    assert kinds(list(SparkPost().reports(call(body)))) == expected


# Amazon SES

SNS_KEY = rsa.generate_private_key(65537, 2048)
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"


def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(SNS_KEY.public_key())
    made = made.serial_number(1).not_valid_before(AT - timedelta(days=1)).not_valid_after(AT + timedelta(days=9999))
    return made.sign(SNS_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sns(message: dict[str, Any] | str, version: str = "2", key: str = TOPIC, **members: str) -> Call:
    body = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-03-10T08:30:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **members,
    }
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    digest = hashes.SHA256() if version == "2" else hashes.SHA1()
    body["Signature"] = base64.b64encode(SNS_KEY.sign(signed.encode(), padding.PKCS1v15(), digest)).decode()
    return call(body, key)


class Sns:
    """What stands for SNS: it has the certificate, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        return _certificate() if url == CERTIFICATE_URL else b"<ConfirmSubscriptionResponse/>"


TAGGED = {"messageId": "0100", "tags": {"rapport": [TOKEN], "ses:source-ip": ["192.0.2.1"]}}
WITH_HEADERS = {
    "messageId": "0100",
    "headers": [{"name": "From", "value": "x"}, {"name": "X-Rapport-Message", "value": TOKEN}],
}
TIMESTAMP_SES = "2026-03-10T08:30:00.000Z"


def bounce(kind: str, sub: str, status: str = "", diagnostic: str = "") -> dict[str, Any]:
    recipient = {"emailAddress": "ann@example.com", "status": status, "diagnosticCode": diagnostic, "action": "failed"}
    return {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [recipient], "timestamp": TIMESTAMP_SES}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {
                "eventType": "Bounce",
                "mail": TAGGED,
                "bounce": bounce("Permanent", "General", "5.1.1", "smtp; 550 unknown"),
            },
            [PERMANENT],
        ),
        (
            {
                "notificationType": "Bounce",
                "mail": WITH_HEADERS,
                "bounce": bounce("Permanent", "OnAccountSuppressionList"),
            },
            [PERMANENT],
        ),
        ({"eventType": "Bounce", "mail": TAGGED, "bounce": bounce("Transient", "MailboxFull", "5.2.2")}, [TEMPORARY]),
        ({"eventType": "Bounce", "mail": TAGGED, "bounce": bounce("Transient", "ContentRejected")}, [BLOCK]),
        (
            {
                "eventType": "Complaint",
                "mail": TAGGED,
                "complaint": {"timestamp": TIMESTAMP_SES, "complaintFeedbackType": "abuse"},
            },
            [COMPLAINT],
        ),
        (
            {
                "eventType": "Complaint",
                "mail": TAGGED,
                "complaint": {"timestamp": TIMESTAMP_SES, "complaintFeedbackType": "not-spam"},
            },
            [],
        ),
        ({"eventType": "Delivery", "mail": TAGGED, "delivery": {"timestamp": TIMESTAMP_SES}}, [DELIVERED]),
        ({"eventType": "DeliveryDelay", "mail": TAGGED, "deliveryDelay": {}}, []),
        ({"eventType": "Bounce", "mail": {}, "bounce": bounce("Permanent", "General")}, []),
        ("Successfully validated SNS topic for Amazon SES event publishing.", []),
    ],
)
def test_ses_says_what_became_of_messages(message: dict[str, Any] | str, expected: list[MailEventKind]) -> None:
    ses = AmazonSes(Sns())
    ses.check(sns(message))
    assert kinds(list(ses.reports(sns(message)))) == expected


def test_both_versions_of_signatures_are_read_and_the_certificate_once() -> None:
    source = Sns()
    ses = AmazonSes(source)
    for version in ("1", "2", "2"):
        ses.check(sns({}, version, Subject="Amazon SES"))
    assert source.asked == [CERTIFICATE_URL]


def test_only_sns_can_sign() -> None:
    source = Sns()
    ses = AmazonSes(source)
    good = json.loads(sns({}).body)
    for changes, key in (
        ({"Message": "{ }"}, TOPIC),
        ({"Signature": ""}, TOPIC),
        ({}, "arn:aws:sns:eu-west-1:123456789012:other"),
        ({}, ""),
        *(
            ({"SigningCertURL": url}, TOPIC)
            for url in (
                "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
                "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
                "http://sns.eu-west-1.amazonaws.com/x.pem",
                "https://sns.eu-west-1.amazonaws.com@127.0.0.1/x.pem",
                "https://sns.eu-west-1.amazonaws.com/../x.pem",
                "",
            )
        ),
    ):
        with pytest.raises(Unauthorized):
            ses.check(call({**good, **changes}, key))
    assert set(source.asked) <= {CERTIFICATE_URL}, "nothing is fetched from elsewhere"


def test_a_subscription_is_confirmed_at_sns_and_nowhere_else() -> None:
    source = Sns()
    ses = AmazonSes(source)
    url = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
    confirmation = {"Type": "SubscriptionConfirmation", "Token": "2336412f37"}
    ses.check(sns("You have chosen to subscribe", SubscribeURL=url, **confirmation))
    assert list(ses.reports(sns("You have chosen to subscribe", SubscribeURL=url, **confirmation))) == []
    assert source.asked == [CERTIFICATE_URL, url]
    for other in (
        "http://169.254.169.254/latest/meta-data",
        url.replace("amazonaws.com", "evil.example"),
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish",
    ):
        with pytest.raises(Invalid):
            list(ses.reports(sns("", SubscribeURL=other, **confirmation)))
    assert len(source.asked) == 2
