"""Promotions: the promo codes of the back office, by name, as marketers may choose them for campaigns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.promotions.models import RegisteredPromotion
from rapport.promotions.states import PromotionStatus
from rapport.stores.parts import Part

# Registered codes, and the promotions that are active with the promo codes that lead to them: a global one is its code,
# a unique one its id, in place of which each message gets a code. One that begins later may be chosen for a campaign
# to come; an expired one may not. What is several of these is shown once, as the first.
CHOICES = f"""
    SELECT DISTINCT ON (promo_key) promo_code, name, updated_at FROM (
        SELECT 1 AS place, promo_key, promo_code, name, updated_at FROM registered_promotions
        WHERE tenant_id = :tenant_id
        UNION ALL
        SELECT 2, code_key, code, name, updated_at FROM promotions
        WHERE tenant_id = :tenant_id AND status = '{PromotionStatus.ACTIVE}'
        UNION ALL
        SELECT 3, coalesce(global_code.code_key, lower(pool.id)), coalesce(global_code.code, pool.id), pool.name,
            pool.updated_at
        FROM code_pools AS pool
        INNER JOIN promotions AS promotion ON promotion.tenant_id = pool.tenant_id AND promotion.id = pool.promotion_id
        LEFT JOIN LATERAL (
            SELECT code_key, code FROM pool_codes
            WHERE pool.kind = 'global' AND pool_codes.tenant_id = pool.tenant_id AND pool_codes.pool_id = pool.id
                AND redemption_id IS NULL AND message_id IS NULL
            LIMIT 1
        ) AS global_code ON true
        WHERE pool.tenant_id = :tenant_id AND pool.is_active AND promotion.status = '{PromotionStatus.ACTIVE}'
            AND (pool.expires_at IS NULL OR pool.expires_at > :now)
    ) AS choice
    ORDER BY promo_key, place
"""  # noqa: S608 - a state of ours


@dataclass(frozen=True)
class Choice:
    """A promo code that campaigns may use."""

    promo_code: str
    name: str
    updated_at: datetime


def choices(scope: Scope, limit: int = 1000, offset: int = 0) -> Part[Choice]:
    """The promo codes that marketers may choose, by code."""
    parameters = {"tenant_id": scope.tenant_id, "now": scope.clock.now(), "limit": limit, "offset": offset}
    paged = f'SELECT * FROM ({CHOICES}) AS choices ORDER BY promo_code COLLATE "C" LIMIT :limit OFFSET :offset'  # noqa: S608
    with scope.reads() as session:
        rows = session.execute(text(paged), parameters).all()
        total = session.scalar(text(f"SELECT count(*) FROM ({CHOICES}) AS choices"), parameters)  # noqa: S608 - ours
    return Part([Choice(*row) for row in rows], int(total or 0))


def add_promotions(scope: Scope, names: Mapping[str, str]) -> None:
    """Register promo codes with their names; one that is known, in any case, gets the new name and stays as it is."""
    now = scope.clock.now()
    by_key = {code.lower(): (code, name) for code, name in names.items()}
    with scope.records() as session:
        # In order of the key, so that two callers with the same codes wait for each other and never lock up.
        for key, (code, name) in sorted(by_key.items()):
            primary_key = {"tenant_id": scope.tenant_id, "promo_key": key}
            statement = insert(RegisteredPromotion).values(**primary_key, promo_code=code, name=name, updated_at=now)
            changes = {"name": name, "updated_at": now}
            session.execute(statement.on_conflict_do_update(index_elements=list(primary_key), set_=changes))
        scope.audit(session, "save", "promotions", codes=sorted(names))


def delete_promotions(scope: Scope, codes: Sequence[str]) -> None:
    """Take promo codes, in any case, out of the choices; unknown ones are no error, and campaigns keep their codes."""
    keys = [code.lower() for code in codes]
    with scope.records() as session:
        statement = delete(RegisteredPromotion).where(
            RegisteredPromotion.tenant_id == scope.tenant_id, RegisteredPromotion.promo_key.in_(keys)
        )
        deleted_codes = sorted(session.scalars(statement.returning(RegisteredPromotion.promo_code)))
        scope.audit(session, "delete", "promotions", codes=deleted_codes)
