"""Management of promotions: the promo codes that the back office registered, for marketers to choose from."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns import promotions

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
    """Promotions by code, as AddPromotions and DeletePromotions left them."""
    return promotions.promotions(principal.scope, limit, offset).each(PromotionOut.model_validate)
