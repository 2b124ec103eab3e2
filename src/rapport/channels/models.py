"""Records of channels: by which ways messages leave."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rapport.channels.kinds.base import ChannelKind
from rapport.channels.kinds.registry import behaviour_of, secret_settings
from rapport.stores.records import Base
from rapport.stores.records.sealing import SealedMembers


class Channel(Base):
    """One execution channel of a tenant. settings depends on the kind: see channels.kinds."""

    __tablename__ = "channels"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))  # a name in channels.kinds
    address_attribute: Mapped[str] = mapped_column(String(128))
    permission_attribute: Mapped[str | None] = mapped_column(String(128))
    settings: Mapped[dict[str, Any]] = mapped_column(SealedMembers("channels.settings", secret_settings), default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    @property
    def behaviour(self) -> ChannelKind:
        """What its kind says of it, instead of comparing the kind; of one that there is not (any more) its fault."""
        return behaviour_of(self.kind)


class App(Base):
    """An app of a push-type channel, under the id that its vendor gave it."""

    __tablename__ = "channel_apps"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_key: Mapped[str] = mapped_column(String(400), primary_key=True)  # the id in lower case
    app_id: Mapped[str] = mapped_column(String(200))
    name: Mapped[str] = mapped_column(String(200))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
