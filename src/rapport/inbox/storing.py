"""Messages are put into inboxes: each once, however often it is sent."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.stores.workers.listening import Topic, publish

# In order of the key, so that two callers with the same messages wait for each other and never lock up.
STORE = text("""
    INSERT INTO inbox_messages (tenant_id, id, channel_id, person, customer_id, message_id, campaign_id, send_id,
        template_id, container_id, title, content, media, url, payload, layout_type, sent_at, updated_at, expires_at,
        kept_until)
    SELECT :tenant_id, id, channel_id, person, customer_id, message_id, campaign_id, send_id, template_id, container_id,
        title, content, media, url, payload, layout_type, :now, :now, expires_at, least(expires_at, kept_until)
    FROM json_to_recordset(CAST(:rows AS json)) AS new (id uuid, channel_id int, person text, customer_id text,
        message_id text, campaign_id int, send_id int, template_id int, container_id text, title text, content text,
        media text, url text, payload jsonb, layout_type int, expires_at timestamptz, kept_until timestamptz)
    ORDER BY id
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message for an inbox: see InboxMessage. It is kept as long as it says, and at most for the time kept."""

    message_id: str
    channel_id: int
    person: str
    customer_id: str
    title: str
    content: str
    container_id: str
    kept: timedelta
    campaign_id: int = 0
    send_id: int = 0
    template_id: int = 0
    media: str = ""
    url: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    layout_type: int | None = None
    expires_at: datetime | None = None


def inbox_id(tenant_id: int, channel_id: int, message_id: str) -> uuid.UUID:
    """The id under which clients know a message."""
    identity = f"inbox/{tenant_id}/{channel_id}/{message_id}"
    return uuid.UUID(bytes=hashlib.sha256(identity.encode()).digest()[:16], version=4)


def store(scope: Scope, messages: Sequence[NewMessage]) -> None:
    """Put messages into their inboxes, all or none; those that are there already stay as they are."""
    if not messages:
        return
    now = scope.clock.now()
    rows = [_row(scope, message, now) for message in messages]
    parameters = {"tenant_id": scope.tenant_id, "now": now, "rows": orjson.dumps(rows).decode()}
    with scope.records() as session:
        session.execute(STORE, parameters)
        publish(session, Topic.INBOX, scope.tenant_id)


def _row(scope: Scope, message: NewMessage, now: datetime) -> dict[str, Any]:
    return {
        "id": inbox_id(scope.tenant_id, message.channel_id, message.message_id),
        "channel_id": message.channel_id,
        "person": message.person,
        "customer_id": message.customer_id,
        "message_id": message.message_id,
        "campaign_id": message.campaign_id,
        "send_id": message.send_id,
        "template_id": message.template_id,
        "container_id": message.container_id,
        "title": message.title,
        "content": message.content,
        "media": message.media,
        "url": message.url,
        "payload": without_nulls(message.payload),
        "layout_type": message.layout_type,
        "expires_at": message.expires_at,
        "kept_until": now + message.kept,
    }


def without_nulls(value: Any) -> Any:
    """JSON without null at any depth: clients cannot read an answer in which a payload has one."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value
