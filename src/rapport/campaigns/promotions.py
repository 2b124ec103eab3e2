"""Promotions: the promo codes of the back office, by name, as marketers may choose them for campaigns."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.campaigns.models import Promotion


def promotions(scope: Scope, limit: int = 1000, offset: int = 0) -> list[Promotion]:
    """The tenant's promotions, by code."""
    wanted = select(Promotion).where(Promotion.tenant_id == scope.tenant_id)
    order = Promotion.promo_code.collate("C")
    with scope.records() as session:
        return list(session.scalars(wanted.order_by(order).limit(limit).offset(offset)))


def add_promotions(scope: Scope, names: Mapping[str, str]) -> None:
    """Register promo codes with their names; a code that is known gets the new name."""
    now = scope.clock.now()
    with scope.records() as session:
        # In order of the key, so that two callers with the same codes wait for each other and never lock up.
        for code, name in sorted(names.items()):
            made = insert(Promotion).values(tenant_id=scope.tenant_id, promo_code=code, name=name, updated_at=now)
            changes = {"name": name, "updated_at": now}
            key = ["tenant_id", "promo_code"]
            session.execute(made.on_conflict_do_update(index_elements=key, set_=changes))
        scope.audit(session, "save", "promotions", codes=sorted(names))


def delete_promotions(scope: Scope, codes: Sequence[str]) -> None:
    """Take promo codes out of the choices; unknown ones are no error, and campaigns keep the codes that they have."""
    with scope.records() as session:
        gone = delete(Promotion).where(Promotion.tenant_id == scope.tenant_id, Promotion.promo_code.in_(codes))
        known = sorted(session.scalars(gone.returning(Promotion.promo_code)))
        scope.audit(session, "delete", "promotions", codes=known)
