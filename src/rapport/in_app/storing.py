"""Messages are stored for their users, each once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.in_app.changes import instants
from rapport.in_app.contents import InAppContent
from rapport.in_app.models import InAppMessage
from rapport.stores.records import hold, next_ids

SEQUENCE = "in-app message"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a message is sent by and for: members of InAppMessage."""

    channel_id: int = 0
    template_id: int = 0
    campaign_id: int = 0
    send_id: int = 0


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to store. message_id and app_id are those of InAppMessage."""

    message_id: str
    customer_id: str
    content: InAppContent
    purpose: Purpose = Purpose()
    app_id: int | None = None


def store(scope: Scope, session: Session, messages: Sequence[NewMessage]) -> dict[str, int]:
    """Store messages in the caller's transaction: the ids under which apps know them, by message id.

    One that is stored already keeps what it says, and its id.
    """
    hold(session, scope.tenant_id, SEQUENCE)
    by_message_id = {message.message_id: message for message in messages}
    query = select(InAppMessage.message_id, InAppMessage.id).where(
        InAppMessage.tenant_id == scope.tenant_id, InAppMessage.message_id.in_(by_message_id)
    )
    ids = {row.message_id: row.id for row in session.execute(query)}
    missing = [message for message_id, message in by_message_id.items() if message_id not in ids]
    if missing:
        numbers = next_ids(session, scope.tenant_id, SEQUENCE, len(missing))
        times = instants(scope, session, Counter(message.customer_id.lower() for message in missing))
        rows = [
            _row(scope, message, number) | {"updated_at": times[message.customer_id.lower()].pop(0)}
            for message, number in zip(missing, numbers, strict=True)
        ]
        session.execute(insert(InAppMessage), rows)
        ids |= {message.message_id: number for message, number in zip(missing, numbers, strict=True)}
    return ids


def _row(scope: Scope, message: NewMessage, number: int) -> dict[str, object]:
    content, now = message.content, scope.clock.now()
    shown = content.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "tenant_id": scope.tenant_id,
        "id": number,
        "customer_id": message.customer_id,
        "customer_key": message.customer_id.lower(),
        "app_id": message.app_id,
        "message_id": message.message_id,
        **asdict(message.purpose),
        "surface": content.surface,
        "presented_when": content.presented_when,
        "content": content.content,
        "data": content.data,
        "badge": shown.get("badge"),
        "inbox": shown.get("inbox"),
        "sent_at": now,
        "expires_at": now + content.ttl.length if content.ttl else None,
    }
