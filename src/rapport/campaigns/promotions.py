"""Promotions: the promo codes of the back office, by name, as marketers may choose them for campaigns."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.campaigns.models import Promotion
from rapport.stores.parts import Part, part


def promotions(scope: Scope, limit: int = 1000, offset: int = 0) -> Part[Promotion]:
    """The tenant's promotions, by code."""
    query = select(Promotion).where(Promotion.tenant_id == scope.tenant_id)
    order = Promotion.promo_code.collate("C")
    with scope.reads() as session:
        return part(session, query.order_by(order), limit, offset)


def add_promotions(scope: Scope, names: Mapping[str, str]) -> None:
    """Register promo codes with their names; one that is known, in any case, gets the new name and stays as it is."""
    now = scope.clock.now()
    by_key = {code.lower(): (code, name) for code, name in names.items()}
    with scope.records() as session:
        # In order of the key, so that two callers with the same codes wait for each other and never lock up.
        for key, (code, name) in sorted(by_key.items()):
            primary_key = {"tenant_id": scope.tenant_id, "promo_key": key}
            statement = insert(Promotion).values(**primary_key, promo_code=code, name=name, updated_at=now)
            changes = {"name": name, "updated_at": now}
            session.execute(statement.on_conflict_do_update(index_elements=list(primary_key), set_=changes))
        scope.audit(session, "save", "promotions", codes=sorted(names))


def delete_promotions(scope: Scope, codes: Sequence[str]) -> None:
    """Take promo codes, in any case, out of the choices; unknown ones are no error, and campaigns keep their codes."""
    keys = [code.lower() for code in codes]
    with scope.records() as session:
        statement = delete(Promotion).where(Promotion.tenant_id == scope.tenant_id, Promotion.promo_key.in_(keys))
        deleted_codes = sorted(session.scalars(statement.returning(Promotion.promo_code)))
        scope.audit(session, "delete", "promotions", codes=deleted_codes)
