"""Promotions: what they are, what changes them, and who qualifies for them."""

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
from rapport.errors import NotFound
from rapport.promotions import editing
from rapport.promotions.changing import commands_of, read
from rapport.promotions.definitions import Definition
from rapport.promotions.models import Promotion
from rapport.promotions.tenants import promotion_tenant

router = SectionRouter("Promotions")
PATH = "/v1/promotions/{promotionId}"
TREE = {
    "branches": [
        {"condition": {"type": "or"}},
        {
            "parent": 0,
            "condition": {
                "type": "property",
                "source": "customer",
                "key": "vipLevel",
                "operator": "in",
                "value": ["gold", "platinum"],
            },
        },
        {
            "parent": 0,
            "condition": {
                "type": "property",
                "source": "customer",
                "key": "lifetimeDeposits",
                "operator": "greaterThanOrEquals",
                "value": 1000,
            },
        },
    ]
}
SPINS = {"rewardType": "freeSpins", "calculation": {"type": "fixed", "value": 20}}
BONUS = {
    "rewardType": "bonus",
    "calculation": {"type": "percentage", "of": "depositAmount", "percent": 10, "min": 1, "max": 50},
}
TIERS = {
    "promotionTiers": [
        {"id": "t1", "name": "High", "conditionTree": TREE, "rewards": [SPINS, BONUS]},
        {"id": "t2", "name": "Everyone else", "conditionTree": {"branches": []}, "rewards": [SPINS]},
    ]
}
SHOWN: dict[str, Any] = {
    "id": "p-7f3a",
    "tenantId": "tn-01",
    "status": "draft",
    "code": "SPR-RELOAD",
    "metadata": {"name": "Spring reload", "description": "Reload offer"},
    "conditionTree": {"branches": []},
    "promotionTiers": TIERS["promotionTiers"],
    "properties": {"regionTag": "R1"},
    "createdAt": "2026-01-02T03:04:05Z",
    "updatedAt": "2026-01-02T03:04:05Z",
    "activatedAt": None,
    "version": 2,
}
TRANSACTION = {
    "commands": [
        {"type": "create", "name": "Spring reload", "code": "SPR-RELOAD"},
        {"type": "setPromotionTiers", **TIERS},
        {"type": "activate"},
    ]
}


def shown(scope: Scope, promotion: Promotion) -> dict[str, Any]:
    """A promotion as clients read it."""
    try:
        tenant = promotion_tenant(scope).id
    except NotFound:
        tenant = None
    return editing.shown(promotion, tenant)


def _run(scope: Scope, id: str, commands: Sequence[Definition], version: int | None) -> dict[str, Any]:
    return shown(scope, editing.change_promotion(scope, id, commands, version))


@router.get(
    PATH,
    summary="Get a promotion by id",
    operation_id="GetPromotion",
    response_class=Response,
    responses=answer("The promotion", SHOWN),
)
def get_promotion(
    promotionId: str,
    principal: Principal = Depends(caller("GetPromotion")),  # noqa: B008
) -> Response:
    """Archived promotions stay readable. The ETag is the version, for If-Match of a change."""
    return versioned(shown(principal.scope, editing.promotion(principal.scope, promotionId)))


