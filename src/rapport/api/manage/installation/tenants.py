"""Management of tenants and brands."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from rapport.access import service, tenant_limits
from rapport.access.keys import Principal
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.api.http.auth import admin, for_tenant, operator
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.campaigns import settings as campaign_settings
from rapport.campaigns.runs import hold_out
from rapport.customers import service as customers
from rapport.customers import settings as file_settings
from rapport.errors import Invalid
from rapport.insight import settings as insight_settings
from rapport.messaging import settings as messaging_settings
from rapport.realtime import settings as event_settings
from rapport.stores import Stores

MOST_LIMIT = 2**31 - 1
router = SectionRouter("Management: access", "/manage/v1", JsonRoute)


@dataclass(frozen=True)
class Section:
    """A section of the settings: its members, and how its package reads it, which raises Invalid."""

    members: type[BaseModel]
    read: Callable[[Scope], object]


SECTIONS = {
    "campaigns": Section(campaign_settings.CampaignSettings, campaign_settings.settings_of),
    "insight": Section(insight_settings.InsightSettings, insight_settings.settings_of),
    "events": Section(event_settings.EventSettings, event_settings.settings_of),
    "files": Section(file_settings.FileSettings, file_settings.settings_of),
    "consent": Section(customers.ConsentSettings, customers.consents),
    "messaging": Section(messaging_settings.MessagingSettings, messaging_settings.settings_of),
}


class TenantIn(Body):
    """A tenant to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind"])
    time_zone: str = Field(
        "UTC", max_length=64, examples=["Europe/Berlin"], description="IANA name; decides when days begin"
    )
    currency: str = Field("USD", examples=["EUR"], description="ISO code of three letters, for all money of the tenant")


class TenantChange(Body):
    """What to change of a tenant; members that are left out stay as they are."""

    name: str = Field("", min_length=1, max_length=200, examples=["Northwind Trading"])
    time_zone: str = Field(
        "", max_length=64, examples=["Europe/Berlin"], description="Cannot be changed once data are loaded"
    )
    currency: str = Field("", examples=["EUR"])
    settings: dict[str, dict[str, Any] | None] = Field(
        {},
        examples=[{"campaigns": {"messages_per_day": 3}}],
        description="Members to change, by section; those left out stay as they are, null restores a default",
    )


