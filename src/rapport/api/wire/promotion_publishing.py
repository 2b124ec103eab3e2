"""The publisher of promotions, for services that decide together with it, or themselves."""

import re
from typing import Any

import orjson
from fastapi import Depends
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import LONGEST_CUSTOMER_ID
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.promotion_bodies import answer, body_of, object_of
from rapport.campaigns.occurrences import occurrence
from rapport.campaigns.publishing import publisher, rewards
from rapport.errors import Invalid, NotFound

router = SectionRouter("Promotions")
PATH = "/v1/promotions/publisher/campaigns/{campaignId}"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
MOST_VALUES, LONGEST_VALUE, MOST_LISTED = 20, 1000, 10_000
ID = {"type": "string", "maxLength": LONGEST_CUSTOMER_ID}
CUSTOMERS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["customerIds"],
    "properties": {"customerIds": {"type": "array", "minItems": 1, "maxItems": publisher.BATCH, "items": ID}},
}
PUBLISHED = {
    "campaignId": 7731,
    "customers": [
        {"customerId": "Q1001", "status": True, "values": {"FREESPINS": "20"}},
        {"customerId": "Q1002", "status": False, "values": {}},
        {"customerId": "Q9999", "status": None, "values": {}},
    ],
}
REWARDS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["rewards"],
    "properties": {
        "rewards": {
            "type": "array",
            "minItems": 1,
            "maxItems": publisher.BATCH,
            "items": {
                "type": "object",
                "required": ["customerId", "values"],
                "properties": {
                    "customerId": ID,
                    "values": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        }
    },
}
LISTED = {
    "campaignId": 7731,
    "rewards": [
        {
            "customerId": "Q1001",
            "values": {"FREESPINS": "20"},
            "grants": [{"promotionId": "spring", "promotionTierId": "high", "promoCode": "SPR-RELOAD"}],
        }
    ],
}


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}, "parameters": []}


def _campaign_id(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise NotFound(f"There is no campaign {text!r}.")
    return int(text)


def _customer_id(value: Any, at: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_CUSTOMER_ID:
        raise Invalid(f"{at} must be a text of 1 to {LONGEST_CUSTOMER_ID} characters.")
    return value.strip()


def _list(body: Any, name: str) -> list[Any]:
    values = object_of(body).get(name.lower())
    if not isinstance(values, list) or not 1 <= len(values) <= publisher.BATCH:
        raise Invalid(f"{name} must be a list of 1 to {publisher.BATCH} customers.")
    return values


@router.post(
    f"{PATH}/customers",
    summary="Publish promotions to customers of a campaign",
    operation_id="PublishCampaignCustomers",
    response_class=Response,
    responses=answer("What became of each customer, in the order of customerIds", PUBLISHED),
    openapi_extra=_body(CUSTOMERS_SCHEMA, {"customerIds": ["Q1001", "Q1002", "Q9999"]}),
)
def publish_customers(
    campaignId: str,
    principal: Principal = Depends(caller("PublishCampaignCustomers")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """For a conditional campaign that awaits approval: the promotions of the customers' promo codes decide about them.

    Who gets a reward is approved, and [%REWARD:NAME%] shows it; the others are refused. What was decided or reported
    before stays as it is, so the call may be repeated. status is null for an id that is none of a recipient.
    """
    ids = [_customer_id(value, f"customerIds[{place}]") for place, value in enumerate(_list(body, "customerIds"))]
    number = _campaign_id(campaignId)
    customers = [
        {"customerId": customer.customer_id, "status": customer.approved, "values": dict(customer.values)}
        for customer in publisher.publish_customers(principal.scope, number, ids)
    ]
    return json_response(orjson.dumps({"campaignId": number, "customers": customers}))


def _values(data: Any, at: str) -> tuple[str, dict[str, str]]:
    members = object_of(data) if isinstance(data, dict) else {}
    values = members.get("values")
    customer_id = _customer_id(members.get("customerid"), f"{at}.customerId")
    if not isinstance(values, dict) or not 1 <= len(values) <= MOST_VALUES:
        raise Invalid(f"{at}.values must be an object with 1 to {MOST_VALUES} texts.")
    for name, text in values.items():
        if not NAME.fullmatch(name):
            raise Invalid(f"{at}.values: {name!r} must be letters, digits and underscores, and begin with a letter.")
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_VALUE:
            raise Invalid(f"{at}.values.{name} must be a text of 1 to {LONGEST_VALUE} characters.")
    return customer_id, values


@router.put(
    f"{PATH}/rewards",
    summary="Upload rewards of customers of a campaign",
    operation_id="UploadCampaignRewards",
    response_class=Response,
    responses=answer("The ids that are none of a recipient", {"campaignId": 7731, "unknown": ["Q9999"]}),
    openapi_extra=_body(REWARDS_SCHEMA, {"rewards": [{"customerId": "Q1001", "values": {"freeSpins": "25"}}]}),
)
def upload_rewards(
    campaignId: str,
    principal: Principal = Depends(caller("UploadCampaignRewards")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """For a conditional campaign that awaits approval: the values that [%REWARD:NAME%] shows, by customer.

    They take the place of all values that the customer had in this campaign; of a customer named twice the last ones
    count. Nobody is approved by it: call UpdateCustomerPromotionStatus afterwards.
    """
    uploaded = {
        customer_id.lower(): (customer_id, values)
        for customer_id, values in (
            _values(entry, f"rewards[{place}]") for place, entry in enumerate(_list(body, "rewards"))
        )
    }
    number = _campaign_id(campaignId)
    unknown = publisher.upload(principal.scope, number, dict(uploaded.values()))
    return json_response(orjson.dumps({"campaignId": number, "unknown": unknown}))


@router.get(
    f"{PATH}/rewards",
    summary="List rewards of customers of a campaign",
    operation_id="ListCampaignRewards",
    response_class=Response,
    responses=answer("By customer id", LISTED),
)
def list_rewards(
    campaignId: str,
    limit: int = 1000,
    offset: int = 0,
    principal: Principal = Depends(caller("ListCampaignRewards")),  # noqa: B008
) -> Response:
    """What customers of a campaign are given. grants tells which promotions gave it; it is empty for uploads."""
    if not 1 <= limit <= MOST_LISTED:
        raise Invalid(f"limit must be 1 to {MOST_LISTED}.")
    if not 0 <= offset <= 1_000_000_000:
        raise Invalid("offset must be 0 to 1000000000.")
    campaign = occurrence(principal.scope, _campaign_id(campaignId))
    listed = [
        {
            "customerId": customer.customer_id,
            "values": dict(customer.values),
            "grants": [
                {
                    "promotionId": grant.promotion_id,
                    "promotionTierId": grant.promotion_tier_id,
                    "promoCode": grant.promo_code,
                }
                for grant in customer.grants
            ],
        }
        for customer in rewards.listed(principal.scope, campaign, limit, offset)
    ]
    return json_response(orjson.dumps({"campaignId": campaign.id, "rewards": listed}))
