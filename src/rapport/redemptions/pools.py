"""Pools of promo codes: what they are, and their links to a promotion and to campaigns."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid, NotFound
from rapport.promotions.codes import code_key
from rapport.promotions.editing import promotion
from rapport.promotions.states import PromotionStatus
from rapport.redemptions.definitions import ChangePool, CreatePool
from rapport.redemptions.models import CodePool, PromoCode
from rapport.redemptions.states import PoolKind
from rapport.stores.parts import Part, part
from rapport.stores.records import unique_name

# Calls have it as a part of their paths where the id of a pool may stand.
RESERVED_IDS = frozenset({"redemptions"})
OWN_CODES = text("""
    SELECT code FROM promotions
    WHERE tenant_id = :tenant_id AND code_key = ANY(:keys) AND status <> :archived ORDER BY code_key LIMIT 1
""")


def pool(scope: Scope, id: str) -> CodePool:
    """A pool by its id. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(CodePool, (scope.tenant_id, id))
    if stored is None:
        raise NotFound(f"There is no promo code {id!r}.")
    return stored


def code_of(scope: Scope, global_pool: CodePool) -> str | None:
    """The code of a global pool; None for a unique one."""
    if global_pool.kind != PoolKind.GLOBAL:
        return None
    with scope.reads() as session:
        return session.scalar(
            select(PromoCode.code).where(PromoCode.tenant_id == scope.tenant_id, PromoCode.pool_id == global_pool.id)
        )


def pools(scope: Scope, promotion_id: str | None, limit: int, offset: int) -> Part[CodePool]:
    """The pools of a promotion, or all, the newest first."""
    chosen: Select[CodePool] = select(CodePool).where(CodePool.tenant_id == scope.tenant_id)
    if promotion_id is not None:
        chosen = chosen.where(CodePool.promotion_id == promotion_id)
    with scope.reads() as session:
        return part(session, chosen.order_by(CodePool.created_at.desc(), CodePool.id), limit, offset)


def create_pool(scope: Scope, definition: CreatePool) -> CodePool:
    """A new pool; of a global one the code is entered, too. Raises NotFound, Conflict, Invalid."""
    id = definition.id or str(uuid.uuid4())
    if id.lower() in RESERVED_IDS:
        raise Invalid(f"id must not be {id!r}.")
    _require_promotion(scope, definition.promotion_id)
    now = scope.clock.now()
    created = CodePool(
        tenant_id=scope.tenant_id,
        id=id,
        kind=definition.type,
        name=definition.name,
        promotion_id=definition.promotion_id,
        campaign_ids=sorted(set(definition.campaign_ids)),
        is_active=True,
        starts_at=definition.starts_at,
        expires_at=definition.expires_at,
        created_at=now,
        updated_at=now,
    )
    with (
        unique_name("pk_code_pools", "a promo code", id),
        unique_name("pk_pool_codes", "a code", definition.code or ""),
        scope.records() as session,
    ):
        session.add(created)
        session.flush()
        if definition.code is not None:
            key = code_key(definition.code)
            require_free(scope, session, [key])
            session.add(PromoCode(tenant_id=scope.tenant_id, code_key=key, code=definition.code, pool_id=created.id))
        scope.audit(session, "create", f"promo code {created.id}", kind=created.kind)
    return created


def change_pool(scope: Scope, id: str, change: ChangePool) -> CodePool:
    """Change what is given. Raises NotFound, Conflict, Invalid."""
    members = change.model_fields_set
    if not members:
        raise Invalid("name, promotionId, campaignIds, isActive, startsAt or expiresAt is required.")
    for member in ("name", "campaign_ids", "is_active"):
        if member in members and getattr(change, member) is None:
            raise Invalid(f"{ChangePool.model_fields[member].alias} must not be null.")
    if "promotion_id" in members:
        _require_promotion(scope, change.promotion_id)
    with scope.records() as session:
        changed = session.get(CodePool, (scope.tenant_id, id), with_for_update=True)
        if changed is None:
            raise NotFound(f"There is no promo code {id!r}.")
        for member in members:
            setattr(changed, member, getattr(change, member))
        _require_order(changed.starts_at, changed.expires_at)
        changed.updated_at = scope.clock.now()
        scope.audit(session, "change", f"promo code {id}", members=sorted(members))
    return changed


def _require_order(starts_at: datetime | None, expires_at: datetime | None) -> None:
    if starts_at and expires_at and starts_at >= expires_at:
        raise Invalid("expiresAt must be after startsAt.")


def _require_promotion(scope: Scope, id: str | None) -> None:
    if id is not None and promotion(scope, id).status == PromotionStatus.ARCHIVED:
        raise Conflict(f"Promotion {id!r} is archived; codes of it could never be redeemed.")


def require_free(scope: Scope, session: Session, keys: Sequence[str]) -> None:
    """Raises Conflict when a code is that of a promotion itself."""
    parameters = {"tenant_id": scope.tenant_id, "keys": list(keys), "archived": PromotionStatus.ARCHIVED}
    taken = session.execute(OWN_CODES, parameters).scalar()
    if taken is not None:
        raise Conflict(f"The code {taken!r} is that of a promotion.")
