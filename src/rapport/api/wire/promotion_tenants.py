"""The promotion tenant: its status, the properties that promotions may use, and what they may grant."""

from collections.abc import Sequence
from typing import Any

from fastapi import Depends, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.sections import SectionRouter
from rapport.api.wire.promotion_bodies import (
    STALE,
    TRANSACTION_SCHEMA,
    CommandCall,
    answer,
    body_of,
    changing,
    inlined_schema,
    object_of,
    register,
    version_of,
    versioned,
)
from rapport.promotions import tenants
from rapport.promotions.changing import commands_of, read
from rapport.promotions.definitions import Definition
from rapport.promotions.models import PromotionTenant

router = SectionRouter("Promotions")
PATH = "/v1/tenants/{tenantId}"
SHOWN = {
    "id": "tn-01",
    "status": "active",
    "metadata": {"name": "Northwind Play", "description": None, "settings": {}},
    "customerPropertySchema": {"properties": [{"key": "vipLevel", "type": "string", "required": False}]},
    "promotionPropertySchema": {"properties": [{"key": "regionTag", "type": "string", "required": False}]},
    "sessionPropertySchema": {"properties": [{"key": "depositAmount", "type": "number", "required": False}]},
    "rewardTypes": [{"key": "freeSpins", "name": "Free spins", "category": "units", "constraints": {"max": 500}}],
    "createdAt": "2026-01-02T03:04:05Z",
    "updatedAt": "2026-01-02T03:04:05Z",
    "version": 4,
}
PROPERTIES = {"properties": [{"key": "vipLevel", "type": "string", "attribute": "VIP_LEVEL"}]}
TRANSACTION = {
    "commands": [
        {"type": "deactivate"},
        {"type": "setPromotionPropertySchema", "properties": [{"key": "regionTag", "type": "string"}]},
        {"type": "activate"},
    ]
}


def shown(tenant: PromotionTenant) -> dict[str, Any]:
    """A promotion tenant as clients read it."""
    return {
        "id": tenant.id,
        "status": tenant.status,
        "metadata": {"name": tenant.name, "description": tenant.description, "settings": tenant.settings},
        "customerPropertySchema": {"properties": tenant.customer_properties},
        "promotionPropertySchema": {"properties": tenant.promotion_properties},
        "sessionPropertySchema": {"properties": tenant.session_properties},
        "rewardTypes": tenant.reward_types,
        "createdAt": tenant.created_at,
        "updatedAt": tenant.updated_at,
        "version": tenant.version,
    }


@router.get(
    PATH,
    summary="Get a tenant by id",
    operation_id="GetPromotionTenant",
    response_class=Response,
    responses=answer("The promotion tenant", SHOWN),
)
def get_tenant(
    tenantId: str,
    principal: Principal = Depends(caller("GetPromotionTenant")),  # noqa: B008
) -> Response:
    """The properties that promotions and their conditions may use, and the rewards that they may grant."""
    return versioned(shown(tenants.promotion_tenant(principal.scope, tenantId)))


@router.post(
    "/v1/tenants",
    summary="Create a tenant",
    operation_id="CreatePromotionTenant",
    status_code=201,
    response_class=Response,
    responses=answer("Created, as a draft", SHOWN, 201),
    openapi_extra=changing(inlined_schema(tenants.Create), {"name": "Northwind Play"}),
)
def create_tenant(
    principal: Principal = Depends(caller("CreatePromotionTenant")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """A tenant of Rapport has one promotion tenant; a second one is refused with 409.

    Without an id it has that of the tenant of Rapport.
    """
    command = read(tenants.Create, body)
    tenant = tenants.change_tenant(principal.scope, command.id, [command])
    assert tenant is not None  # noqa: S101 - nothing deleted it
    return versioned(shown(tenant), 201)


@router.delete(
    PATH,
    summary="Delete an existing tenant",
    operation_id="DeletePromotionTenant",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Deleted"}, 412: STALE},
    openapi_extra=changing(None),
)
def delete_tenant(
    request: Request,
    tenantId: str,
    principal: Principal = Depends(caller("DeletePromotionTenant")),  # noqa: B008
) -> Response:
    """Its promotions are archived. An active tenant must be deactivated first: 409."""
    tenants.change_tenant(principal.scope, tenantId, [tenants.Delete()], version_of(request))
    return Response(status_code=204)


@router.post(
    f"{PATH}/transactions",
    summary="Create a tenant transaction",
    operation_id="CreatePromotionTenantTransaction",
    response_class=Response,
    responses=answer("The tenant after the last command", SHOWN) | {412: STALE},
    openapi_extra=changing(TRANSACTION_SCHEMA, TRANSACTION),
)
def create_transaction(
    request: Request,
    tenantId: str,
    principal: Principal = Depends(caller("CreatePromotionTenantTransaction")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """1 to 100 commands, in order; if one fails, none has any effect, and the error names its place from 0.

    The types are create, setMetadata, setCustomerPropertySchema, setPromotionPropertySchema, setSessionPropertySchema,
    setRewardTypes, activate, deactivate and delete, each with the members of its own call. The answer is 204 if the
    last command deleted the tenant.
    """
    commands = commands_of(object_of(body).get("commands"), tenants.COMMANDS)
    tenant = tenants.change_tenant(principal.scope, tenantId, commands, version_of(request), listed=True)
    return Response(status_code=204) if tenant is None else versioned(shown(tenant))


def _run(scope: Scope, id: str, commands: Sequence[Definition], version: int | None) -> dict[str, Any]:
    tenant = tenants.change_tenant(scope, id, commands, version)
    assert tenant is not None  # noqa: S101 - none of these commands deletes it
    return shown(tenant)


register(
    router,
    PATH,
    (
        CommandCall(
            "activate",
            "Activate a draft or deactivated tenant",
            "ActivatePromotionTenant",
            tenants.Activate,
            "From now on promotions can be activated and validated.",
        ),
        CommandCall(
            "deactivate",
            "Deactivate an active tenant",
            "DeactivatePromotionTenant",
            tenants.Deactivate,
            "Promotions keep their status, but nobody is validated; the tenant can be edited.",
        ),
        CommandCall(
            "metadata",
            "Set metadata to a draft or deactivated tenant",
            "SetPromotionTenantMetadata",
            tenants.SetMetadata,
            "What is left out stays as it is.",
            {"name": "Northwind Play"},
        ),
        CommandCall(
            "customerPropertySchema",
            "Set customer property schema to a draft or deactivated tenant",
            "SetCustomerPropertySchema",
            tenants.SetCustomerPropertySchema,
            "Replaces the properties of customers that conditions and rewards may use: attributes of customers, or "
            "measures of what they did. A property that an active promotion uses can neither go nor get another type: "
            "409.",
            PROPERTIES,
        ),
        CommandCall(
            "promotionPropertySchema",
            "Set promotion property schema to a draft or deactivated tenant",
            "SetPromotionPropertySchema",
            tenants.SetPromotionPropertySchema,
            "Replaces the properties that promotions may carry. Values that promotions have are checked when they are "
            "set the next time.",
            {"properties": [{"key": "regionTag", "type": "string", "constraints": {"enum": ["R1", "R2"]}}]},
        ),
    ),
    _run,
    SHOWN,
)
