"""Conditional gateways: the address that authorises triggered campaigns. A resource of its own, without /current."""

from typing import Any

import orjson
from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import WireModel, documented, parse, raw_body
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.masks import masked
from rapport.realtime import gateways
from rapport.realtime.models import Gateway

router = SectionRouter("External System Integration")
PATH = "/triggered_conditional_execution_gateway"
EXAMPLE = {"url": "https://promo.acme.example/optimove/gateway"}


class GatewayBody(WireModel):
    """The address of the gateway, how long to wait for a verdict, and what applies without one."""

    url: str = Field(min_length=1, description="Absolute http or https URL")
    timeout_seconds: gateways.Seconds = Field(
        gateways.TIMEOUT_SECONDS, description="How long to wait for a verdict, retries included"
    )
    retries: gateways.Retries = Field(gateways.RETRIES, description="After a failure, within timeout_seconds")
    fallback: gateways.Fallback = Field(gateways.DENY, description="The verdict if the gateway gives none")


def _shown(gateway: Gateway) -> dict[str, Any]:
    return {name: getattr(gateway, name) for name in GatewayBody.model_fields} | {"url": masked(gateway.url)}


@router.put(
    PATH,
    summary="Set the gateway that approves triggered campaigns",
    operation_id="SetConditionalGateway",
    response_class=Response,
    responses={200: {"description": "Success, without a body"}},
    openapi_extra=documented(GatewayBody, EXAMPLE),
)
def set_gateway(
    principal: Principal = Depends(caller("SetConditionalGateway")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """A tenant has one gateway: a new one replaces it."""
    gateway = parse(GatewayBody, body)
    gateways.set_gateway(principal.scope, **gateway.model_dump())
    return Response()


@router.get(
    PATH,
    summary="Get the gateway",
    operation_id="GetConditionalGateways",
    response_class=Response,
    responses={
        200: {
            "description": "One gateway, or none",
            "content": {
                "application/json": {
                    "schema": {"type": "array", "maxItems": 1, "items": GatewayBody.model_json_schema()},
                    "example": [EXAMPLE | {"timeout_seconds": 3.0, "retries": 0, "fallback": "deny"}],
                }
            },
        },
    },
)
def get_gateways(principal: Principal = Depends(caller("GetConditionalGateways"))) -> Response:  # noqa: B008
    """An array with the gateway, empty if none is set."""
    gateway = gateways.gateway(principal.scope)
    return json_response(orjson.dumps([_shown(gateway)] if gateway else []))


@router.delete(
    PATH,
    summary="Remove the gateway",
    operation_id="DeleteConditionalGateway",
    response_class=Response,
    responses={200: {"description": "Success, without a body"}},
)
def delete_gateway(principal: Principal = Depends(caller("DeleteConditionalGateway"))) -> Response:  # noqa: B008
    """Without a gateway, conditional triggered campaigns reach nobody."""
    gateways.delete_gateway(principal.scope)
    return Response()
