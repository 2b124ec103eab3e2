"""Postmark: webhooks with the credentials of their URL; they are not signed."""

from collections.abc import Iterable, Mapping
from typing import Any

from rapport.channels.provider_headers import NAME
from rapport.channels.returned import STATUS_IN_TEXT
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Provider, Report, instant_of_text, members
from rapport.delivery.returns.providers.basic import check_password

# Types of bounces; what is none of these (auto-responders, challenges) says nothing of the address.
BOUNCES = {
    "HardBounce": MailEventKind.PERMANENT,
    "BadEmailAddress": MailEventKind.PERMANENT,
    "SoftBounce": MailEventKind.TEMPORARY,
    "DnsError": MailEventKind.TEMPORARY,
    "Undeliverable": MailEventKind.TEMPORARY,
    "Unknown": MailEventKind.TEMPORARY,
    "Blocked": MailEventKind.BLOCK,
    "SpamNotification": MailEventKind.BLOCK,
    "DMARCPolicy": MailEventKind.BLOCK,
    "VirusNotification": MailEventKind.BLOCK,
    "SpamComplaint": MailEventKind.COMPLAINT,
    "Unsubscribe": MailEventKind.UNSUBSCRIBED,
}
# The member with the time of each kind of record.
TIMES = {
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Delivery": "DeliveredAt",
    "SubscriptionChange": "ChangedAt",
}


class Postmark(Provider):
    """The key of a channel is the password in the webhook's URL."""

    name = "postmark"

    def check(self, call: Call) -> None:
        """By the password. Raises Unauthorized."""
        check_password(call)

    def reports(self, call: Call) -> Iterable[Report]:
        """The record of the call."""
        record = members(call.json())
        token, kind = str(members(record.get("Metadata")).get(NAME, "")), _kind(record)
        if token and kind:
            status = STATUS_IN_TEXT.search(str(record.get("Details", "")))
            at = instant_of_text(record.get(TIMES[str(record["RecordType"])]))
            yield Report(token, kind, at, status[1] if status else "")


def _kind(record: Mapping[str, Any]) -> MailEventKind | None:
    name = record.get("RecordType")
    if name == "Bounce":
        return BOUNCES.get(str(record.get("Type")))
    if name == "SubscriptionChange":
        is_wish = record.get("SuppressSending") is True and record.get("SuppressionReason") == "ManualSuppression"
        return MailEventKind.UNSUBSCRIBED if is_wish and record.get("Origin") == "Recipient" else None
    return {"SpamComplaint": MailEventKind.COMPLAINT, "Delivery": MailEventKind.DELIVERED}.get(str(name))
