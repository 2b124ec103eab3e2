"""Management of the events' intake: where events are sent, and the tokens that open it."""

import base64
from datetime import datetime
from typing import Annotated, Literal

import orjson
from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin, require_secrets
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.realtime.events import tokens
from rapport.realtime.models import EventToken

router = SectionRouter("Management: events", "/manage/v1/event-intake", JsonRoute)

SHOWN = 6
CONFIG_NAME = "mobile.1.0.0"


class TokenOut(BaseModel):
    """A token; masked unless reveal is set."""

    value: str = Field(examples=["rt_k3x…"])
    created_at: datetime


class EndpointsOut(BaseModel):
    """Where to send events."""

    server_events: str = Field(examples=["https://rapport.example.com/v1/events"])
    optistream: str = Field(examples=["https://rapport.example.com/v1/optistream/sdk-…"])
    realtime_gateway: str = Field(examples=["https://rapport.example.com/v1/realtime/sdk-…"])
    metrics: str = Field(examples=["https://rapport.example.com/v1/metrics/3001/saveEvent"])
    sdk_config: str = Field(examples=["https://rapport.example.com/mobilesdkconfig/sdk-…/mobile.1.0.0.json"])


class IntakeOut(BaseModel):
    """Everything that a sender of events needs to know."""

    tenant_id: int = Field(examples=[3001])
    server_token: TokenOut = Field(description="Secret: for servers, as a header or to sign with")
    vendor_token: TokenOut = Field(
        description="Secret: for providers, who sign metrics with it and can send nothing else"
    )
    sdk_token: TokenOut = Field(description="Public: in the SDKs of apps and web sites")
    sdk_credentials: str = Field(description="What an app gives to its SDK; empty unless tokens are revealed")
    endpoints: EndpointsOut


class Rotation(Body):
    """Which token is to be replaced."""

    kind: Literal["server", "sdk", "vendor"] = Field(examples=["server"])
    grace_hours: float = Field(
        tokens.GRACE_HOURS,
        ge=0,
        le=24 * 90,
        examples=[24],
        description="How long the previous token stays valid; 0: it ends at once",
    )


def _token(token: EventToken, reveal: bool) -> TokenOut:
    value = token.value if reveal else token.value[:SHOWN] + "…"
    return TokenOut(value=value, created_at=token.created_at)


def _shown(principal: Principal, reveal: bool) -> IntakeOut:
    scope, event_tokens = principal.scope, tokens.tokens(principal.scope)
    base, public = scope.stores.settings.links_url, _token(event_tokens["sdk"], reveal)
    credentials = base64.b64encode(orjson.dumps([1, event_tokens["sdk"].value, CONFIG_NAME])).decode()
    return IntakeOut(
        tenant_id=scope.tenant_id,
        server_token=_token(event_tokens["server"], reveal),
        vendor_token=_token(event_tokens["vendor"], reveal),
        sdk_token=public,
        sdk_credentials=credentials if reveal else "",
        endpoints=EndpointsOut(
            server_events=f"{base}/v1/events",
            optistream=f"{base}/v1/optistream/{public.value}",
            realtime_gateway=f"{base}/v1/realtime/{public.value}",
            metrics=f"{base}/v1/metrics/{scope.tenant_id}/saveEvent",
            sdk_config=f"{base}/mobilesdkconfig/{public.value}/{CONFIG_NAME}.json",
        ),
    )


@router.get("", summary="Get event addresses and tokens")
def get_intake(
    reveal: Annotated[bool, Query(description="Show the complete tokens")] = False,
    principal: Principal = Depends(admin),  # noqa: B008
) -> IntakeOut:
    """Creates the tokens if there are none yet. The audit log records when complete tokens are shown."""
    if reveal:
        require_secrets(principal)
        tokens.note_revealed(principal.scope)
    return _shown(principal, reveal)


@router.post("/rotate", summary="Rotate an event token")
def rotate_token(
    body: Rotation,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> IntakeOut:
    """The response shows the new token. The previous one stays valid during grace_hours; with 0 it ends at once (in
    other processes within two seconds).
    """
    tokens.rotate(principal.scope, body.kind, body.grace_hours)
    request.app.state.directory.forget(principal.scope.tenant_id)
    return _shown(principal, reveal=True)