@router.post(
    "/v1/promotions",
    summary="Create a promotion",
    operation_id="CreatePromotion",
    status_code=201,
    response_class=Response,
    responses=answer("Created, as a draft", {"promotionId": "p-7f3a", **SHOWN}, 201),
    openapi_extra=changing(inlined_schema(editing.Create), {"name": "Spring reload", "code": "SPR-RELOAD"}),
)
def create_promotion(
    principal: Principal = Depends(caller("CreatePromotion")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """The code is what the company's own promotion system calls the promotion. Without an id it gets a new one.

    409 for an id in use, and for a code that a promotion which is not archived has.
    """
    promotion = editing.create_promotion(principal.scope, read(editing.Create, body))
    return versioned({"promotionId": promotion.id, **shown(principal.scope, promotion)}, 201)


@router.delete(
    PATH,
    summary="Archive an existing promotion",
    operation_id="ArchivePromotion",
    response_class=Response,
    responses=answer("The archived promotion", {**SHOWN, "status": "archived"}) | {412: STALE},
    openapi_extra=changing(None),
)
def archive_promotion(
    request: Request,
    promotionId: str,
    principal: Principal = Depends(caller("ArchivePromotion")),  # noqa: B008
) -> Response:
    """It can be read and duplicated, and nothing else; its code is free again."""
    return versioned(_run(principal.scope, promotionId, [editing.Archive()], version_of(request)))


@router.post(
    f"{PATH}/duplicate",
    summary="Duplicate an existing promotion",
    operation_id="DuplicatePromotion",
    status_code=201,
    response_class=Response,
    responses=answer("The new draft", {"promotionId": "p-9c2e", **SHOWN}, 201),
    openapi_extra=changing(inlined_schema(editing.Duplicate), {"code": "SUM-RELOAD"}),
)
def duplicate_promotion(
    promotionId: str,
    principal: Principal = Depends(caller("DuplicatePromotion")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """A draft with the name, description, conditions, tiers and properties of a promotion of any status."""
    promotion = editing.duplicate(principal.scope, promotionId, read(editing.Duplicate, body))
    return versioned({"promotionId": promotion.id, **shown(principal.scope, promotion)}, 201)


@router.post(
    f"{PATH}/transactions",
    summary="Create a promotion transaction",
    operation_id="CreatePromotionTransaction",
    response_class=Response,
    responses=answer("The promotion after the last command", SHOWN) | {412: STALE},
    openapi_extra=changing(TRANSACTION_SCHEMA, TRANSACTION),
)
def create_transaction(
    request: Request,
    promotionId: str,
    principal: Principal = Depends(caller("CreatePromotionTransaction")),  # noqa: B008
    body: Any = Depends(body_of),  # noqa: B008
) -> Response:
    """1 to 100 commands, in order; if one fails, none has any effect, and the error names its place from 0.

    The types are create, setMetadata, setProperties, setConditionTree, setPromotionTiers, activate, deactivate and
    archive, each with the members of its own call. create takes the id of the path.
    """
    commands = commands_of(object_of(body).get("commands"), editing.COMMANDS)
    promotion = editing.change_promotion(principal.scope, promotionId, commands, version_of(request), listed=True)
    return versioned(shown(principal.scope, promotion))


register(
    router,
    PATH,
    (
        CommandCall(
            "activate",
            "Activate a draft or deactivated promotion",
            "ActivatePromotion",
            editing.Activate,
            "It can be validated, and campaigns can use it. From the first activation on its conditions and tiers stay "
            "as they are. It needs at least one tier, and an active tenant: 409.",
        ),
        CommandCall(
            "deactivate",
            "Deactivate an active promotion",
            "DeactivatePromotion",
            editing.Deactivate,
            "Nobody is validated any more. It can be activated again.",
        ),
        CommandCall(
            "metadata",
            "Set metadata in promotion",
            "SetPromotionMetadata",
            editing.SetMetadata,
            "Name and description, of a promotion that is not archived. What is left out stays as it is.",
            {"name": "Spring reload", "description": "Reload offer"},
        ),
        CommandCall(
            "properties",
            "Set properties in a promotion",
            "SetPromotionProperties",
            editing.SetProperties,
            "Replaces the values of properties that the tenant's promotion property schema declares; of a draft or a "
            "deactivated promotion.",
            {"properties": {"regionTag": "R1"}},
        ),
        CommandCall(
            "conditionTree",
            "Set the condition tree of the promotion",
            "SetPromotionConditionTree",
            editing.SetConditionTree,
            "Customers must meet it before any tier is tried. Of a draft that has never been active.",
            {"conditionTree": TREE},
            "conditionTree",
        ),
        CommandCall(
            "promotionTiers",
            "Set the list of promotion tiers in a promotion",
            "SetPromotionTiers",
            editing.SetPromotionTiers,
            "Replaces the tiers; the first one whose conditions are met decides. Of a draft that has never been "
            "active. Tiers without an id get one.",
            TIERS,
            "promotionTiers",
        ),
    ),
    _run,
    SHOWN,
)
