"""Management of SMS channels: the addresses that providers call."""

from datetime import datetime

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.templates import Id
from rapport.api.sections import SectionRouter
from rapport.channels.sms import aggregators, directory
from rapport.delivery.returns import sms_calls
from rapport.errors import NotFound

router = SectionRouter("Management: channels", "/manage/v1", JsonRoute)


class SmsAddressesOut(BaseModel):
    """The addresses of an SMS channel that its provider calls."""

    aggregator_base_url: str = Field(
        examples=["https://links.northwind.example/sms/1k2j3"],
        description="The base address of the SMS API, for an aggregator",
    )
    connected_at: datetime | None = Field(description="When the aggregator made its handshake; null: not yet")
    reports_url: str = Field(description="Where an HTTP provider reports what became of messages; keep it secret")
    answers_url: str = Field(description="Where an HTTP provider hands on answers of people; keep it secret")


@router.get("/channels/{channel_id}/sms-addresses", summary="Get the addresses that an SMS provider calls")
def get_sms_addresses(
    channel_id: Id,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SmsAddressesOut:
    """404 for a channel that is not one for SMS."""
    scope = principal.scope
    channel = next((channel for channel in directory.sms_channels(scope) if channel.id == channel_id), None)
    if channel is None:
        raise NotFound(f"There is no SMS channel {channel_id}.")
    aggregator = aggregators.aggregator_of(scope, directory.settings_of(channel).shared_secret, channel_id)
    return SmsAddressesOut(
        aggregator_base_url=sms_calls.base_url(scope, channel),
        connected_at=aggregator and aggregator.connected_at,
        reports_url=sms_calls.provider_url(scope, channel, "reports"),
        answers_url=sms_calls.provider_url(scope, channel, "answers"),
    )
