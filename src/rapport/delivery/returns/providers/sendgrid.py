"""Twilio SendGrid: the event webhook, signed with ECDSA over the timestamp and the body."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from rapport.channels.provider_headers import NAME
from rapport.channels.returned import ReturnKind, classify, classify_told
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Provider, Report, instant_of_seconds, items, members
from rapport.errors import Unauthorized

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
KINDS = {
    "delivered": MailEventKind.DELIVERED,
    "spamreport": MailEventKind.COMPLAINT,
    "unsubscribe": MailEventKind.UNSUBSCRIBED,
    "group_unsubscribe": MailEventKind.UNSUBSCRIBED,
}
# Why SendGrid did not even try.
DROPPED = {
    "bounced address": MailEventKind.PERMANENT,
    "invalid": MailEventKind.PERMANENT,
    "spam reporting address": MailEventKind.COMPLAINT,
    "unsubscribed address": MailEventKind.UNSUBSCRIBED,
}


class SendGrid(Provider):
    """The key of a channel is the verification key that SendGrid shows for the webhook."""

    name = "sendgrid"

    def check(self, call: Call) -> None:
        """By the signature. Raises Unauthorized."""
        try:
            key = load_der_public_key(base64.b64decode(call.key))
            signature = base64.b64decode(call.headers.get(SIGNATURE, ""), validate=True)
            if not isinstance(key, EllipticCurvePublicKey):
                raise ValueError
            key.verify(signature, call.headers.get(TIMESTAMP, "").encode() + call.body, ECDSA(SHA256()))
        except (ValueError, binascii.Error, InvalidSignature) as error:
            raise Unauthorized("The signature does not fit the channel's key.") from error

    def reports(self, call: Call) -> Iterable[Report]:
        """Each event of the array; deferrals are followed by a delivery or a bounce."""
        for event in map(members, items(call.json())):
            token, kind = str(event.get(NAME, "")), _kind(event)
            if token and kind:
                yield Report(token, kind, instant_of_seconds(event.get("timestamp")), str(event.get("status", "")))


def _kind(event: Mapping[str, Any]) -> MailEventKind | None:
    name, reason = str(event.get("event", "")), str(event.get("reason", ""))
    if name == "dropped":
        return DROPPED.get(reason.lower())
    if name != "bounce":
        return KINDS.get(name)
    status = str(event.get("status", ""))
    if event.get("type") == "blocked":
        # Whatever SendGrid gives up for a reason that may pass.
        kind = classify(status, text=reason)
        return MailEventKind(kind if kind is ReturnKind.BLOCK else ReturnKind.TEMPORARY)
    return MailEventKind(classify_told(is_permanent=True, status=status, text=reason))
