"""Management of webhooks: an outside channel's customers as files, told by event 14."""

from typing import Annotated

from fastapi import Depends, Path
from pydantic import ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.addresses import MASKED_IS_KEPT
from rapport.api.sections import SectionRouter
from rapport.campaigns.delivery import webhooks
from rapport.campaigns.delivery.webhooks import ChannelWebhook
from rapport.errors import NotFound
from rapport.masks import masked

router = SectionRouter("Management: channels", "/manage/v1/channels/{channel_id}/webhook", JsonRoute)
ChannelId = Annotated[int, Path(ge=1, le=2**31 - 1)]
AttributeName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]


class WebhookIn(Body):
    """The address to which an external channel's provider is notified, and the content of its files."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_]{1,50}$", examples=["texts"], description="Used in the names of folders; unique"
    )
    url: str = Field(
        min_length=1, max_length=2000, examples=["https://hooks.example.com/files"], description=MASKED_IS_KEPT
    )
    rows_per_file: int = Field(10_000, ge=10_000, le=100_000, description="Maximum number of customers per file")
    attributes: list[AttributeName] = Field([], max_length=100, examples=[["FIRST_NAME", "MOBILE_NUMBER"]])


class WebhookOut(WebhookIn):
    """The webhook of a channel. Its secret is that of the listener of type 14."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    channel_id: int = Field(examples=[505])
    name: str = Field(examples=["texts"])


def _shown(webhook: ChannelWebhook) -> WebhookOut:
    return WebhookOut.model_validate(webhook).model_copy(update={"url": masked(webhook.url)})


@router.get("", summary="Get the webhook of a channel")
def get_webhook(channel_id: ChannelId, principal: Principal = Depends(admin)) -> WebhookOut:  # noqa: B008
    """404 when it has none."""
    webhook = webhooks.webhook(principal.scope, channel_id)
    if webhook is None:
        raise NotFound(f"Channel {channel_id} has no webhook.")
    return _shown(webhook)


@router.put("", summary="Set the webhook of a channel")
def set_webhook(channel_id: ChannelId, body: WebhookIn, principal: Principal = Depends(admin)) -> WebhookOut:  # noqa: B008
    """It is used from the next execution on; the address is checked like those of listeners."""
    return _shown(webhooks.set_webhook(principal.scope, channel_id, **body.model_dump()))


@router.delete("", status_code=204, summary="Remove the webhook of a channel")
def delete_webhook(channel_id: ChannelId, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """After this, only event 13 announces campaigns on the channel."""
    webhooks.delete_webhook(principal.scope, channel_id)
