"""Records of SMS channels: what is known of messages at the providers."""

from datetime import datetime

from sqlalchemy import DateTime, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed


class SmsSubmission(Base):
    """By which id the provider of a channel reports on a message, and the return token of the message."""

    __tablename__ = "sms_submissions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    provider_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    return_token: Mapped[str] = mapped_column(String(100))
    submitted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_sms_submissions_time", "tenant_id", "submitted_at"),)


class SmsAggregator(Base):
    """An aggregator that shook hands for a channel: where it takes messages, by which key, and since when.

    account is a keyed hash of the secret that it was done with: with another secret it has to shake hands again.
    """

    __tablename__ = "sms_aggregators"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(64))
    send_url: Mapped[str] = mapped_column(Sealed("sms_aggregators.send_url", None))
    api_key: Mapped[str] = mapped_column(Sealed("sms_aggregators.api_key", None))
    connected_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
