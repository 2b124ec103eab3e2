"""Redemptions of promo codes: at once, or reserved first and then committed or rolled back."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import CustomerID, inlined
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.promotion_bodies import answer, body_of, number
from rapport.errors import Invalid
from rapport.promotions.changing import read
from rapport.promotions.definitions import Definition, Name
from rapport.redemptions import ending, redeeming
from rapport.redemptions.models import Redemption

router = SectionRouter("Promotions")
PATH = "/v1/promocodes/redemptions"
HEADER = "Idempotency-Key"
LONGEST_KEY = 255
KEY = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "schema": {"type": "string", "maxLength": LONGEST_KEY},
    "description": "A name of the caller's for this redemption: repeated under it, it is not carried out again",
}
SHOWN = {
    "redemptionId": "0b1f6f0e-8f0e-4f1c-9d57-3f0f5f1a2b3c",
    "state": "reserved",
    "promotionId": "p-7f3a",
    "promocodeId": "spring-2026",
    "promoCode": "SPRING26",
    "customerId": "Q1001",
    "orderId": "order-77",
    "campaignId": None,
    "promotionTierId": "t1",
    "promotionTierName": "High",
    "rewards": [{"rewardType": "freeSpins", "category": "units", "value": 20}],
    "currency": "EUR",
    "createdAt": "2026-03-09T10:00:00Z",
    "reservedUntil": "2026-03-09T10:15:00Z",
    "endedAt": None,
}
EXAMPLE = {
    "promoCode": "SPRING26",
    "customerId": "Q1001",
    "sessionProperties": {"depositAmount": 120},
    "orderId": "order-77",
    "reserveSeconds": 900,
}
MOST_SECONDS = int(redeeming.LONGEST_RESERVATION.total_seconds())


class CampaignData(Definition):
    """Which campaign led to the redemption."""

    campaign_id: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]


class RedeemIn(Definition):
    """What a customer redeems. With reserveSeconds it is reserved for so long, and not committed yet."""

    promo_code: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
    customer_id: CustomerID
    session_properties: dict[str, Any] = Field(default_factory=dict)
    order_id: Name | None = None
    reserve_seconds: Annotated[int, Field(strict=True, ge=1, le=MOST_SECONDS)] | None = None
    campaign_data: CampaignData | None = None


def _shown(redemption: Redemption) -> dict[str, Any]:
    rewards = [{**reward, "value": Decimal(reward["value"])} for reward in redemption.rewards]
    return {
        "redemptionId": redemption.id,
        "state": redemption.state,
        "promotionId": redemption.promotion_id,
        "promocodeId": redemption.pool_id,
        "promoCode": redemption.code,
        "customerId": redemption.customer_id,
        "orderId": redemption.order_id,
        "campaignId": redemption.campaign_id,
        "promotionTierId": redemption.tier_id,
        "promotionTierName": redemption.tier_name,
        "rewards": rewards,
        "currency": redemption.currency,
        "createdAt": redemption.created_at,
        "reservedUntil": redemption.reserved_until,
        "endedAt": redemption.ended_at,
    }


def _answered(redemption: Redemption, status: int = 200) -> Response:
    return json_response(orjson.dumps(_shown(redemption), default=number), status)


def _key_of(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not key or len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(f"{HEADER} is required: a header of 1 to {LONGEST_KEY} printable ASCII characters.")
    return key


@router.post(
    PATH,
    summary="Redeem a promo code",
    operation_id="RedeemPromoCode",
    status_code=201,
    response_class=Response,
    responses=answer("Redeemed, or reserved", SHOWN, 201)
    | answer("Redeemed before under the same key: the redemption as it is now", SHOWN),
    openapi_extra={
        "parameters": [KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": inlined(RedeemIn), "example": EXAMPLE}},
        },
    },
)
async def redeem(
    request: Request,
    principal: Principal = Depends(caller("RedeemPromoCode")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """The customer is validated, the rewards are recorded as they are now, and the budgets of the promotion and a
    unique code are taken, all or nothing. The code may also be the promotion's own.

    A refusal is 409, and its error is CodeNotValid, CodeRedeemed, CodeOfAnother, NotEligible, NotCombinable,
    CustomerLimitReached or BudgetExceeded; it uses up neither the code nor the key. The same key with another body is a
    409, too.
    """
    asked = read(RedeemIn, body)
    seconds = asked.reserve_seconds
    redeemed, is_repeated = await redeeming.redeem_soon(
        principal.scope,
        redeeming.Request(
            _key_of(request),
            asked.promo_code,
            asked.customer_id,
            asked.session_properties,
            timedelta(seconds=seconds) if seconds is not None else None,
            asked.order_id,
            asked.campaign_data.campaign_id if asked.campaign_data else None,
        ),
    )
    return _answered(redeemed, 200 if is_repeated else 201)


@router.get(
    f"{PATH}/{{redemptionId}}",
    summary="Get a redemption by id",
    operation_id="GetRedemption",
    response_class=Response,
    responses=answer("The redemption, with the rewards that it granted", SHOWN),
)
def get_redemption(
    redemptionId: str,
    principal: Principal = Depends(caller("GetRedemption")),  # noqa: B008
) -> Response:
    """Its rewards are those of the moment at which it was made, whatever the promotion says now."""
    return _answered(redeeming.redemption(principal.scope, redemptionId))


@router.post(
    f"{PATH}/{{redemptionId}}/commit",
    summary="Commit a reserved redemption",
    operation_id="CommitRedemption",
    response_class=Response,
    responses=answer("As it is now", {**SHOWN, "state": "committed"}),
)
def commit(
    redemptionId: str,
    principal: Principal = Depends(caller("CommitRedemption")),  # noqa: B008
) -> Response:
    """Makes it final. A committed one stays as it is; 409 for one that was rolled back or has expired."""
    return _answered(ending.commit(principal.scope, redemptionId))


@router.post(
    f"{PATH}/{{redemptionId}}/rollback",
    summary="Roll back a redemption",
    operation_id="RollBackRedemption",
    response_class=Response,
    responses=answer("As it is now", {**SHOWN, "state": "rolledBack"}),
)
def roll_back(
    redemptionId: str,
    principal: Principal = Depends(caller("RollBackRedemption")),  # noqa: B008
) -> Response:
    """Of a reserved or committed one: its code can be redeemed again, and its part of the budgets is free, in the
    periods in which it was redeemed. One that was rolled back or has expired stays as it is."""
    return _answered(ending.roll_back(principal.scope, redemptionId))
