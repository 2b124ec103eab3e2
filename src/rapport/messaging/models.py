"""Records of messaging: templates, and who must not be written to."""

from datetime import date, datetime

from sqlalchemy import Date, DateTime, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base

EVERY_CHANNEL = 0
# The customer_id of an erased person's suppression; customer_key is the pseudonym then.
ERASED = ""


class Template(Base):
    """The content of a message on one channel; external channels have templates of a name only."""

    __tablename__ = "templates"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str] = mapped_column(String(1000), default="")
    html: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text, default="")
    app_id: Mapped[str] = mapped_column(String(200), default="", server_default="")  # the channel's app it is for
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Suppression(Base):
    """A customer who gets nothing on a channel, or on any channel (channel_id 0), and its reason.

    Ids compare ignoring case. The addresses that this keeps off, too, are in SuppressedAddress.
    """

    __tablename__ = "suppressions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(300))
    reason: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SuppressedAddress(Base):
    """An address, as a mark, of a person who must not be written to on a channel (0: any), or of an app of it."""

    __tablename__ = "suppressed_addresses"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_key: Mapped[str] = mapped_column(String(400), primary_key=True)
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    listed: Mapped[str] = mapped_column(String(30), primary_key=True)  # suppression list, channel preference
    added_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_suppressed_addresses_channel", "tenant_id", "channel_id"),
        Index("ix_suppressed_addresses_person", "tenant_id", "customer_key"),
    )


class SoftBounce(Base):
    """That messages to an address (or a customer without one), as a mark, came back for now on a day of the tenant."""

    __tablename__ = "soft_bounces"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    bounced_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ChannelPreference(Base):
    """How a customer may be contacted on a channel (or one app of it), as its vendor reported: 1 yes, 2 opted out."""

    __tablename__ = "channel_preferences"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_key: Mapped[str] = mapped_column(String(400), primary_key=True)  # the app in lower case; empty: all of them
    customer_key: Mapped[str] = mapped_column(String(300), primary_key=True)  # the id in lower case, or a pseudonym
    app_id: Mapped[str] = mapped_column(String(200))
    customer_id: Mapped[str] = mapped_column(String(300))
    mode: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
