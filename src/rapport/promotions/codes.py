"""Promotions' own codes: how they are compared, and whose they are."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.promotions.models import Promotion
from rapport.promotions.states import PromotionStatus


def code_key(code: str) -> str:
    """A code as it is compared: customers write it in any case."""
    return code.strip().lower()


class OwnCode(NamedTuple):
    """A promotion and its own code, as it is written."""

    promotion_id: str
    code: str


def own_codes(scope: Scope, keys: Collection[str]) -> dict[str, OwnCode]:
    """Those of some codes that are promotions' own, by key; promotions that are archived have none."""
    if not keys:
        return {}
    query = select(Promotion.code_key, Promotion.id, Promotion.code).where(
        Promotion.tenant_id == scope.tenant_id,
        Promotion.code_key.in_(keys),
        Promotion.status != PromotionStatus.ARCHIVED,
    )
    with scope.reads() as session:
        return {key: OwnCode(id, code) for key, id, code in session.execute(query)}
