"""Promo codes: the codes of a promotion, and what bounds its redemptions."""

from typing import Any

import orjson
from fastapi import Depends
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import inlined
from rapport.api.http.responses import json_response
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.api.wire.promotion_bodies import answer, body_of, changing, number, object_of
from rapport.api.wire.promotion_validation import (
    CONTEXTS,
    CONTEXTS_SCHEMA,
    VALIDATED,
    campaign_of,
    contexts_of,
    decision_shown,
)
from rapport.promotions.changing import read
from rapport.redemptions import budgets, foretelling, pools, stacking, targets
from rapport.redemptions.budgets import BudgetUse
from rapport.redemptions.definitions import ChangePool, CreatePool, SetBudgets, StackingRules
from rapport.redemptions.models import CodePool

router = SectionRouter("Promotions")
PATH = "/v1/promocodes/{promocodeId}"
SHOWN = {
    "promocodeId": "spring-2026",
    "type": "global",
    "name": "Spring on the posters",
    "code": "SPRING26",
    "promotionId": "p-7f3a",
    "campaignIds": [4321],
    "isActive": True,
    "startsAt": None,
    "expiresAt": "2026-06-01T00:00:00Z",
    "createdAt": "2026-01-02T03:04:05Z",
    "updatedAt": "2026-01-02T03:04:05Z",
}
CREATION = {
    "id": "spring-2026",
    "name": "Spring on the posters",
    "type": "global",
    "code": "SPRING26",
    "promotionId": "p-7f3a",
    "campaignIds": [4321],
    "expiresAt": "2026-06-01T00:00:00Z",
}
BUDGETS = {
    "budgets": [
        {"of": "audience", "period": "lifetime", "limit": 1000},
        {"of": "customer", "period": "daily", "limit": 1},
        {"of": "reward", "rewardType": "bonus", "period": "monthly", "limit": 5000},
    ]
}
BUDGETS_SHOWN = {
    "promotionId": "p-7f3a",
    "budgets": [
        {
            "of": "audience",
            "rewardType": None,
            "period": "lifetime",
            "limit": 1000,
            "periodStart": None,
            "used": 412,
            "remaining": 588,
        },
        {
            "of": "customer",
            "rewardType": None,
            "period": "daily",
            "limit": 1,
            "periodStart": "2026-03-09",
            "used": None,
            "remaining": None,
        },
    ],
}
STACKING = {"isExclusive": False, "notWith": ["welcome-bonus"], "group": "reload offers"}


def _shown(scope: Scope, pool: CodePool) -> dict[str, Any]:
    return {
        "promocodeId": pool.id,
        "type": pool.kind,
        "name": pool.name,
        "code": pools.code_of(scope, pool),
        "promotionId": pool.promotion_id,
        "campaignIds": pool.campaign_ids,
        "isActive": pool.is_active,
        "startsAt": pool.starts_at,
        "expiresAt": pool.expires_at,
        "createdAt": pool.created_at,
        "updatedAt": pool.updated_at,
    }


