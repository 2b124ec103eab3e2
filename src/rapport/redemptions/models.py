"""Records of promo codes, budgets and redemptions."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Date, DateTime, Index, Integer, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.redemptions.states import Counted, Period, PoolKind, RedemptionState
from rapport.stores.records import Base


class CodePool(Base):
    """The codes of a promotion, one global or many unique ones, and from when until when they are in force."""

    __tablename__ = "code_pools"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    kind: Mapped[PoolKind] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    promotion_id: Mapped[str | None] = mapped_column(String(100))
    campaign_ids: Mapped[list[int]] = mapped_column(JSONB)
    is_active: Mapped[bool] = mapped_column(Boolean)
    starts_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PromoCode(Base):
    """A code of a pool. code_key is the code in lower case, by which customers' spellings are found.

    redemption_id is the redemption that holds a unique code. person is the CustomerID, in lower case, of the customer
    who got it with the message message_id, and who alone can redeem it.
    """

    __tablename__ = "pool_codes"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    code_key: Mapped[str] = mapped_column(Text, primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    pool_id: Mapped[str] = mapped_column(String(100))
    redemption_id: Mapped[str | None] = mapped_column(String(36))
    person: Mapped[str | None] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(
            "ix_pool_codes_free",
            "tenant_id",
            "pool_id",
            postgresql_where=text("redemption_id IS NULL AND message_id IS NULL"),
        ),
        Index(
            "ux_pool_codes_message",
            "tenant_id",
            "message_id",
            "pool_id",
            unique=True,
            postgresql_where=text("message_id IS NOT NULL"),
        ),
        Index("ix_pool_codes_person", "tenant_id", "person", postgresql_where=text("person IS NOT NULL")),
    )


class PromotionBudget(Base):
    """What bounds the redemptions of a promotion: definitions.Budget and definitions.StackingRules as JSON."""

    __tablename__ = "promotion_budgets"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    promotion_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    budgets: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    stacking: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class BudgetCounter(Base):
    """How much of a budget the live redemptions of one period have taken.

    counted_of is the key of the reward type, in lower case, where rewards are counted. starts_on is the first day of
    the period in the tenant's time zone, the first of all days for a lifetime. person is empty but where redemptions of
    each customer are counted: then it is the CustomerID in lower case, or what stands for an erased one. most is the
    limit by which the last redemption was granted.
    """

    __tablename__ = "budget_counters"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    promotion_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    counted: Mapped[Counted] = mapped_column(String(20), primary_key=True)
    counted_of: Mapped[str] = mapped_column(String(100), primary_key=True)
    period: Mapped[Period] = mapped_column(String(20), primary_key=True)
    starts_on: Mapped[date] = mapped_column(Date, primary_key=True)
    person: Mapped[str] = mapped_column(Text, primary_key=True)
    used: Mapped[Decimal] = mapped_column(Numeric(20, 3))
    most: Mapped[Decimal] = mapped_column(Numeric(20, 3))

    __table_args__ = (
        CheckConstraint("used >= 0 AND used <= most", name="within"),
        Index("ix_budget_counters_person", "tenant_id", "person", postgresql_where=text("person <> ''")),
    )


class Redemption(Base):
    """A customer's use of a promotion, with a snapshot of the rewards that it granted.

    request is the digest of what was asked under the idempotency key. person is the CustomerID in lower case. rewards
    are objects with rewardType, category and value, a decimal as text; amounts are in currency. counted_on is the day
    in the tenant's time zone whose budgets it takes from. is_published: it was begun by a campaign that told the
    customer of it, see published; firing_id is the firing that it was told with, for a triggered campaign.
    """

    __tablename__ = "redemptions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(Text)
    request: Mapped[str] = mapped_column(String(64))
    state: Mapped[RedemptionState] = mapped_column(String(20))
    promotion_id: Mapped[str] = mapped_column(String(100))
    promotion_version: Mapped[int] = mapped_column(Integer)
    pool_id: Mapped[str | None] = mapped_column(String(100))
    code: Mapped[str] = mapped_column(Text)
    customer_id: Mapped[str] = mapped_column(Text)
    person: Mapped[str] = mapped_column(Text)
    order_id: Mapped[str | None] = mapped_column(Text)
    campaign_id: Mapped[int | None] = mapped_column(Integer)
    tier_id: Mapped[str] = mapped_column(String(100))
    tier_name: Mapped[str] = mapped_column(String(200))
    rewards: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    currency: Mapped[str] = mapped_column(String(3))
    counted_on: Mapped[date] = mapped_column(Date)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reserved_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    is_published: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    firing_id: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        Index(
            "ux_redemptions_published",
            "tenant_id",
            "campaign_id",
            "promotion_id",
            "person",
            unique=True,
            postgresql_where=text("is_published AND firing_id IS NULL"),
        ),
        Index(
            "ux_redemptions_firing",
            "tenant_id",
            "firing_id",
            "promotion_id",
            unique=True,
            postgresql_where=text("firing_id IS NOT NULL"),
        ),
        Index("ux_redemptions_idempotency_key", "tenant_id", "idempotency_key", unique=True),
        Index("ix_redemptions_promotion", "tenant_id", "promotion_id", "counted_on"),
        Index("ix_redemptions_person", "tenant_id", "person"),
        Index("ix_redemptions_order", "tenant_id", "order_id", postgresql_where=text("order_id IS NOT NULL")),
        Index(
            "ix_redemptions_reserved",
            "reserved_until",
            postgresql_where=text(f"state = '{RedemptionState.RESERVED}'"),
        ),
    )
