"""Records of delivery: who has which address of a campaign."""

from enum import StrEnum

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class Source(StrEnum):
    """What a message is sent for: a run of a scheduled campaign, or a firing of a trigger."""

    RUN = "run"
    FIRING = "firing"


class TakenAddress(Base):
    """Which person (a pseudonym) a campaign writes to at an address (a mark) on a channel; nobody else is."""

    __tablename__ = "firing_addresses"  # once it held those of triggered campaigns alone

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
