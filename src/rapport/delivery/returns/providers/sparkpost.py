"""SparkPost: batches of events, with the credentials of the webhook; they are not signed."""

from collections.abc import Iterable, Mapping
from typing import Any

from rapport.channels.provider_headers import NAME
from rapport.channels.returned import STATUS_IN_TEXT, ReturnKind, classify
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.providers.base import Call, Provider, Report, instant_of_seconds, items, members
from rapport.delivery.returns.providers.basic import check_password

KINDS = {
    "delivery": MailEventKind.DELIVERED,
    "spam_complaint": MailEventKind.COMPLAINT,
    "list_unsubscribe": MailEventKind.UNSUBSCRIBED,
    "link_unsubscribe": MailEventKind.UNSUBSCRIBED,
}
BOUNCES = ("bounce", "out_of_band")
# Classes of bounces: invalid recipient and no recipient; blocks by the receiver for mail, spam, content or relaying;
# a wish to be left alone.
PERMANENT, BLOCKED, WISH = {10, 30}, {25, 50, 51, 52, 53, 54}, {90}


class SparkPost(Provider):
    """The key of a channel is the password of the webhook's basic authentication."""

    name = "sparkpost"

    def check(self, call: Call) -> None:
        """By the password. Raises Unauthorized."""
        check_password(call)

    def reports(self, call: Call) -> Iterable[Report]:
        """Each event of the batch, whose class is the one member of its "msys"."""
        for wrapped in items(call.json()):
            for event in map(members, members(members(wrapped).get("msys")).values()):
                token, kind = str(members(event.get("rcpt_meta")).get(NAME, "")), _kind(event)
                if token and kind:
                    status = STATUS_IN_TEXT.search(str(event.get("raw_reason", "")))
                    at = instant_of_seconds(event.get("timestamp"))
                    yield Report(token, kind, at, status[1] if status else "")


def _kind(event: Mapping[str, Any]) -> MailEventKind | None:
    name = str(event.get("type", ""))
    if name not in BOUNCES:
        return KINDS.get(name)
    digits = str(event.get("bounce_class", ""))
    number = int(digits) if digits.isdigit() else 0
    if number in WISH:
        return MailEventKind.UNSUBSCRIBED
    if number in BLOCKED or classify(text=str(event.get("raw_reason", ""))) is ReturnKind.BLOCK:
        return MailEventKind.BLOCK
    return MailEventKind.PERMANENT if number in PERMANENT else MailEventKind.TEMPORARY
