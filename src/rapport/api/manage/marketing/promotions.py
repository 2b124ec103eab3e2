"""Promo codes for marketers to choose from: those that the back office registered, and those of promotions."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.promotions import editing, registered

router = SectionRouter("Management: campaigns", "/manage/v1/promotions", JsonRoute)


class PromotionOut(BaseModel):
    """A promo code, for promo_codes of an action or a recipient group."""

    model_config = ConfigDict(from_attributes=True)

    promo_code: str = Field(examples=["SPR15"])
    name: str = Field(examples=["Spring 15 percent"])
    updated_at: datetime


@router.get("", summary="List promotions")
def list_promotions(
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[PromotionOut]:
    """Codes that AddPromotions registered and those of active promotions, by code."""
    return registered.choices(principal.scope, limit, offset).each(PromotionOut.model_validate)


class PromotionVersionOut(BaseModel):
    """A promotion as a change left it."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    at: datetime
    actor: str = Field(examples=["anna@example.com"])
    commands: list[str] = Field(examples=[["setMetadata"]])
    document: dict[str, Any] = Field(description="The whole promotion, as GET /v1/promotions/{promotionId} gives it")


@router.get("/{promotion_id}/versions", summary="List the history of a promotion")
def list_promotion_versions(
    promotion_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[PromotionVersionOut]:
    """Who changed a promotion, when, with which commands, and what it was afterwards; the newest change first."""
    return editing.versions(principal.scope, promotion_id, limit, offset).each(PromotionVersionOut.model_validate)
