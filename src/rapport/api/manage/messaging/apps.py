"""Management of apps: the apps and web sites whose SDKs talk to Rapport, and their keys."""

import base64
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin, require_secrets
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.apps import definitions
from rapport.apps.definitions import MadeApp
from rapport.apps.models import App

router = SectionRouter("Management: apps", "/manage/v1/apps", JsonRoute)
AppId = Annotated[int, Path(ge=1, le=2**31 - 1, description="An app, see GET /manage/v1/apps")]
# The first member of the credentials that an app gives its SDK.
CREDENTIALS_VERSION = 1
REGION = "eu-central-2"


class WebSettings(Body):
    """What browsers of the app are told beside its keys."""

    icon_url: str = Field("", max_length=2000, examples=["https://shop.example/icon.png"])
    prompts: dict[str, Any] = Field({}, description="Prompts for the permission to send web push, by name")
    safari_push_id: str = Field("", max_length=255, examples=["web.example.shop"])


class DeviceAppIn(Body):
    """An app to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind Shop"])
    for_web: bool = Field(False, description="The app of browsers that name only the tenant; a tenant has one of these")
    web: WebSettings = WebSettings()


class DeviceAppChange(Body):
    """What to change; members left out stay as they are."""

    name: str = Field("", min_length=1, max_length=200, examples=["Northwind Shop"])
    for_web: bool = False
    web: WebSettings = Field(WebSettings(), description="Replaces all of them")


class DeviceAppKeysChange(Body):
    """Which keys to replace."""

    secret_key: bool = Field(False, description="The key that is in every copy of the app")
    server_key: bool = Field(False, description="The key of your own servers")


class DeviceAppOut(BaseModel):
    """An app, without its keys."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["Northwind Shop"])
    api_key: str = Field(examples=["5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"], description="Names the app; not a secret")
    for_web: bool
    web: WebSettings
    vapid_public_key: str = Field(description="Browsers subscribe to web push with it; it never changes")
    created_at: datetime
    updated_at: datetime


class DeviceAppMade(DeviceAppOut):
    """An app with its new keys."""

    secret_key: str | None = Field(
        examples=["k3J0aWx9r5mQ2vT7bZc1eY8nL4hGdS6fUoPq"],
        description="For the app itself: calls of devices; shown only now, null if it was not replaced",
    )
    server_key: str | None = Field(
        examples=["Zx81kLm2Qw7eRt9yUi0oPa3sDf5gHj4cVb6N"],
        description="For your servers: also sends; shown only now, null if it was not replaced",
    )
    sdk_credentials: str | None = Field(
        examples=["WzEsImV1LWNlbnRyYWwtMiIsIjVlMGI2YmQ1IiwiazNKMGFXeDkiXQ=="],
        description="API key and secret key as the mobile SDKs take them",
    )


def _shown(app: App) -> DeviceAppOut:
    web = WebSettings.model_validate(app.web_settings)
    members = ("id", "name", "api_key", "for_web", "vapid_public_key", "created_at", "updated_at")
    return DeviceAppOut(web=web, **{member: getattr(app, member) for member in members})


def _with_keys(new: MadeApp) -> DeviceAppMade:
    credentials = None
    if new.secret_key:
        members = [CREDENTIALS_VERSION, REGION, new.app.api_key, new.secret_key]
        credentials = base64.b64encode(orjson.dumps(members)).decode()
    return DeviceAppMade(
        **_shown(new.app).model_dump(),
        secret_key=new.secret_key,
        server_key=new.server_key,
        sdk_credentials=credentials,
    )


@router.get("", summary="List apps")
def list_device_apps(page: Paged, principal: Principal = Depends(admin)) -> list[DeviceAppOut]:  # noqa: B008
    """By ID, without their secret keys and server keys."""
    return page.of(definitions.apps(principal.scope)).each(_shown)


@router.post("", status_code=201, summary="Create an app")
def create_device_app(body: DeviceAppIn, principal: Principal = Depends(admin)) -> DeviceAppMade:  # noqa: B008
    """The response contains the keys, which are not shown again."""
    web = body.web.model_dump(exclude_defaults=True)
    return _with_keys(definitions.create_app(principal.scope, body.name, web, for_web=body.for_web))


@router.get("/{app_id}", summary="Get an app")
def get_device_app(app_id: AppId, principal: Principal = Depends(admin)) -> DeviceAppOut:  # noqa: B008
    """Without its secret key and its server key."""
    return _shown(definitions.app(principal.scope, app_id))


@router.patch("/{app_id}", summary="Change an app")
def change_device_app(app_id: AppId, body: DeviceAppChange, principal: Principal = Depends(admin)) -> DeviceAppOut:  # noqa: B008
    """Keys are replaced with POST /manage/v1/apps/{app_id}/rotate-keys."""
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"web"})
    if "web" in body.model_fields_set:
        changes["web_settings"] = body.web.model_dump(exclude_defaults=True)
    return _shown(definitions.change_app(principal.scope, app_id, changes))


@router.post("/{app_id}/rotate-keys", summary="Replace the keys of an app")
def rotate_device_app_keys(
    app_id: AppId,
    body: DeviceAppKeysChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> DeviceAppMade:
    """The keys that were valid until now are refused at once. Copies of the app that have the old secret key can do
    nothing until they are updated.
    """
    require_secrets(principal)
    rotated = definitions.rotate_keys(principal.scope, app_id, secret=body.secret_key, server=body.server_key)
    return _with_keys(rotated)


@router.delete("/{app_id}", status_code=204, summary="Delete an app")
def delete_device_app(app_id: AppId, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Its keys are refused at once, and its installs are deleted with their push tokens."""
    definitions.delete_app(principal.scope, app_id)
