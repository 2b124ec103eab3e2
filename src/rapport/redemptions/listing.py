"""Lists of codes and redemptions."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, select, text

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.promotions.codes import code_key
from rapport.redemptions.models import Redemption
from rapport.redemptions.pools import pool
from rapport.stores.parts import Part, part

CODES = text("""
    SELECT code, redemption_id, person AS customer_id FROM pool_codes
    WHERE tenant_id = :tenant_id AND pool_id = :pool_id AND code_key > :after
    ORDER BY code_key LIMIT :limit
""")


def codes(scope: Scope, pool_id: str, after: str, limit: int) -> Sequence[RowMapping]:
    """Codes of a pool after one of them, in the order of their keys. Raises NotFound."""
    pool(scope, pool_id)
    parameters = {"tenant_id": scope.tenant_id, "pool_id": pool_id, "after": code_key(after), "limit": limit}
    with scope.reads() as session:
        return session.execute(CODES, parameters).mappings().all()


def redemptions(
    scope: Scope, promotion_id: str | None, customer_id: str | None, limit: int, offset: int
) -> Part[Redemption]:
    """Redemptions of a promotion, a customer or both, the newest first. Raises Invalid without either."""
    if promotion_id is None and customer_id is None:
        raise Invalid("promotion_id or customer_id is required.")
    chosen = select(Redemption).where(Redemption.tenant_id == scope.tenant_id)
    if promotion_id is not None:
        chosen = chosen.where(Redemption.promotion_id == promotion_id)
    if customer_id is not None:
        chosen = chosen.where(Redemption.person == customer_id.lower())
    with scope.reads() as session:
        return part(session, chosen.order_by(Redemption.created_at.desc(), Redemption.id), limit, offset)
