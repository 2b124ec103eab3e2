"""Amazon SES: notifications by SNS, signed by a certificate of SNS; the subscription is confirmed by a call.

The certificate and the confirmation are fetched from SNS and from nowhere else, whatever a message says.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import orjson
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from rapport.channels.provider_headers import NAME, OWN
from rapport.channels.returned import ReturnKind, classify, classify_told
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Provider, Report, instant_of_text, items, members
from rapport.errors import Invalid, Unauthorized, Unavailable

log = structlog.get_logger("rapport.delivery")
HOST = r"https://sns[.][a-z0-9-]{4,30}[.]amazonaws[.]com(?:[.]cn)?"
CERTIFICATE = re.compile(HOST + r"/[A-Za-z0-9_-]{1,200}[.]pem")
CONFIRMATION = re.compile(HOST + r"/[?]Action=ConfirmSubscription&[A-Za-z0-9_.:%&=-]{1,2000}")
WAIT_SECONDS, MOST_BYTES, MOST_CERTIFICATES = 10.0, 20_000, 100
# What is signed, in this order, of the members that a message has.
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
TIMES = {"Bounce": "bounce", "Complaint": "complaint", "Delivery": "delivery"}
BLOCKED = {"ContentRejected", "AttachmentRejected"}


def fetched(url: str) -> bytes:
    """What SNS has at a URL. Raises Unavailable."""
    try:
        answer = httpx.get(url, timeout=WAIT_SECONDS, follow_redirects=False).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"SNS does not answer: {type(error).__name__}.") from error
    return answer.content[:MOST_BYTES]


class AmazonSes(Provider):
    """The key of a channel is the ARN of its SNS topic. fetch gets what SNS has at a URL."""

    name = "ses"

    def __init__(self, fetch: Callable[[str], bytes] = fetched) -> None:
        self._fetch = fetch
        self._certificates: dict[str, bytes] = {}

    def check(self, call: Call) -> None:
        """By topic and signature. Raises Unauthorized."""
        message = members(call.json())
        url = str(message.get("SigningCertURL", ""))
        if not call.key or message.get("TopicArn") != call.key:
            raise Unauthorized("The message is not of the channel's topic.")
        if not CERTIFICATE.fullmatch(url):
            raise Unauthorized("The certificate is not one of SNS.")
        names = NOTIFICATION if message.get("Type") == "Notification" else SUBSCRIPTION
        signed = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None)
        digest = SHA256() if message.get("SignatureVersion") == "2" else SHA1()  # noqa: S303 - of SNS's version 1
        try:
            key = load_pem_x509_certificate(self._certificate(url)).public_key()
            if not isinstance(key, RSAPublicKey):
                raise ValueError
            signature = base64.b64decode(str(message.get("Signature", "")), validate=True)
            key.verify(signature, signed.encode(), PKCS1v15(), digest)
        except (ValueError, binascii.Error, InvalidSignature) as error:
            raise Unauthorized("The signature does not fit the certificate.") from error

    def _certificate(self, url: str) -> bytes:
        if url not in self._certificates:
            if len(self._certificates) >= MOST_CERTIFICATES:
                self._certificates.clear()
            self._certificates[url] = self._fetch(url)
        return self._certificates[url]

    def reports(self, call: Call) -> Iterable[Report]:
        """What the notification says of its recipient; a subscription is confirmed."""
        message = members(call.json())
        if message.get("Type") == "SubscriptionConfirmation":
            self._confirm(str(message.get("SubscribeURL", "")))
        if message.get("Type") != "Notification":
            return
        try:
            event = members(orjson.loads(str(message.get("Message", ""))))
        except orjson.JSONDecodeError:
            return  # SES says in plain words that the topic was set up
        token, name = _token(members(event.get("mail"))), _name(event)
        details = members(event.get(TIMES.get(name, "")))
        if token and name in TIMES:
            for kind, status in _kinds(name, details):
                yield Report(token, kind, instant_of_text(details.get("timestamp")), status)

    def _confirm(self, url: str) -> None:
        if not CONFIRMATION.fullmatch(url):
            raise Invalid("SubscribeURL is not an address of SNS.")
        self._fetch(url)
        log.info("a subscription of SNS was confirmed")


def _name(event: Mapping[str, Any]) -> str:
    """What happened: in notifications of an identity one member, in events of a configuration set another."""
    return str(event.get("notificationType") or event.get("eventType") or "")


def _token(mail: Mapping[str, Any]) -> str:
    """The token of a message: among its tags in events, among its headers in notifications that have them."""
    tags = items(members(mail.get("tags")).get(NAME))
    headers = (members(header) for header in items(mail.get("headers")))
    values = (str(header.get("value", "")) for header in headers if str(header.get("name")).lower() == OWN.lower())
    return str(tags[0]) if tags else next(values, "")


def _kinds(name: str, details: Mapping[str, Any]) -> Iterable[tuple[MailEventKind, str]]:
    """What happened and the status; a message has one recipient, so the first is taken."""
    if name == "Delivery":
        return [(MailEventKind.DELIVERED, "")]
    if name == "Complaint":
        # SES reports here also that it did not send, since the address had complained before.
        is_complaint = details.get("complaintFeedbackType") in (None, "abuse", "fraud", "virus", "other")
        return [(MailEventKind.COMPLAINT, "")] if is_complaint else []
    recipient = members(next(iter(items(details.get("bouncedRecipients"))), None))
    status, text = str(recipient.get("status", "")), str(recipient.get("diagnosticCode", ""))
    if details.get("bounceType") == "Permanent":
        return [(MailEventKind(classify_told(is_permanent=True, status=status, text=text)), status)]
    is_block = details.get("bounceSubType") in BLOCKED or classify(status, text=text) is ReturnKind.BLOCK
    return [(MailEventKind.BLOCK if is_block else MailEventKind.TEMPORARY, status)]
