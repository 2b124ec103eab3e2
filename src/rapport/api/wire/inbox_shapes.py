"""Messages of an inbox as clients read them, in SQL: without null members, and with times that each can read."""

from collections.abc import Iterable, Mapping

import orjson

from rapport.customers.person_ids import VISITOR

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


# A time with three digits of the second and Z, which every client reads; and as V1 has the time of reading.
ISO = """to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
MILLISECONDS = "CAST(floor(extract(epoch FROM {at}) * 1000) AS bigint)"
# What a message was sent for is what reports that name no message give back: engagementId and campaignKind.
MEMBERS = {
    "id": "id",
    "customerId": f"CASE WHEN customer_id <> '' THEN customer_id ELSE substr(person, {len(VISITOR) + 1}) END",
    "isVisitor": "customer_id = ''",
    "templateId": "template_id",
    "title": "title",
    "payload": "payload",
    "campaignKind": f"CASE WHEN campaign_id > 0 THEN {CAMPAIGN} ELSE {TRANSACTIONAL} END",
    "executionDateTime": ISO.format(at="sent_at"),
    "containerId": "container_id",
    "createdAt": ISO.format(at="sent_at"),
    "updatedAt": ISO.format(at="updated_at"),
    "content": "nullif(content, '')",
    "media": "nullif(media, '')",
    "url": "nullif(url, '')",
    "engagementId": "CAST(nullif(CASE WHEN campaign_id > 0 THEN campaign_id ELSE send_id END, 0) AS text)",
    "messageLayoutType": "layout_type",
    "expiryDate": ISO.format(at="expires_at"),
}


def _written(read_at: str) -> str:
    members = {**MEMBERS, "readAt": read_at.format(at="read_at")}
    return ", ".join(f"'{name}', {expression}" for name, expression in members.items())


# The members of a message in V2 and in V1, as reading.listed takes them: those that would be null are left out.
SHOWN, OLD_SHOWN = _written(ISO), _written(MILLISECONDS)


def by_container(arrays: Mapping[str, bytes], asked: Iterable[str]) -> bytes:
    """The answer with the messages of containers: those that were asked for first, also when they are empty."""
    containers = {name: orjson.Fragment(arrays.get(name, b"[]")) for name in asked}
    containers |= {name: orjson.Fragment(array) for name, array in arrays.items()}
    return orjson.dumps({"containers": containers})
