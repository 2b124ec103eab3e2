"""Management of tenants."""

from datetime import date
from typing import Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from rapport.access import service, tenant_limits
from rapport.access.keys import Principal
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.tenant_settings import Section, by_name, check_known, check_of
from rapport.api.http.auth import admin, for_tenant, operator
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.campaigns.runs import hold_out
from rapport.campaigns.settings import CampaignSettings
from rapport.channels.sms.settings import SmsSettings
from rapport.customers import consent
from rapport.customers.consent import ConsentSettings
from rapport.customers.settings import FileSettings, TransactionSettings
from rapport.insight.settings import InsightSettings
from rapport.messaging import settings as messaging_settings
from rapport.messaging.settings import MessagingSettings
from rapport.realtime.settings import EventSettings
from rapport.stores import Stores
from rapport.transactional.settings import TransactionalSettings

MOST_LIMIT = 2**31 - 1
router = SectionRouter("Management: access", "/manage/v1", JsonRoute)


SECTIONS = by_name(
    Section(CampaignSettings, hold_out.check_change),
    Section(InsightSettings),
    Section(EventSettings),
    Section(FileSettings),
    Section(TransactionSettings),
    Section(ConsentSettings, consent.check_consents),
    Section(MessagingSettings, messaging_settings.check_change),
    Section(TransactionalSettings),
    Section(SmsSettings),
)


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


def _shown(tenant: Tenant) -> TenantOut:
    return TenantOut.model_validate(tenant, from_attributes=True)


def _own(scope: Scope) -> TenantOut:
    return _shown(service.tenant(scope))


def _read_anew(request: Request, tenant_id: int) -> None:
    """Have this process forget what it keeps of a tenant."""
    request.app.state.keys.forget()
    if request.app.state.directory is not None:
        request.app.state.directory.forget(tenant_id)


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
    check_known(SECTIONS, body.settings)
    changed = service.update_tenant(
        principal.scope, body.model_dump(exclude_unset=True), check_of(SECTIONS, body.settings)
    )
    _read_anew(request, principal.scope.tenant_id)
    return _own(changed)


@router.get("/tenants/current/limits", summary="Get the limits of the key's tenant")
def get_limits(principal: Principal = Depends(admin)) -> LimitsOut:  # noqa: B008
    """Only the operator can change them."""
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
    _read_anew(request, scope.tenant_id)
    return LimitsOut.model_validate(changed)
