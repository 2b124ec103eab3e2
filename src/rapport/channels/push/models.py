"""Records of push messages: what devices report by a number."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class PushNumber(Base):
    """What push messages were sent for, by the number that they carry."""

    __tablename__ = "push_numbers"

    number: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    campaign_id: Mapped[int] = mapped_column(Integer)
    send_id: Mapped[int] = mapped_column(BigInteger)
    template_id: Mapped[int] = mapped_column(Integer)
    recipient_group_id: Mapped[int] = mapped_column(Integer)
    action_id: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        UniqueConstraint(
            "tenant_id",
            "channel_id",
            "campaign_id",
            "send_id",
            "template_id",
            "recipient_group_id",
            "action_id",
            name="uq_push_numbers_origin",
        ),
    )
