"""Records of what applications send: mail and push messages that were accepted, for whom, and which requests were."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.delivery.models import State
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member


class Send(Base):
    """An accepted request; its id is the SendID of the wire, and covers all recipients.

    template_id is empty for content of the request, which content has as JSON, see requests.FinalContent and OwnText.
    brand_id is empty for messages on other channels than those of transactional mail. due_at is when its messages may
    leave, by the clock of the outside.
    """

    __tablename__ = "transactional_sends"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    brand_id: Mapped[int | None] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int | None] = mapped_column(Integer)
    content: Mapped[str] = mapped_column(Sealed("transactional_sends.content", None), default="")
    accepted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class InAppSend(Base):
    """An accepted request to send in-app messages, until all of them have ended.

    details are the members of the template's details that the request sets, and what it sets them to.
    """

    __tablename__ = "in_app_sends"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    accepted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Recipient(Base):
    """One recipient of a send, with what became of the message: the message log.

    mark is the keyed hash of the address, by which the log is searched. customer_id is that of a customer whom the
    request names, who has no address beside it on some channels, and person the same in lower case. All of them are
    empty once a person was erased.
    personalizations has the values of tags as a JSON object; content_dropped tells that they were dropped. ended_at is
    when the message was handed to the mail server or given up; the other instants are those of the first event of their
    kind.
    """

    __tablename__ = "transactional_recipients"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    send_id: Mapped[int] = mapped_column(BigInteger)
    brand_id: Mapped[int | None] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int | None] = mapped_column(Integer)
    address: Mapped[str] = mapped_column(Sealed("transactional_recipients.address", None))
    mark: Mapped[str] = mapped_column(String(32))
    customer_id: Mapped[str] = mapped_column(Text, default="")
    person: Mapped[str] = mapped_column(Text, default="")
    personalizations: Mapped[str] = mapped_column(Sealed("transactional_recipients.personalizations", None), default="")
    content_dropped: Mapped[bool] = mapped_column(Boolean, default=False)
    message_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[State] = mapped_column(Member(State, 20))
    reason: Mapped[str] = mapped_column(Text, default="")
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    opened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    clicked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    unsubscribed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    bounced_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    complained_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_transactional_recipients_mark", "tenant_id", "mark", "id"),
        Index("ix_transactional_recipients_person", "tenant_id", "person", postgresql_where=text("person <> ''")),
        Index("ix_transactional_recipients_send", "tenant_id", "send_id"),
        Index("ix_transactional_recipients_message", "tenant_id", "message_id"),
        Index("ix_transactional_recipients_template", "tenant_id", "template_id", "ended_at"),
    )


class Attachment(Base):
    """A file of a send until all its messages have ended. content is base64 without line breaks."""

    __tablename__ = "transactional_attachments"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    send_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    file_name: Mapped[str] = mapped_column(Sealed("transactional_attachments.file_name", None))
    content_type: Mapped[str] = mapped_column(String(255))
    content: Mapped[str] = mapped_column(Sealed("transactional_attachments.content", None))


class RequestKey(Base):
    """The UniqueMessageID of a request that succeeded, as a digest: it is refused until then."""

    __tablename__ = "transactional_request_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    kept_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PushNotification(Base):
    """Push messages that an application asked for; its id is the notification's on the wire.

    content is the JSON of a push.PushOrder's content. due_at is when they may leave by the clock of the outside, by
    each device's own zone if is_local.
    """

    __tablename__ = "push_notifications"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    app_id: Mapped[int] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer, default=0)
    content: Mapped[str] = mapped_column(Sealed("push_notifications.content", None))
    is_scheduled: Mapped[bool] = mapped_column(Boolean)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accepted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    canceled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class PushRecipient(Base):
    """A customer or an install of a notification, with what became of the message.

    customer_id is empty for an install of nobody known, install_id for all devices of a customer; person is the
    customer's id in lower case.
    """

    __tablename__ = "push_recipients"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    notification_id: Mapped[int] = mapped_column(BigInteger)
    customer_id: Mapped[str] = mapped_column(Text, default="")
    person: Mapped[str] = mapped_column(Text, default="")
    install_id: Mapped[str] = mapped_column(String(100), default="")
    state: Mapped[State] = mapped_column(Member(State, 20))
    reason: Mapped[str] = mapped_column(Text, default="")
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    delivered_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    opened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_push_recipients_notification", "tenant_id", "notification_id"),
        Index("ix_push_recipients_person", "tenant_id", "person", postgresql_where=text("person <> ''")),
    )