class TenantOut(BaseModel):
    """A tenant."""

    id: int = Field(examples=[3001])
    name: str = Field(examples=["Northwind"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    currency: str = Field(examples=["EUR"])
    last_data_date: date | None = Field(description="The newest day whose daily cycle has finished")
    settings: dict[str, Any]
    sender_domains: list[str] = Field(
        examples=[["northwind.example"]],
        description="Domains from which it may send mail through the server's mail server; the operator allows them",
    )


class LimitsOut(BaseModel):
    """The limits that the operator has set for a tenant; 0 means no limit."""

    model_config = ConfigDict(from_attributes=True)

    calls: int = Field(description="Calls of all keys together in the window of rate limits", examples=[500])
    app_events: int = Field(description="Events that apps send with the public token in 10 seconds", examples=[20000])
    keys: int = Field(description="API keys", examples=[100])


class LimitsChange(Body):
    """Limits to set; members that are left out stay as they are, null restores the default, 0 means no limit."""

    calls: int | None = Field(None, ge=0, le=MOST_LIMIT, examples=[2000])
    app_events: int | None = Field(None, ge=0, le=MOST_LIMIT, examples=[50000])
    keys: int | None = Field(None, ge=0, le=MOST_LIMIT, examples=[200])


class BrandIn(Body):
    """A brand to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind Outlet"])


class BrandOut(BaseModel):
    """A brand."""

    id: int
    name: str


def _check_known(settings: dict[str, dict[str, Any] | None]) -> None:
    """Raises Invalid for a section or a member of one that is not known.

    Only what is written is held to known members: stored ones that a later release no longer knows can still be read.
    """
    for section, given in settings.items():
        if section not in SECTIONS:
            raise Invalid(f"settings has no section {section!r}: it has {', '.join(SECTIONS)}.")
        members = SECTIONS[section].members.model_fields
        for name in given or {}:
            if name not in members:
                raise Invalid(f"settings.{section} has no member {name!r}: it has {', '.join(members)}.")


def _usable(settings: dict[str, dict[str, Any] | None]) -> service.Check:
    """A check of the sections that are written, each as it would be as a whole.

    It raises Invalid for one that its package cannot use, Conflict for a hold-out that begins too early.
    """

    def check(stored: Scope, wanted: Scope, session: Session) -> None:
        for section in settings:
            wanted.section(section, SECTIONS[section].members, strict=True)
            SECTIONS[section].read(wanted)
        if "campaigns" in settings:
            hold_out.check_change(stored, session, campaign_settings.settings_of(wanted).hold_out)
        if "messaging" in settings:
            messaging_settings.check_change(stored, wanted)

    return check


def _shown(tenant: Tenant) -> TenantOut:
    return TenantOut.model_validate(tenant, from_attributes=True)


def _own(scope: Scope) -> TenantOut:
    return _shown(service.tenant(scope))


@router.get("/tenants", summary="List tenants (operator)")
def list_tenants(page: Paged, stores: Stores = Depends(operator)) -> list[TenantOut]:  # noqa: B008
    """All tenants, by ID; only for the operator on the server's machine."""
    return page.of(service.tenants(stores)).each(_shown)


@router.post("/tenants", status_code=201, summary="Create a tenant (operator)")
def create_tenant(body: TenantIn, stores: Stores = Depends(operator)) -> TenantOut:  # noqa: B008
    """Create a tenant with its warehouse database; 409 for a name that is taken."""
    return _own(service.create_tenant(stores, body.name, body.time_zone, body.currency, actor="operator"))


@router.get("/tenants/current", summary="Get the key's tenant")
def get_tenant(principal: Principal = Depends(admin)) -> TenantOut:  # noqa: B008
    """The tenant that the key belongs to, with its settings."""
    return _own(principal.scope)


@router.patch("/tenants/current", summary="Change the key's tenant")
def change_tenant(
    body: TenantChange,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TenantOut:
    """Change names, currency or settings; 409 for another time zone once data are loaded.

    Settings are a JSON Merge Patch (RFC 7396), at any depth: members that are left out stay as they are, null
    restores the default, and a list is replaced as a whole. Each section is then checked as a whole.
    """
    _check_known(body.settings)
    changed = service.update_tenant(principal.scope, body.model_dump(exclude_unset=True), _usable(body.settings))
    request.app.state.keys.forget()
    request.app.state.directory.forget(principal.scope.tenant_id)
    return _own(changed)


@router.get("/tenants/current/limits", summary="Get the limits of the key's tenant")
def get_limits(principal: Principal = Depends(admin)) -> LimitsOut:  # noqa: B008
    """Only the operator can change it."""
    return LimitsOut.model_validate(tenant_limits.limits_of(principal.scope))


@router.patch("/tenants/current/limits", summary="Change the limits of a tenant (operator)")
def change_limits(
    body: LimitsChange,
    request: Request,
    stores: Stores = Depends(operator),  # noqa: B008
) -> LimitsOut:
    """The header X-Rapport-Tenant names the tenant. Existing keys stay, but the tenant's limit of calls also applies
    to them.
    """
    scope = for_tenant(request, stores).scope
    changed = tenant_limits.change_limits(scope, body.model_dump(exclude_unset=True))
    request.app.state.keys.forget()
    request.app.state.directory.forget(scope.tenant_id)
    return LimitsOut.model_validate(changed)


@router.get("/brands", summary="List brands")
def list_brands(page: Paged, principal: Principal = Depends(admin)) -> list[BrandOut]:  # noqa: B008
    """The tenant's brands, by id."""
    return page.of(service.brands(principal.scope)).each(lambda brand: BrandOut(id=brand.id, name=brand.name))


@router.post("/brands", status_code=201, summary="Create a brand")
def create_brand(body: BrandIn, principal: Principal = Depends(admin)) -> BrandOut:  # noqa: B008
    """Create a brand; 409 for a name that is taken."""
    brand = service.create_brand(principal.scope, body.name)
    return BrandOut(id=brand.id, name=brand.name)
