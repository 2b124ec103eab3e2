"""Records of promotions."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.promotions.states import PromotionStatus, TenantStatus
from rapport.stores.records import Base


class PromotionTenant(Base):
    """The promotion service of a tenant: which properties and rewards its promotions may use. A tenant has one.

    id is what clients call it. The lists hold definitions.PropertyDefinition and definitions.RewardType as JSON.
    """

    __tablename__ = "promotion_tenants"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(100))
    status: Mapped[TenantStatus] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    customer_properties: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    promotion_properties: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    session_properties: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    reward_types: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)


class Promotion(Base):
    """A marketing offer: who qualifies, and for which rewards.

    code_key is the code in lower case, unique among the promotions of a tenant that are not archived. condition_tree
    and tiers hold definitions.Tree and definitions.Tier as JSON. activated_at is the first activation.
    """

    __tablename__ = "promotions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    status: Mapped[PromotionStatus] = mapped_column(String(20))
    code: Mapped[str] = mapped_column(Text)
    code_key: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    condition_tree: Mapped[dict[str, Any]] = mapped_column(JSONB)
    tiers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    properties: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    activated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(Integer)

    __table_args__ = (
        Index(
            "ux_promotions_code",
            "tenant_id",
            "code_key",
            unique=True,
            postgresql_where=text(f"status <> '{PromotionStatus.ARCHIVED}'"),
        ),
    )


class PromotionVersion(Base):
    """A promotion as a change left it: who made which commands, and the whole promotion after them."""

    __tablename__ = "promotion_versions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    promotion_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor: Mapped[str] = mapped_column(Text)
    commands: Mapped[list[str]] = mapped_column(JSONB)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)


class RegisteredPromotion(Base):
    """A promo code of the tenant's back office, by name, as an outside system registered it."""

    __tablename__ = "registered_promotions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    promo_key: Mapped[str] = mapped_column(Text, primary_key=True)  # the code in lower case
    promo_code: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(String(200))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
