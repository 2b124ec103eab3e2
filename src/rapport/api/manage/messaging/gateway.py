"""Management of the gateway that authorises triggered campaigns: its secret, and how it fares."""

from datetime import datetime

from fastapi import Depends, Response
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.addresses import MASKED_IS_KEPT
from rapport.api.manage.messaging.rotations import SecretRotation
from rapport.api.sections import SectionRouter
from rapport.errors import NotFound
from rapport.masks import masked
from rapport.realtime import gateways
from rapport.realtime.models import Gateway

router = SectionRouter("Management: gateway", "/manage/v1/gateway", JsonRoute)


class GatewayIn(Body):
    """The gateway to set; members that are left out get their defaults."""

    url: str = Field(
        min_length=1, max_length=2000, examples=["https://promo.acme.example/gateway"], description=MASKED_IS_KEPT
    )
    timeout_seconds: gateways.Seconds = Field(
        gateways.TIMEOUT_SECONDS, examples=[3.0], description="How long to wait for a verdict, retries included"
    )
    retries: gateways.Retries = Field(
        gateways.RETRIES, examples=[1], description="After a failure, within timeout_seconds"
    )
    fallback: gateways.Fallback = Field(
        gateways.DENY, examples=["deny"], description="The verdict if the gateway gives none"
    )


class GatewayOut(BaseModel):
    """The gateway and its state."""

    url: str = Field(examples=["https://promo.acme.example/gateway"])
    timeout_seconds: float = Field(examples=[3.0])
    retries: int = Field(examples=[1])
    fallback: gateways.Fallback = Field(examples=["deny"])
    circuit: gateways.Circuit = Field(
        examples=["closed"],
        description="open: too many questions in a row were not answered, nothing is asked before open_until;"
        " half-open: one question at a time tries whether it is back",
    )
    failures: int = Field(examples=[0], description="Questions without an answer since the last answer")
    open_until: datetime | None = Field(examples=[None])
    updated_at: datetime


class GatewayWithSecret(GatewayOut):
    """The gateway with a new secret, which is shown only now; null if the previous secret was kept."""

    secret: str | None = Field(examples=["whsec_bm90LWEtcmVhbC1zZWNyZXQ="])


def _out(gateway: Gateway) -> GatewayOut:
    members = {name: getattr(gateway, name) for name in GatewayOut.model_fields if name not in ("circuit", "url")}
    circuit = gateways.circuit(gateway.failures, gateway.open_until)
    return GatewayOut(circuit=circuit, url=masked(gateway.url), **members)


def _with_secret(gateway: Gateway, new: bool) -> GatewayWithSecret:
    return GatewayWithSecret(**_out(gateway).model_dump(), secret=gateway.secret if new else None)


@router.get("", summary="Get the gateway")
def get_gateway(principal: Principal = Depends(admin)) -> GatewayOut:  # noqa: B008
    """404 when none is set."""
    gateway = gateways.gateway(principal.scope)
    if gateway is None:
        raise NotFound("There is no gateway.")
    return _out(gateway)


@router.put(
    "",
    summary="Set the gateway",
    responses={201: {"model": GatewayWithSecret, "description": "There was no gateway before: its secret is shown"}},
)
def set_gateway(
    body: GatewayIn,
    response: Response,
    principal: Principal = Depends(admin),  # noqa: B008
) -> GatewayWithSecret:
    """Like PUT /triggered_conditional_execution_gateway; also shows the secret of a new gateway and closes the
    circuit.
    """
    gateway, new = gateways.set_gateway(principal.scope, **body.model_dump())
    response.status_code = 201 if new else 200
    return _with_secret(gateway, new)


@router.delete("", status_code=204, summary="Remove the gateway")
def delete_gateway(principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """After this, conditional triggered campaigns reach nobody."""
    gateways.delete_gateway(principal.scope)


@router.post("/rotate-secret", summary="Rotate the gateway's secret")
def rotate_gateway_secret(
    body: SecretRotation | None = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> GatewayWithSecret:
    """Shows the new secret. During grace_hours (24 by default), questions have signatures of both secrets."""
    grace = (body or SecretRotation()).grace_hours
    return _with_secret(gateways.rotate_secret(principal.scope, grace), new=True)
