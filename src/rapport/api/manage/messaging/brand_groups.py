"""Management of brand groups: which brands share topics, and on which channels customers choose them."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.messaging.models import BrandGroup, WishSource
from rapport.messaging.topics import brand_groups, subscriptions
from rapport.messaging.topics.subscriptions import Preferences
from rapport.messaging.topics.topics import MOST_TOPICS

router = SectionRouter("Management: topics", "/manage/v1/brand-groups", JsonRoute)
ChannelId = Annotated[int, Field(ge=1, le=2**31 - 1)]
EXAMPLE_ID = "6f1c0a52-9d0b-4f5e-8f6c-2a4f3b7c9d10"
TOPIC_ID = "1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"


class BrandGroupIn(Body):
    """A brand group. Its topics can be chosen on the channels that it names, and on no others."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind"])
    channels: dict[int, Annotated[list[ChannelId], Field(max_length=100)]] = Field(
        max_length=len(brand_groups.WIRE_CHANNELS),
        description="Channels of the tenant by the number that the preference centre has for their kind: 15 e-mail, "
        "427 in-app, 489 mobile push, 490 web push, 493 SMS, 495 inbox, 498 WhatsApp",
        examples=[{"15": [504], "493": [505]}],
    )
    requires_proof: bool = Field(
        False,
        description="Whether the preference centre needs an X-User-JWT of the customer, or an API key. Otherwise "
        "anybody who knows a CustomerID can see and change the customer's preferences",
    )


class BrandGroupOut(BaseModel):
    """A brand group."""

    id: str = Field(examples=[EXAMPLE_ID], description="brandGroupId of the preference centre")
    name: str = Field(examples=["Northwind"])
    channels: dict[int, list[int]] = Field(examples=[{"15": [504], "493": [505]}])
    requires_proof: bool
    link_page: str = Field(
        description="The page on which a customer enters an e-mail address and is sent a link to the page of "
        "preferences"
    )
    created_at: datetime
    updated_at: datetime


class TopicPreference(BaseModel):
    """A topic with the channels on which the customer is subscribed to it."""

    topic_id: str = Field(examples=[TOPIC_ID])
    name: str = Field(examples=["Weekly tips"])
    channels: list[int] = Field(examples=[[15]], description="Numbers of the preference centre")


class TopicChoice(Body):
    """The channels on which the customer is subscribed to a topic from now on."""

    topic_id: str = Field(max_length=100, examples=[TOPIC_ID])
    channels: list[int] = Field(max_length=100, examples=[[15]])


class PreferenceChange(Body):
    """Topics to change; others stay as they are."""

    topics: list[TopicChoice] = Field(max_length=MOST_TOPICS)
    wording: str = Field(
        "",
        max_length=2000,
        description="What the customer read or was told before agreeing, for the log of consent",
        examples=["Yes, send me weekly tips by e-mail."],
    )


CustomerId = Annotated[str, Query(min_length=1, max_length=255, examples=["Q1001"])]


def _shown(principal: Principal, group: BrandGroup) -> BrandGroupOut:
    base = principal.scope.stores.settings.links_url
    return BrandGroupOut(
        id=group.id,
        name=group.name,
        channels={int(number): ids for number, ids in group.channels.items()},
        requires_proof=group.requires_proof,
        link_page=f"{base}/preference-link/{principal.scope.tenant_id}/{group.id}",
        created_at=group.created_at,
        updated_at=group.updated_at,
    )


def _preferences(preferences: Preferences) -> list[TopicPreference]:
    return [
        TopicPreference(topic_id=state.topic.id, name=state.topic.name, channels=list(state.subscribed))
        for state in preferences.topics
    ]


@router.get("", summary="List brand groups")
def list_brand_groups(page: Paged, principal: Principal = Depends(admin)) -> list[BrandGroupOut]:  # noqa: B008
    """The tenant's brand groups, by name."""
    return page.of(brand_groups.brand_groups(principal.scope)).each(lambda group: _shown(principal, group))


@router.post("", status_code=201, summary="Create a brand group")
def create_brand_group(body: BrandGroupIn, principal: Principal = Depends(admin)) -> BrandGroupOut:  # noqa: B008
    """Create a brand group; 400 for a channel that does not exist or is named twice, 409 for a name that is taken."""
    group = brand_groups.create_brand_group(
        principal.scope, body.name, body.channels, requires_proof=body.requires_proof
    )
    return _shown(principal, group)


@router.get("/{brand_group_id}", summary="Get a brand group")
def get_brand_group(brand_group_id: str, principal: Principal = Depends(admin)) -> BrandGroupOut:  # noqa: B008
    """A brand group."""
    return _shown(principal, brand_groups.brand_group(principal.scope, brand_group_id))


@router.put("/{brand_group_id}", summary="Replace a brand group")
def put_brand_group(
    brand_group_id: str,
    body: BrandGroupIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> BrandGroupOut:
    """Subscriptions stay. 409 if a template of one of its topics is on a channel that the group would not have."""
    group = brand_groups.replace_brand_group(
        principal.scope, brand_group_id, body.name, body.channels, requires_proof=body.requires_proof
    )
    return _shown(principal, group)


@router.delete("/{brand_group_id}", status_code=204, summary="Delete a brand group")
def delete_brand_group(brand_group_id: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Delete a brand group; 409 while it has topics."""
    brand_groups.delete_brand_group(principal.scope, brand_group_id)


@router.get("/{brand_group_id}/preferences", summary="Get a customer's preferences")
def get_customer_preferences(
    brand_group_id: str,
    customer_id: CustomerId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TopicPreference]:
    """Every topic of the group, hidden ones too, with the channels on which the customer is subscribed to it."""
    return _preferences(subscriptions.preferences(principal.scope, brand_group_id, customer_id, with_hidden=True))


@router.put("/{brand_group_id}/preferences", summary="Change a customer's preferences")
def put_customer_preferences(
    brand_group_id: str,
    customer_id: CustomerId,
    body: PreferenceChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TopicPreference]:
    """For each topic, the channels in the body replace those of the customer. The log of consent records changes."""
    wanted_channels = {choice.topic_id: choice.channels for choice in body.topics}
    subscriptions.set_subscriptions(
        principal.scope,
        brand_group_id,
        customer_id,
        wanted_channels,
        WishSource.MANAGEMENT,
        body.wording,
        with_hidden=True,
    )
    return _preferences(subscriptions.preferences(principal.scope, brand_group_id, customer_id, with_hidden=True))
