"""Records of in-app messages: the messages of users, and the instants by which apps ask for changes."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Index, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.in_app.contents import PresentedWhen, Surface
from rapport.stores.records import Base
from rapport.stores.records.shapes import Member


class InAppMessage(Base):
    """A message of a user: a customer, or a device that nobody is known of, then by the id of its install.

    id is what apps know it by: from 1, below 2^31, one sequence a tenant. message_id is that of the message as it was
    sent: a message that is sent again is stored once. channel_id, template_id, and campaign_id or send_id are what it
    was sent by and for, 0 where there is none. app_id is the app that it is for, empty for all of the tenant.
    updated_at is a whole second and unlike that of every other message of the user: see changes. opened_at is set as
    soon as no device shall show it any more.
    """

    __tablename__ = "in_app_messages"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    customer_id: Mapped[str] = mapped_column(Text)
    customer_key: Mapped[str] = mapped_column(Text)
    app_id: Mapped[int | None] = mapped_column(Integer)
    message_id: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer)
    campaign_id: Mapped[int] = mapped_column(Integer)
    send_id: Mapped[int] = mapped_column(BigInteger)
    surface: Mapped[Surface] = mapped_column(Member(Surface, 20))
    presented_when: Mapped[PresentedWhen] = mapped_column(Member(PresentedWhen, 20))
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    badge: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    inbox: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    opened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    read_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    inbox_deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_in_app_messages_message", "tenant_id", "message_id", unique=True),
        Index("ix_in_app_messages_changes", "tenant_id", "customer_key", "updated_at"),
    )


class InAppUser(Base):
    """When the messages of a user changed last, as apps are told: each change is a second later than the one before."""

    __tablename__ = "in_app_users"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_key: Mapped[str] = mapped_column(Text, primary_key=True)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
