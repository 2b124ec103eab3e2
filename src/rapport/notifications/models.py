"""Records of notifications: who listens to what, and each thing that a listener is to be told."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rapport.notifications.states import DeliveryState, ListenerStatus
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member

CALLBACK = 0


class Listener(Base):
    """A URL that is told of one event type; channel_id 0 is the general listener of the type.

    event_type_id CALLBACK is a host that callbacks are posted to: callback_host, and url, are the beginning of theirs
    without a login, and channel_id is its own id. failures counts failed attempts since the last success; until
    paused_until nothing is tried.
    """

    __tablename__ = "listeners"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    event_type_id: Mapped[int] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer, default=0)
    url: Mapped[str] = mapped_column(Sealed("listeners.url", None))
    callback_host: Mapped[str | None] = mapped_column(String(2000))
    secret: Mapped[str] = mapped_column(Sealed("listeners.secret"))
    previous_secret: Mapped[str | None] = mapped_column(Sealed("listeners.previous_secret"))
    previous_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    status: Mapped[ListenerStatus] = mapped_column(Member(ListenerStatus, 20), default=ListenerStatus.ACTIVE)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    paused_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("tenant_id", "event_type_id", "channel_id"),
        Index("uq_listeners_callback_host", "tenant_id", "callback_host", unique=True),
    )


class Delivery(Base):
    """One event for one listener: body is posted byte for byte at every attempt, under one message_id.

    url is where to, when that is not the listener's own.
    due_at empty means at once; leased_until is set while an attempt runs, and attempts tells whose it is.
    """

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    listener_id: Mapped[int] = mapped_column(Integer)
    event_type_id: Mapped[int] = mapped_column(Integer)
    event_key: Mapped[str] = mapped_column(String(200))
    message_id: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Sealed("deliveries.url", None))
    state: Mapped[DeliveryState] = mapped_column(Member(DeliveryState, 20), default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    leased_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    first_attempt_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint("tenant_id", "listener_id", "event_key"),
        Index(
            "ix_deliveries_pending",
            "tenant_id",
            "listener_id",
            "id",
            postgresql_where=text(f"state = '{DeliveryState.PENDING}'"),
        ),
        Index(
            "ix_deliveries_parked",
            "tenant_id",
            "listener_id",
            postgresql_where=text(f"state = '{DeliveryState.PARKED}'"),
        ),
    )
