"""Management of tenants and brands."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from rapport.access import service
from rapport.access.keys import Principal
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.api.auth import admin, operator
from rapport.campaigns import settings as campaign_settings
from rapport.customers import service as customers
from rapport.customers import settings as file_settings
from rapport.errors import Invalid
from rapport.insight import settings as insight_settings
from rapport.messaging import settings as messaging_settings
from rapport.realtime import settings as event_settings
from rapport.stores import Stores

router = APIRouter(prefix="/manage/v1", tags=["Management: access"])

SECTIONS: dict[str, Callable[[Scope], object]] = {
    "campaigns": campaign_settings.settings_of,
    "insight": insight_settings.settings_of,
    "events": event_settings.settings_of,
    "files": file_settings.settings_of,
    "consent": customers.consents,
    "messaging": messaging_settings.settings_of,
}


class TenantIn(BaseModel):
    """A tenant to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind"])
    time_zone: str = Field("UTC", max_length=64, examples=["Europe/Berlin"], description="IANA name; cuts the days")
    currency: str = Field("USD", examples=["EUR"], description="Three letters; all money of the tenant is in it")


class TenantChange(BaseModel):
    """What to change of a tenant; members left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", min_length=1, max_length=200, examples=["Northwind Trading"])
    time_zone: str = Field("", max_length=64, examples=["Europe/Berlin"], description="Fixed once data are loaded")
    currency: str = Field("", examples=["EUR"])
    settings: dict[str, dict[str, Any] | None] = Field(
        {}, examples=[{"campaigns": {"messages_per_day": 3}}], description="Sections to replace; null removes one"
    )


class TenantOut(BaseModel):
    """A tenant."""

    id: int = Field(examples=[3001])
    name: str = Field(examples=["Northwind"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    currency: str = Field(examples=["EUR"])
    last_data_date: date | None = Field(description="The newest day whose daily process has finished")
    settings: dict[str, Any]


class BrandIn(BaseModel):
    """A brand to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind Outlet"])


class BrandOut(BaseModel):
    """A brand."""

    id: int
    name: str


def _check_settings(scope: Scope, settings: dict[str, dict[str, Any] | None]) -> None:
    """Raises Invalid for a section that is not known, or a member of one that its package cannot use."""
    trial = replace(scope, settings={section: given for section, given in settings.items() if given is not None})
    for section in settings:
        if section not in SECTIONS:
            raise Invalid(f"settings has no section {section!r}: it has {', '.join(SECTIONS)}.")
        SECTIONS[section](trial)


def _shown(tenant: Tenant) -> TenantOut:
    return TenantOut.model_validate(tenant, from_attributes=True)


def _own(scope: Scope) -> TenantOut:
    return _shown(service.find_tenant(scope.stores, str(scope.tenant_id)))


@router.get("/tenants", summary="List tenants (operator)")
def list_tenants(stores: Stores = Depends(operator)) -> list[TenantOut]:  # noqa: B008
    """Every tenant, by id; only for the operator on the server's machine."""
    return [_shown(tenant) for tenant in service.tenants(stores)]


@router.post("/tenants", status_code=201, summary="Create a tenant (operator)")
def create_tenant(body: TenantIn, stores: Stores = Depends(operator)) -> TenantOut:  # noqa: B008
    """Create a tenant with its warehouse database; 409 for a name that is taken."""
    return _own(service.create_tenant(stores, body.name, body.time_zone, body.currency, actor="operator"))


@router.get("/tenants/current", summary="The key's own tenant")
def get_tenant(principal: Principal = Depends(admin)) -> TenantOut:  # noqa: B008
    """The tenant that the key belongs to, with its settings."""
    return _own(principal.scope)


@router.patch("/tenants/current", summary="Change the key's own tenant")
def change_tenant(
    body: TenantChange,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TenantOut:
    """Change names, currency or settings; 409 for another time zone once data are loaded."""
    _check_settings(principal.scope, body.settings)
    changed = service.update_tenant(principal.scope, body.model_dump(exclude_unset=True))
    request.app.state.keys.forget()
    request.app.state.directory.forget(principal.scope.tenant_id)
    return _own(changed)


@router.get("/brands", summary="List brands")
def list_brands(principal: Principal = Depends(admin)) -> list[BrandOut]:  # noqa: B008
    """The tenant's brands, by id."""
    return [BrandOut(id=brand.id, name=brand.name) for brand in service.brands(principal.scope)]


@router.post("/brands", status_code=201, summary="Create a brand")
def create_brand(body: BrandIn, principal: Principal = Depends(admin)) -> BrandOut:  # noqa: B008
    """Create a brand; 409 for a name that is taken."""
    brand = service.create_brand(principal.scope, body.name)
    return BrandOut(id=brand.id, name=brand.name)
