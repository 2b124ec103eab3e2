"""Records of inboxes: the messages in them, and pictures for messages."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, Integer, LargeBinary, SmallInteger, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class InboxMessage(Base):
    """A message in a person's inbox, under an id that follows from that of the message in the outbox.

    person is the id in lower case, or 'v:' and the visitor id; customer_id is empty for a visitor. message_id is that
    of the outbox. campaign_id is 0 for a transactional message, which has a send_id. sent_at is when it was put there.
    It is shown until kept_until; expires_at says so to clients, for a message that has an end of its own. A message
    that was deleted keeps its row, so that a repetition of its sending does not bring it back.
    """

    __tablename__ = "inbox_messages"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer)
    person: Mapped[str] = mapped_column(String(310))
    customer_id: Mapped[str] = mapped_column(String(300))
    message_id: Mapped[str] = mapped_column(String(64))
    campaign_id: Mapped[int] = mapped_column(Integer)
    send_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer)
    container_id: Mapped[str] = mapped_column(String(100))
    title: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)
    media: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)  # without null, at any depth
    layout_type: Mapped[int | None] = mapped_column(SmallInteger)
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    kept_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    read_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "ix_inbox_messages_person", "tenant_id", "person", "sent_at", postgresql_where=text("deleted_at IS NULL")
        ),
    )

    @property
    def is_visitors(self) -> bool:
        """Whether it is a visitor's, whom nobody knew when it was sent."""
        return not self.customer_id


class InboxEventKey(Base):
    """The key of a report of what was done with a message, by which a repetition is told."""

    __tablename__ = "inbox_event_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Picture(Base):
    """A picture for messages, under a name that follows from its content. label is how it was called when it came."""

    __tablename__ = "pictures"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    label: Mapped[str] = mapped_column(String(200))
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    size: Mapped[int] = mapped_column(Integer)  # bytes
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
