"""Promo codes for marketers to choose from: those that the back office registered, and those of promotions."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.bodies import CustomerID
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.promotions import editing, registered, validating
from rapport.promotions.deciding import Context
from rapport.promotions.states import Refusal
from rapport.promotions.validating import Explanation

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


class ContextIn(BaseModel):
    """A customer, and the values of session properties."""

    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerID = Field(examples=["Q1001"])
    session_properties: dict[str, Any] = Field({}, examples=[{"depositAmount": 120}])


class ExplanationIn(BaseModel):
    """Customers to explain a promotion for."""

    model_config = ConfigDict(extra="forbid")

    contexts: list[ContextIn] = Field(min_length=1, max_length=validating.MOST_EXPLAINED)


def _number(value: Any) -> Any:
    """A decimal as a number of JSON; anything else as it is."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


class BranchOut(BaseModel):
    """A branch of a condition tree for one customer."""

    model_config = ConfigDict(from_attributes=True)

    index: int = Field(description="Its place in the tree, from 0")
    is_true: bool
    value: Annotated[Any, BeforeValidator(_number)] = Field(
        None, description="The value that a comparison was made with; null if it is missing"
    )


class TreeOut(BaseModel):
    """A condition tree for one customer."""

    tier_id: str | None = Field(examples=["high"], description="null: the promotion's own tree")
    branches: list[BranchOut]


class ExplanationOut(BaseModel):
    """What a promotion decides about a customer, and why."""

    customer_id: str = Field(examples=["Q1001"])
    tier_id: str | None = Field(examples=["high"], description="The tier that the customer reaches; null for none")
    reason: Refusal | None = Field(description="Why the customer reaches none")
    trees: list[TreeOut]


@router.post(
    "/{promotion_id}/explanation",
    summary="Explain what a promotion decides",
    openapi_extra=CHANGES_NOTHING,
)
def explain_promotion(
    promotion_id: str,
    body: ExplanationIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ExplanationOut]:
    """For up to 100 customers, which tier of a promotion they reach, which branches are true, and on what values.

    The promotion can have any status, so that a draft can be tried before it is activated. Nothing is counted.
    """
    contexts = [Context(context.customer_id, context.session_properties) for context in body.contexts]
    promotion, explanations = validating.explain(principal.scope, promotion_id, contexts)
    tier_ids = [None, *(tier["id"] for tier in promotion.tiers)]
    return [_explanation(explanation, tier_ids) for explanation in explanations]


def _explanation(explanation: Explanation, tier_ids: Sequence[str | None]) -> ExplanationOut:
    decision = explanation.decision
    trees = [
        TreeOut(tier_id=tier_id, branches=list(map(BranchOut.model_validate, branches)))
        for tier_id, branches in zip(tier_ids, explanation.trees, strict=False)
    ]
    tier_id = decision.tier.id if decision.tier else None
    return ExplanationOut(customer_id=decision.customer_id, tier_id=tier_id, reason=decision.reason, trees=trees)