@router.post(
    "/v1/promocodes",
    summary="Create a promo code",
    operation_id="CreatePromoCode",
    status_code=201,
    response_class=Response,
    responses=answer("Created", SHOWN, 201),
    openapi_extra={**changing(inlined(CreatePool), CREATION), "parameters": []},
)
def create_promo_code(
    principal: Principal = Depends(caller("CreatePromoCode")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """A global promo code is one code, which everybody uses. A unique one has many codes, each for one redemption,
    which are generated or imported afterwards.

    409 for an id or a code in use, in any case. Without an id it gets a new one.
    """
    created = pools.create_pool(principal.scope, read(CreatePool, body))
    return json_response(orjson.dumps(_shown(principal.scope, created)), 201)


@router.get(
    PATH,
    summary="Get a promo code by id",
    operation_id="GetPromoCode",
    response_class=Response,
    responses=answer("The promo code", SHOWN),
)
def get_promo_code(
    promocodeId: str,
    principal: Principal = Depends(caller("GetPromoCode")),  # noqa: B008
) -> Response:
    """Its type, its links and when it is in force. The codes of a unique one are listed by the management API."""
    return json_response(orjson.dumps(_shown(principal.scope, pools.pool(principal.scope, promocodeId))))


@router.patch(
    PATH,
    summary="Change a promo code",
    operation_id="ChangePromoCode",
    response_class=Response,
    responses=answer("As the change leaves it", SHOWN),
    openapi_extra={
        **changing(inlined(ChangePool), {"promotionId": "p-7f3a", "expiresAt": "2026-06-01T00:00:00Z"}),
        "parameters": [],
    },
)
def change_promo_code(
    promocodeId: str,
    principal: Principal = Depends(caller("ChangePromoCode")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """Name, links, dates, and whether it is active; what is left out stays. promotionId null takes it off its
    promotion. Codes that were redeemed stay redeemed, with the rewards that they granted."""
    changed = pools.change_pool(principal.scope, promocodeId, read(ChangePool, body))
    return json_response(orjson.dumps(_shown(principal.scope, changed)))


@router.post(
    f"{PATH}/validateCustomers",
    summary="Validate promo code customers",
    operation_id="ValidatePromoCodeCustomers",
    response_class=Response,
    responses=answer(
        "What each customer would get, in the order of the contexts", {"promocodeId": "spring-2026", **VALIDATED}
    ),
    openapi_extra={
        **changing({"type": "object", "required": ["contexts"], "properties": CONTEXTS_SCHEMA}, CONTEXTS),
        "parameters": [],
        **CHANGES_NOTHING,
    },
)
def validate_customers(
    promocodeId: str,
    principal: Principal = Depends(caller("ValidatePromoCodeCustomers")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """As Validate promotion customers, for the promotion of the promo code.

    409 CodeNotValid for one that has expired, is not valid yet, was deactivated, belongs to no promotion or is linked
    to other campaigns than the one in campaignData.
    """
    pool, members = pools.pool(principal.scope, promocodeId), object_of(body)
    contexts = contexts_of(members)
    promotion_id = targets.require_in_force(principal.scope, pool, pool.id, campaign_of(members))
    validator, decisions = foretelling.validate_customers(principal.scope, promotion_id, contexts)
    shown = [decision_shown(decision, validator.promotion) for decision in decisions]
    document = {"promocodeId": pool.id, "promotionId": promotion_id, "contexts": shown}
    return json_response(orjson.dumps(document, default=number))


def _budgets_shown(scope: Scope, promotion_id: str) -> Response:
    uses = [_budget_shown(use) for use in budgets.budgets_of(scope, promotion_id)]
    return json_response(orjson.dumps({"promotionId": promotion_id, "budgets": uses}, default=number))


def _budget_shown(use: BudgetUse) -> dict[str, Any]:
    limit = use.limit
    return {
        **use.budget.document(),
        "limit": limit,
        "periodStart": use.starts_on,
        "used": use.used,
        "remaining": None if use.used is None else max(limit - use.used, 0),
    }


@router.get(
    "/v1/promotions/{promotionId}/publishingBudgets",
    summary="Get the budgets of a promotion",
    operation_id="GetPublishingBudgets",
    response_class=Response,
    responses=answer("The budgets, and what is used of each in its present period", BUDGETS_SHOWN),
)
def get_budgets(
    promotionId: str,
    principal: Principal = Depends(caller("GetPublishingBudgets")),  # noqa: B008
) -> Response:
    """periodStart is the first day of the present period, in the tenant's time zone; null for a lifetime. used is null
    for what is counted by customer."""
    return _budgets_shown(principal.scope, promotionId)


@router.patch(
    "/v1/promotions/{promotionId}/publishingBudgets",
    summary="Set the budgets of a promotion",
    operation_id="SetPublishingBudgets",
    response_class=Response,
    responses=answer("The budgets, and what is used of each in its present period", BUDGETS_SHOWN),
    openapi_extra={**changing(inlined(SetBudgets), BUDGETS), "parameters": []},
)
def set_budgets(
    promotionId: str,
    principal: Principal = Depends(caller("SetPublishingBudgets")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """Replaces them, of a promotion that is not archived. A budget bounds, in each period, the number of different
    customers (audience), of redemptions, of redemptions of each customer (customer), or what is granted of a reward
    type (reward).

    Days, weeks from Monday, and months are those of the tenant's time zone. What was redeemed before counts.
    """
    budgets.set_budgets(principal.scope, promotionId, read(SetBudgets, body))
    return _budgets_shown(principal.scope, promotionId)


def _rules_shown(scope: Scope, promotion_id: str) -> Response:
    rules = stacking.rules_of(scope, promotion_id).document()
    return json_response(orjson.dumps({"promotionId": promotion_id, **rules}))


@router.get(
    "/v1/promotions/{promotionId}/stackingRules",
    summary="Get the stacking rules of a promotion",
    operation_id="GetStackingRules",
    response_class=Response,
    responses=answer("The rules", {"promotionId": "p-7f3a", **STACKING}),
)
def get_rules(
    promotionId: str,
    principal: Principal = Depends(caller("GetStackingRules")),  # noqa: B008
) -> Response:
    """With which other promotions it may be redeemed in one order; without rules, with all."""
    return _rules_shown(principal.scope, promotionId)


@router.patch(
    "/v1/promotions/{promotionId}/stackingRules",
    summary="Set the stacking rules of a promotion",
    operation_id="SetStackingRules",
    response_class=Response,
    responses=answer("The rules", {"promotionId": "p-7f3a", **STACKING}),
    openapi_extra={**changing(inlined(StackingRules), STACKING), "parameters": []},
)
def set_rules(
    promotionId: str,
    principal: Principal = Depends(caller("SetStackingRules")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """Replaces them, of a promotion that is not archived. isExclusive: it goes with no other promotion; notWith: it
    does not go with these; group: an order has one promotion of the group at most. A rule of either promotion is
    enough. Redemptions are in the same order if they have the same orderId."""
    stacking.set_rules(principal.scope, promotionId, read(StackingRules, body))
    return _rules_shown(principal.scope, promotionId)
