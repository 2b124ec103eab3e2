"""Management of links into apps, and of the banners that offer them on web pages."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.apps import AppId
from rapport.api.sections import SectionRouter
from rapport.apps import deep_links, definitions
from rapport.apps.deep_links import LinkTarget

router = SectionRouter("Management: apps", "/manage/v1/apps/{app_id}", JsonRoute)
NAME = r"^[A-Za-z0-9_-]{1,100}$"
Slug = Annotated[str, Path(pattern=NAME, description="The end of the link's address: letters, digits, _ and -")]
BannerUid = Annotated[str, Path(pattern=NAME, description="The ID of the banner: letters, digits, _ and -")]


class DeepLinkIn(Body):
    """A deep link."""

    link_data: dict[str, Any] = Field(examples=[{"screen": "product", "id": "A-1009"}], description="For the app")
    title: str = Field("", max_length=255, examples=["Rain coat"])
    description: str = Field("", max_length=1000, examples=["In blue"])
    expires_at: datetime | None = Field(None, description="From then on it leads nowhere; null: never")
    most_uses: int | None = Field(None, ge=1, le=2**31 - 1, description="How often it may be used; null: any number")


class DeepLinkOut(BaseModel):
    """A deep link with its uses."""

    model_config = ConfigDict(from_attributes=True)

    slug: str = Field(examples=["spring-coat"])
    link_data: dict[str, Any]
    title: str
    description: str
    expires_at: datetime | None
    most_uses: int | None
    uses: int = Field(description="How often devices have asked for it")
    deferred_uses: int = Field(description="How often of these the app was installed only after the link was followed")
    created_at: datetime


class BannerIn(Body):
    """A banner."""

    settings: dict[str, Any] = Field(examples=[{"title": "Get the app"}], description="As the web SDK takes them")


class BannerOut(BannerIn):
    """A banner with its taps."""

    model_config = ConfigDict(from_attributes=True)

    uid: str = Field(examples=["spring"])
    taps: int
    created_at: datetime


@router.get("/deep-links", summary="List deep links of an app")
def list_deep_links(app_id: AppId, page: Paged, principal: Principal = Depends(admin)) -> list[DeepLinkOut]:  # noqa: B008
    """By slug."""
    definitions.app(principal.scope, app_id)
    links = deep_links.deep_links(principal.scope, app_id)
    return page.of(links).each(lambda link: DeepLinkOut.model_validate(link))


@router.put("/deep-links/{slug}", summary="Create or change a deep link")
def save_deep_link(
    app_id: AppId,
    slug: Slug,
    body: DeepLinkIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> DeepLinkOut:
    """A link that is changed keeps the count of its uses."""
    definitions.app(principal.scope, app_id)
    target = LinkTarget(**body.model_dump())
    return DeepLinkOut.model_validate(deep_links.save_deep_link(principal.scope, app_id, slug, target))


@router.delete("/deep-links/{slug}", status_code=204, summary="Delete a deep link")
def delete_deep_link(app_id: AppId, slug: Slug, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """It leads nowhere from now on."""
    deep_links.delete_deep_link(principal.scope, app_id, slug)


@router.get("/banners", summary="List banners of an app")
def list_banners(app_id: AppId, page: Paged, principal: Principal = Depends(admin)) -> list[BannerOut]:  # noqa: B008
    """By ID."""
    definitions.app(principal.scope, app_id)
    return page.of(deep_links.banners(principal.scope, app_id)).each(lambda banner: BannerOut.model_validate(banner))


@router.put("/banners/{uid}", summary="Create or change a banner")
def save_banner(
    app_id: AppId,
    uid: BannerUid,
    body: BannerIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> BannerOut:
    """A banner that is changed keeps the count of its taps."""
    definitions.app(principal.scope, app_id)
    return BannerOut.model_validate(deep_links.save_banner(principal.scope, app_id, uid, body.settings))


@router.delete("/banners/{uid}", status_code=204, summary="Delete a banner")
def delete_banner(app_id: AppId, uid: BannerUid, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Pages stop showing it when they load the banners next."""
    deep_links.delete_banner(principal.scope, app_id, uid)
