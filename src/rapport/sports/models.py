"""Records of the sports inventory, the prices that selections had, and what became of the records of requests."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, Numeric, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base


class SportsRecord(Base):
    """A record of a brand. members are as they were sent and merged; is_shown and is_active are its own alone.

    prices is the number of prices that a selection has had.

    event_key is empty but for markets and selections. The parent's columns are empty for a root.
    """

    __tablename__ = "sports_records"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_group_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    event_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    record_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    parent_kind: Mapped[str] = mapped_column(String(10))
    parent_event_key: Mapped[str] = mapped_column(String(200))
    parent_key: Mapped[str] = mapped_column(String(200))
    names: Mapped[str] = mapped_column(Text)
    is_shown: Mapped[bool] = mapped_column(Boolean)
    is_active: Mapped[bool] = mapped_column(Boolean)
    display_order: Mapped[int | None] = mapped_column(Integer)
    starts_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    numerator: Mapped[int | None] = mapped_column(BigInteger)
    denominator: Mapped[int | None] = mapped_column(BigInteger)
    decimal_odds: Mapped[Decimal | None] = mapped_column(Numeric(20, 4))
    prices: Mapped[int] = mapped_column(Integer)
    members: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        # A parent's key comes first, so that no record is looked for by its tenant and brand in here.
        Index(
            "ix_sports_records_parent",
            "parent_key",
            "parent_event_key",
            "parent_kind",
            "brand_group_id",
            "tenant_id",
        ),
        Index(
            "ix_sports_records_start",
            "tenant_id",
            "brand_group_id",
            "starts_at",
            postgresql_where=text("kind = 'Event'"),
        ),
    )


class SportsPrice(Base):
    """The price that a selection has had since an instant; without numbers: since then it has had none.

    number counts the prices of a selection from 0, and place is where it stands in the ring of those that are kept.
    """

    __tablename__ = "sports_prices"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_group_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    event_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    selection_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    place: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    number: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    numerator: Mapped[int | None] = mapped_column(BigInteger)
    denominator: Mapped[int | None] = mapped_column(BigInteger)
    decimal_odds: Mapped[Decimal | None] = mapped_column(Numeric(20, 4))


class SportsCall(Base):
    """A call of a feed. number counts the calls of a brand from 1; what became of its records, in their order."""

    __tablename__ = "sports_calls"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_group_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    outcomes: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
