"""Messages of an inbox as clients read them: without members that would be null, and with times that each can read."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from rapport.customers.person_ids import VISITOR
from rapport.inbox.models import InboxMessage

# What a message was sent for, as clients hand it back: of campaigns the number of their examples.
CAMPAIGN, TRANSACTIONAL = 2, 1

_TIME = {"type": "string", "format": "date-time"}
MESSAGE = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "customerId": {"type": "string", "description": "The visitor ID if isVisitor"},
        "isVisitor": {"type": "boolean"},
        "templateId": {"type": "integer"},
        "title": {"type": "string"},
        "content": {"type": "string"},
        "media": {"type": "string"},
        "url": {"type": "string"},
        "payload": {"type": "object"},
        "engagementId": {"type": "string"},
        "campaignKind": {"type": "integer", "description": "1 transactional, 2 of a campaign"},
        "executionDateTime": _TIME,
        "messageLayoutType": {"type": "integer"},
        "readAt": _TIME,
        "expiryDate": _TIME,
        "containerId": {"type": "string"},
        "createdAt": _TIME,
        "updatedAt": _TIME,
    },
    "required": [
        "id",
        "customerId",
        "isVisitor",
        "templateId",
        "title",
        "payload",
        "campaignKind",
        "executionDateTime",
        "containerId",
        "createdAt",
        "updatedAt",
    ],
}
OLD_MESSAGE = {
    **MESSAGE,
    "properties": {
        **MESSAGE["properties"],  # type: ignore[dict-item]
        "readAt": {"type": "integer", "description": "Milliseconds since 1970; left out if unread"},
    },
}
EXAMPLE = {
    "id": "0a0a0a0a-0000-4000-8000-000000000001",
    "customerId": "Q1001",
    "isVisitor": False,
    "templateId": 11,
    "title": "Your spring offer",
    "content": "20% off until Sunday",
    "payload": {},
    "engagementId": "77",
    "campaignKind": CAMPAIGN,
    "executionDateTime": "2026-03-10T08:00:00.000Z",
    "containerId": "Inbox",
    "createdAt": "2026-03-10T08:00:00.000Z",
    "updatedAt": "2026-03-10T08:00:00.000Z",
}


def iso(at: datetime) -> str:
    """An instant with three digits of the second and Z, which every client reads."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def milliseconds(at: datetime) -> int:
    """An instant as V1 has the time of reading: since 1970."""
    return int(at.timestamp() * 1000)


def engagement(message: InboxMessage) -> tuple[str, int]:
    """What a message was sent for, as reports that name no message give it back: engagementId and campaignKind."""
    if message.campaign_id:
        return str(message.campaign_id), CAMPAIGN
    return (str(message.send_id) if message.send_id else ""), TRANSACTIONAL


def shown(message: InboxMessage, read: Callable[[datetime], Any] = iso) -> dict[str, Any]:
    """A message; what is empty is left out, but for what clients insist on. read writes the time of reading."""
    sent_at, (engagement_id, kind) = iso(message.sent_at), engagement(message)
    optional = {
        "content": message.content,
        "media": message.media,
        "url": message.url,
        "engagementId": engagement_id,
        "messageLayoutType": message.layout_type,
        "readAt": read(message.read_at) if message.read_at else None,
        "expiryDate": iso(message.expires_at) if message.expires_at else None,
    }
    return {
        "id": str(message.id),
        "customerId": message.customer_id or message.person.removeprefix(VISITOR),
        "isVisitor": message.is_visitors,
        "templateId": message.template_id,
        "title": message.title,
        "payload": message.payload,
        "campaignKind": kind,
        "executionDateTime": sent_at,
        "containerId": message.container_id,
        "createdAt": sent_at,
        "updatedAt": iso(message.updated_at),
        **{name: value for name, value in optional.items() if value not in (None, "")},
    }


def by_container(
    messages: Iterable[InboxMessage], asked: Iterable[str], read: Callable[[datetime], Any] = iso
) -> dict[str, Any]:
    """Messages by container, those that were asked for first, also when they are empty."""
    containers: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    for message in messages:
        containers.setdefault(message.container_id, []).append(shown(message, read))
    return {"containers": containers}
