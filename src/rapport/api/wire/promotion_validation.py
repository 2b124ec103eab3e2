"""Which customers a promotion is for, and what it grants them."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import LONGEST_CUSTOMER_ID
from rapport.api.http.responses import json_response
from rapport.api.http.shares import take_place
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.api.wire.promotion_bodies import answer, body_of, changing, number, object_of
from rapport.errors import Invalid
from rapport.promotions import validating
from rapport.promotions.deciding import Context, Decision
from rapport.promotions.evaluation import PASSES
from rapport.promotions.models import Promotion
from rapport.promotions.states import Refusal
from rapport.redemptions import foretelling

router = SectionRouter("Promotions")
CONTEXTS = {"contexts": [{"customerId": "Q1001", "sessionProperties": {"depositAmount": 120}}]}
MOST_CAMPAIGN_ID = 2**31 - 1
CONTEXTS_SCHEMA: dict[str, Any] = {
    "contexts": {
        "type": "array",
        "minItems": 1,
        "maxItems": validating.MOST_CONTEXTS,
        "items": {
            "type": "object",
            "required": ["customerId"],
            "properties": {"customerId": {"type": "string"}, "sessionProperties": {"type": "object"}},
        },
    },
    "campaignData": {
        "type": "object",
        "description": "Which campaign led to the validation, for codes that are linked to campaigns",
        "properties": {"campaignId": {"type": "integer", "minimum": 1, "maximum": MOST_CAMPAIGN_ID}},
    },
}
VALIDATED = {
    "promotionId": "p-7f3a",
    "contexts": [
        {
            "customerId": "Q1001",
            "valid": True,
            "effects": [
                {
                    "promotionTierId": "t1",
                    "promotionTierName": "High",
                    "rewards": [{"rewardType": "freeSpins", "category": "units", "value": 20}],
                }
            ],
        },
        {
            "customerId": "Q1002",
            "valid": False,
            "effects": [],
            "reason": "NoMatchingTier",
            "failedBranches": [{"promotionTierId": "t1", "branch": 0}],
        },
    ],
}


def contexts_of(members: dict[str, Any]) -> list[Context]:
    """The contexts of a body. Raises Invalid."""
    contexts = members.get("contexts")
    if not isinstance(contexts, list) or not 1 <= len(contexts) <= validating.MOST_CONTEXTS:
        raise Invalid(f"contexts must be a list of 1 to {validating.MOST_CONTEXTS} customers.")
    campaign_of(members)
    return [_context(context, f"contexts[{place}]") for place, context in enumerate(contexts)]


def campaign_of(members: dict[str, Any]) -> int | None:
    """The campaign that a body names; None if it names none. Raises Invalid."""
    campaign = members.get("campaigndata")
    if campaign is None:
        return None
    if not isinstance(campaign, dict):
        raise Invalid("campaignData must be an object.")
    id = {str(name).lower(): value for name, value in campaign.items()}.get("campaignid")
    if id is not None and (not isinstance(id, int) or isinstance(id, bool) or not 1 <= id <= MOST_CAMPAIGN_ID):
        raise Invalid(f"campaignData.campaignId must be a whole number from 1 to {MOST_CAMPAIGN_ID}.")
    return id


def _context(data: Any, at: str) -> Context:
    if not isinstance(data, dict):
        raise Invalid(f"{at} must be an object.")
    members = {str(name).lower(): value for name, value in data.items()}
    customer_id, session = members.get("customerid"), members.get("sessionproperties")
    if isinstance(customer_id, int) and not isinstance(customer_id, bool):
        customer_id = str(customer_id)
    if not isinstance(customer_id, str) or not 0 < len(customer_id.strip()) <= LONGEST_CUSTOMER_ID:
        raise Invalid(f"{at}.customerId must be a text of 1 to {LONGEST_CUSTOMER_ID} characters.")
    if session is not None and not isinstance(session, dict):
        raise Invalid(f"{at}.sessionProperties must be an object.")
    return Context(customer_id.strip(), session or {})


def _validated(promotion: Promotion, decisions: Sequence[Decision]) -> Response:
    contexts = [decision_shown(decision, promotion) for decision in decisions]
    return json_response(orjson.dumps({"promotionId": promotion.id, "contexts": contexts}, default=number))


def decision_shown(decision: Decision, promotion: Promotion) -> dict[str, Any]:
    """What a promotion decides about a context, as clients read it."""
    shown: dict[str, Any] = {"customerId": decision.customer_id, "valid": decision.tier is not None, "effects": []}
    if decision.tier is not None:
        rewards = [
            {"rewardType": granted.reward_type, "category": granted.category, "value": granted.value}
            for granted in decision.rewards
        ]
        tier = {"promotionTierId": decision.tier.id, "promotionTierName": decision.tier.name, "rewards": rewards}
        shown["effects"] = [tier]
        return shown
    shown["reason"] = decision.reason
    if decision.reason is Refusal.CONDITIONS_NOT_MET:
        shown["failedBranches"] = [{"promotionTierId": None, "branch": decision.gate}]
    elif decision.reason is Refusal.NO_MATCHING_TIER:
        shown["failedBranches"] = [
            {"promotionTierId": tier["id"], "branch": branch}
            for tier, branch in zip(promotion.tiers, decision.branches, strict=True)
            if branch != PASSES
        ]
    return shown


@router.post(
    "/v1/promotions/validatePromoCode",
    summary="Validate promotion code",
    operation_id="ValidatePromotionCode",
    response_class=Response,
    responses=answer("What each customer gets, in the order of the contexts", VALIDATED),
    openapi_extra={
        **changing(
            {
                "type": "object",
                "required": ["promoCode", "contexts"],
                "properties": {"promoCode": {"type": "string"}, **CONTEXTS_SCHEMA},
            },
            {"promoCode": "SPR-RELOAD", **CONTEXTS},
        ),
        "parameters": [],
        **CHANGES_NOTHING,
    },
)
def validate_code(
    principal: Principal = Depends(caller("ValidatePromotionCode")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """What each customer would be told who redeemed the code: that of a promotion that is not archived, or a promo
    code, in any case. Nothing is counted.

    409 CodeNotValid for a code that has expired, is not valid yet, was deactivated, belongs to no promotion or is
    linked to other campaigns than the one in campaignData. Besides the reasons of Validate promotion customers there
    are CodeOfAnother and CodeRedeemed.
    """
    members = object_of(body)
    code = members.get("promocode")
    if not isinstance(code, str) or not code.strip():
        raise Invalid("promoCode is required: the code of a promotion.")
    contexts = contexts_of(members)
    validator, decisions = foretelling.validate_code(principal.scope, code, contexts, campaign_of(members))
    return _validated(validator.promotion, decisions)


@router.post(
    "/v1/promotions/{promotionId}/validateCustomers",
    summary="Validate promotion customers",
    operation_id="ValidatePromotionCustomers",
    response_class=Response,
    responses=answer("What each customer gets, in the order of the contexts", VALIDATED),
    openapi_extra={
        **changing({"type": "object", "required": ["contexts"], "properties": CONTEXTS_SCHEMA}, CONTEXTS),
        "parameters": [],
        **CHANGES_NOTHING,
    },
)
async def validate_customers(
    request: Request,
    promotionId: str,
    principal: Principal = Depends(caller("ValidatePromotionCustomers")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """Of an active promotion, the first tier whose conditions a customer meets decides the rewards.

    A customer who gets nothing has a reason: UnknownCustomer, PromotionConditionsNotMet or NoMatchingTier with the
    branch of each condition tree that failed; CustomerLimitReached or BudgetExceeded where the budgets allow no
    redemption of this customer. Nothing is counted: each customer is answered as if it were the next one to redeem.
    """
    members = object_of(body)
    if _has_many(members):
        await take_place(request)
        return await run_in_threadpool(_of_many, principal.scope, promotionId, members)
    validator, decisions = await foretelling.validate_soon(principal.scope, promotionId, contexts_of(members))
    return _validated(validator.promotion, decisions)


def _has_many(members: dict[str, Any]) -> bool:
    contexts = members.get("contexts")
    return isinstance(contexts, list) and len(contexts) > validating.FEW


def _of_many(scope: Scope, promotion_id: str, members: dict[str, Any]) -> Response:
    validator, decisions = foretelling.validate_customers(scope, promotion_id, contexts_of(members))
    return _validated(validator.promotion, decisions)
