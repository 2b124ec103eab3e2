"""Management of suppressions: who must not be written to."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.auth import admin
from rapport.channels import service as channels
from rapport.messaging import service
from rapport.messaging.service import EVERY_CHANNEL, Suppression

router = APIRouter(prefix="/manage/v1/suppressions", tags=["Management: suppressions"])
OptionalChannel = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


class SuppressionIn(BaseModel):
    """Whom not to write to any more."""

    model_config = ConfigDict(extra="forbid")

    customer_id: str = Field(min_length=1, max_length=255, examples=["Q1001"])
    channel_id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[504], description="null: on any channel")
    reason: Literal["unsubscribed", "bounced", "complaint", "manual"] = "manual"


class SuppressionOut(BaseModel):
    """A customer who gets nothing on a channel, or on any; nor does anybody else at its addresses."""

    customer_id: str = Field(examples=["Q1001"])
    channel_id: int | None = Field(examples=[504], description="null: any channel")
    reason: str = Field(examples=["unsubscribed"])
    created_at: datetime


def _shown(found: Suppression) -> SuppressionOut:
    return SuppressionOut(
        customer_id=found.customer_id,
        channel_id=found.channel_id or None,
        reason=found.reason,
        created_at=found.created_at,
    )


@router.get("", summary="List suppressions")
def list_suppressions(
    customer_id: Annotated[str | None, Query(max_length=300)] = None,
    channel_id: OptionalChannel = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SuppressionOut]:
    """By customer and channel; of one customer or one channel when asked for."""
    found = service.list_suppressions(principal.scope, customer_id, channel_id, limit, offset)
    return [_shown(row) for row in found]


@router.post("", status_code=201, summary="Suppress a customer")
def add_suppression(
    body: SuppressionIn,
    response: Response,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SuppressionOut:
    """201 when it is new, 200 when the customer was suppressed there before: the first reason is kept."""
    if body.channel_id is not None:
        channels.channel(principal.scope, body.channel_id)
    channel_id = body.channel_id or EVERY_CHANNEL
    found, new = service.suppress(principal.scope, body.customer_id, channel_id, body.reason)
    if not new:
        response.status_code = 200
    return _shown(found)


@router.delete("", status_code=204, summary="Take a suppression back")
def remove_suppression(
    customer_id: Annotated[str, Query(min_length=1, max_length=300)],
    channel_id: OptionalChannel = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Of the channel, or without one the suppression on any channel; 404 when there is none.

    Suppressions of other customers with the same address are taken back with it: the address is let in again.
    """
    service.allow(principal.scope, customer_id, channel_id or EVERY_CHANNEL)
