"""Mailgun: webhooks signed with HMAC over a timestamp and a nonce."""

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from rapport.channels.provider_headers import NAME
from rapport.channels.returned import classify, classify_told
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Provider, Report, code_of, instant_of_seconds, members
from rapport.errors import Unauthorized

KINDS = {
    "delivered": MailEventKind.DELIVERED,
    "complained": MailEventKind.COMPLAINT,
    "unsubscribed": MailEventKind.UNSUBSCRIBED,
}
# Why Mailgun did not even try, or gave up.
REASONS = {
    "suppress-bounce": MailEventKind.PERMANENT,
    "suppress-complaint": MailEventKind.COMPLAINT,
    "suppress-unsubscribe": MailEventKind.UNSUBSCRIBED,
    "espblock": MailEventKind.BLOCK,
    "old": MailEventKind.TEMPORARY,
}


class Mailgun(Provider):
    """The key of a channel is the webhook signing key of the account."""

    name = "mailgun"

    def check(self, call: Call) -> None:
        """By the signature in the body. Raises Unauthorized."""
        signature = members(members(call.json()).get("signature"))
        signed = f"{signature.get('timestamp', '')}{signature.get('token', '')}".encode()
        expected = hmac.new(call.key.encode(), signed, "sha256").hexdigest()
        if not call.key or not hmac.compare_digest(expected.encode(), str(signature.get("signature", "")).encode()):
            raise Unauthorized("The signature does not fit the channel's key.")

    def reports(self, call: Call) -> Iterable[Report]:
        """The event of the call; a temporary failure is tried again, and followed by another event."""
        event = members(members(call.json()).get("event-data"))
        token, kind = str(members(event.get("user-variables")).get(NAME, "")), _kind(event)
        if token and kind:
            status = str(members(event.get("delivery-status")).get("enhanced-code") or "")
            yield Report(token, kind, instant_of_seconds(event.get("timestamp")), status)


def _kind(event: Mapping[str, Any]) -> MailEventKind | None:
    name, reason = str(event.get("event", "")), str(event.get("reason", ""))
    if name != "failed":
        return KINDS.get(name)
    if event.get("severity") != "permanent":
        return None
    if reason in REASONS:
        return REASONS[reason]
    answer = members(event.get("delivery-status"))
    status, code = str(answer.get("enhanced-code") or ""), code_of(answer.get("code"))
    text = f"{answer.get('message', '')} {answer.get('description', '')}"
    if reason == "bounce":
        return MailEventKind(classify_told(status, code, text, is_permanent=True))
    return MailEventKind(classify(status, code, text))
