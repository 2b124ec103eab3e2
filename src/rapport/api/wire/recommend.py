"""Recommendations: what a placement shows to a customer now. Request and answer are those of the reference.

The reference documents no answer for sports: an item has the members of its record with score and rank, as the answer
for games is documented.
"""

import uuid
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import raw_body
from rapport.api.http.json_bodies import loaded
from rapport.api.http.responses import RECOMMEND, json_response
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.api.wire.sports import BRAND, brand_of
from rapport.errors import Invalid
from rapport.placements import service
from rapport.placements.definitions import Product, definition_of
from rapport.placements.recommending import Asked, Item, recommend

router = SectionRouter("Recommendations")
LONGEST, MOST_EXCLUDED = 300, 200
EXAMPLE = {
    "context": {"product": "Sports", "category": "Tennis"},
    "userId": "Q1001",
    "type": "recommendation",
    "recommendation": {"target": {"exclusions": {"inBetSlip": True, "additionalItemList": ["sl-1"]}}},
}
ANSWER = {
    "recommendation": {
        "result": [
            {
                "event": {
                    "eventKey": "ev-2",
                    "typeKey": "open-1",
                    "eventName": "C v D",
                    "eventDateTime": "2030-05-06T14:00:00Z",
                    "extra": {"court": 1},
                    "score": 0.41,
                    "rank": 1,
                    "basis": "personal",
                }
            }
        ],
        "recId": "0b5f6f5e-43a4-4b60-9d2c-6f3a1f1f0a11",
        "recDateTime": "2030-05-06T11:58:00.000Z",
        "explanation": {"reason": "personal"},
    }
}
_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST}
SCHEMA = {
    "type": "object",
    "required": ["context", "userId", "type"],
    "properties": {
        "context": {
            "type": "object",
            "required": ["product"],
            "description": "Other members, such as page and channel, change nothing",
            "properties": {
                "product": {"type": "string", "enum": list(Product), "description": "That of the placement"},
                "category": {**_TEXT, "description": "Only items of this category, by key or name"},
            },
        },
        "userId": {**_TEXT, "description": "The customer; of one who is not known, what is popular is recommended"},
        "type": {"type": "string", "enum": ["recommendation"]},
        "recommendation": {
            "type": "object",
            "properties": {
                "target": {
                    "type": "object",
                    "properties": {
                        "exclusions": {
                            "type": "object",
                            "properties": {
                                "inBetSlip": {
                                    "type": "boolean",
                                    "description": "Nothing of events that the customer has in the slip",
                                },
                                "additionalItemList": {
                                    "type": "array",
                                    "maxItems": MOST_EXCLUDED,
                                    "items": {"anyOf": [_TEXT, {"type": "integer"}]},
                                    "description": "Nothing of the events of these selections; or none of these "
                                    "products",
                                },
                            },
                        }
                    },
                }
            },
        },
    },
}
DESCRIBED = {
    **CHANGES_NOTHING,
    "parameters": [BRAND],
    "requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA, "example": EXAMPLE}}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The items, best first or in the order of the placement",
        "content": {"application/json": {"schema": {"type": "object"}, "example": ANSWER}},
    }
}


def asked(data: Any) -> Asked:
    """What a body asks. Raises Invalid that names the member."""
    body = _object(data, "The body")
    context = _object(body.get("context"), "context")
    product = context.get("product")
    if product not in list(Product):
        raise Invalid(f"context.product must be {' or '.join(Product)}.")
    if body.get("type") != "recommendation":
        raise Invalid("type must be recommendation.")
    exclusions = _exclusions(body)
    in_bet_slip = _or(exclusions.get("inBetSlip"), False)
    if not isinstance(in_bet_slip, bool):
        raise Invalid("recommendation.target.exclusions.inBetSlip must be true or false.")
    category = context.get("category")
    return Asked(
        product=Product(product),
        customer_id=_text(body.get("userId"), "userId"),
        category=None if category is None else _text(category, "context.category"),
        in_bet_slip=in_bet_slip,
        excluded=_excluded(_or(exclusions.get("additionalItemList"), [])),
    )


def _exclusions(body: dict[str, Any]) -> dict[str, Any]:
    within, path = body, []
    for name in ("recommendation", "target", "exclusions"):
        path.append(name)
        within = _object(_or(within.get(name), {}), ".".join(path))
    return within


def _excluded(value: Any) -> frozenset[str]:
    where = "recommendation.target.exclusions.additionalItemList"
    if not isinstance(value, list) or len(value) > MOST_EXCLUDED:
        raise Invalid(f"{where} must be an array of at most {MOST_EXCLUDED} keys.")
    # Keys of numbers come as numbers, too.
    return frozenset(
        str(key) if isinstance(key, int) and not isinstance(key, bool) else _text(key, f"{where}[{place}]")
        for place, key in enumerate(value)
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"{name} must be an object.")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST:
        raise Invalid(f"{name} must be a text of 1 to {LONGEST} characters.")
    return value


def _shown(item: Item, rank: int) -> dict[str, Any]:
    return {item.kind: {**item.members, "score": item.score, "rank": rank, "basis": item.basis}}


@router.post(
    f"{RECOMMEND}v1/placements/{{placementKey}}/recommendations",
    summary="Recommend to a customer",
    operation_id="GetRecommendations",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=DESCRIBED,
)
def get_recommendations(
    request: Request,
    placement_key: Annotated[str, Path(alias="placementKey", description="A placement, see GET /manage/v1/placements")],
    principal: Principal = Depends(caller("GetRecommendations")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """What a placement shows to a customer now. explanation.reason says what it is based on.

    personal: the customer's own activity; popular: that of all customers.
    """
    brand = brand_of(request, principal)
    placement = definition_of(service.placement(principal.scope, placement_key))
    items = recommend(principal.scope, brand, placement, asked(loaded(body)))
    # Of products, the first are the customer's own where there are any.
    reason = items[0].basis if items else None
    answer = {
        "result": [_shown(item, rank) for rank, item in enumerate(items, start=1)],
        "recId": str(uuid.uuid4()),
        "recDateTime": principal.scope.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "explanation": {"reason": reason},
    }
    return json_response(orjson.dumps({"recommendation": answer}))
