"""Management of installs: which devices and browsers have an app, how pushes reach them, and what went wrong."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.apps import AppId
from rapport.api.manage.messaging.channels import TestOut
from rapport.api.sections import SectionRouter
from rapport.apps import definitions, installs
from rapport.apps.models import Install
from rapport.apps.states import TokenType
from rapport.channels import opening
from rapport.channels.messages import Content
from rapport.channels.push.addressing import to_app
from rapport.channels.push.serving import channel_of_app

router = SectionRouter("Management: apps", "/manage/v1/apps/{app_id}", JsonRoute)
InstallId = Annotated[str, Path(max_length=100, description="An installation of the app")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
LATEST = 50
SERVICES = {
    TokenType.APNS: "apns",
    TokenType.FCM: "fcm",
    TokenType.WEB_PUSH: "web push",
    TokenType.SAFARI: "safari",
    TokenType.HMS: "hms",
}


class InstallOut(BaseModel):
    """An app on one device or in one browser."""

    model_config = ConfigDict(from_attributes=True)

    install_id: str = Field(examples=["5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"])
    customer_id: str | None = Field(examples=["Q1001"], description="null while nobody has signed in")
    push_service: str | None = Field(
        examples=["fcm"],
        description="apns, fcm, hms, web push or safari: through which pushes are sent; null without a push token",
    )
    token_at: datetime | None = Field(description="When the push token was registered")
    token_ended_at: datetime | None = Field(description="When the last push token ended")
    token_end_reason: str = Field(examples=["The device has unsubscribed."])
    is_production: bool = Field(description="For APNs: false for test builds, which are reached through its sandbox")
    notifications_enabled: bool | None = Field(description="Whether the device shows notifications; null if unknown")
    in_app_consent: bool | None = Field(description="Whether the user agreed to in-app messages; null if unknown")
    os: str = Field(examples=["Android 14"])
    device: str = Field(examples=["Pixel 8"], description="The device, or the user agent of a browser")
    time_zone: str = Field(examples=["Europe/Berlin"], description="Empty if unknown")
    locale: str = Field(examples=["de-DE"])
    app_version: str = Field(examples=["4.2.1"])
    sdk: str = Field(examples=["Android 7.1.0"])
    bundle_id: str = Field(examples=[""])
    package: str = Field(examples=["com.example.shop"])
    created_at: datetime
    seen_at: datetime = Field(description="When Rapport last heard of it")


class InstallDetailsOut(InstallOut):
    """An installation with its push token."""

    token: str | None = Field(description="The push token; for web push the PushSubscription as JSON")


class TestPushIn(Body):
    """What a test push says."""

    title: str = Field("Test push", min_length=1, max_length=200)
    message: str = Field("This is a test push from Rapport.", min_length=1, max_length=1000)


class ProviderErrorOut(BaseModel):
    """A push that a push service refused."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    install_id: str = Field(examples=["5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"])
    customer_id: str | None = Field(examples=["Q1001"])
    provider: str = Field(examples=["fcm"])
    status: int = Field(examples=[404], description="The HTTP status; 0 if there was no response")
    reason: str = Field(examples=["UNREGISTERED"])
    at: datetime


def _service(install: Install) -> str | None:
    return None if install.token_type is None else SERVICES[install.token_type]


def _shown(install: Install) -> InstallOut:
    members = {name: getattr(install, name) for name in InstallOut.model_fields if name != "push_service"}
    return InstallOut(push_service=_service(install), **members)


@router.get("/installs", summary="List installations of an app")
def list_installs(
    app_id: AppId,
    customer_id: Annotated[str | None, Query(max_length=300, description="Only those of this customer")] = None,
    limit: Limit = LATEST,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[InstallOut]:
    """Those that Rapport heard of last come first."""
    definitions.app(principal.scope, app_id)
    return installs.search(principal.scope, app_id, customer_id, limit, offset).each(_shown)


@router.get("/installs/{install_id}", summary="Get an installation of an app")
def get_install(
    app_id: AppId,
    install_id: InstallId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> InstallDetailsOut:
    """With its push token."""
    install = installs.install(principal.scope, app_id, install_id)
    return InstallDetailsOut(**_shown(install).model_dump(), token=install.token)


@router.post("/installs/{install_id}/test-push", summary="Send a test push to an installation")
def send_test_push(
    app_id: AppId,
    install_id: InstallId,
    body: TestPushIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TestOut:
    """Send one push at once to this device alone and return its outcome; suppressions and consent do not apply.

    404 if no push channel serves the app. See GET /manage/v1/apps/{app_id}/push-errors for what a push service refused.
    """
    install = installs.install(principal.scope, app_id, install_id)
    channel = channel_of_app(principal.scope, app_id)
    person, content = install.customer_id or install.install_id, Content(body.title, body.message)
    message = channel.behaviour.write(f"test-{uuid.uuid4()}", "test", person, content)
    with opening.trying(principal.scope, channel) as transport:
        (receipt,) = transport.send([replace(message, headers=to_app(app_id, install_id))])
    return TestOut.model_validate(receipt, from_attributes=True)


@router.delete("/installs/{install_id}", status_code=204, summary="Delete an installation of an app")
def delete_install(
    app_id: AppId,
    install_id: InstallId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """With its push token. If the app is still in use, it comes back at its next start."""
    installs.delete_install(principal.scope, app_id, install_id)


@router.get("/push-errors", summary="List errors of push services")
def list_push_errors(
    app_id: AppId,
    install_id: Annotated[str | None, Query(max_length=100, description="Only those of this installation")] = None,
    limit: Limit = LATEST,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ProviderErrorOut]:
    """Pushes that a push service refused in the last 30 days, newest first."""
    definitions.app(principal.scope, app_id)
    errors = installs.provider_errors(principal.scope, app_id, install_id, limit, offset)
    return errors.each(lambda error: ProviderErrorOut.model_validate(error))
