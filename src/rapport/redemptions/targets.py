"""What a code leads to: the promotion that it belongs to, and whether it may be used now, here and by this customer."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import NotFound, RapportError
from rapport.promotions.codes import OwnCode, code_key, own_codes
from rapport.redemptions.asking import Request, Target
from rapport.redemptions.models import CodePool
from rapport.redemptions.refusals import CodeNotValid, CodeOfAnother
from rapport.redemptions.states import PoolKind

FIND = text("""
    SELECT promo_code.code_key, promo_code.code, promo_code.person, promo_code.redemption_id, pool.id AS pool_id,
        pool.kind, pool.promotion_id, pool.campaign_ids, pool.is_active, pool.starts_at, pool.expires_at
    FROM pool_codes AS promo_code
    INNER JOIN code_pools AS pool ON pool.tenant_id = promo_code.tenant_id AND pool.id = promo_code.pool_id
    WHERE promo_code.tenant_id = :tenant_id AND promo_code.code_key = ANY(:code_keys)
""")
FIND_UNIQUE = text("""
    SELECT id AS code, promotion_id, campaign_ids, is_active, starts_at, expires_at FROM code_pools
    WHERE tenant_id = :tenant_id AND id = :name AND kind = :unique
""")

# A pool that is linked to campaigns is for these only.
LINKED = "(pool.campaign_ids = '[]' OR pool.campaign_ids @> to_jsonb(CAST(:campaign_id AS integer)))"
# As campaigns name promo codes: a unique one by its id, a global one by its code.
OF_OTHERS = text(f"""
    SELECT pool.id FROM code_pools AS pool
    WHERE pool.tenant_id = :tenant_id AND pool.id = ANY(CAST(:names AS text[])) AND pool.kind = :unique AND NOT {LINKED}
    UNION ALL
    SELECT named.name FROM unnest(CAST(:names AS text[]), CAST(:code_keys AS text[])) AS named (name, code_key)
    INNER JOIN pool_codes AS promo_code
        ON promo_code.tenant_id = :tenant_id AND promo_code.code_key = named.code_key
    INNER JOIN code_pools AS pool ON pool.tenant_id = promo_code.tenant_id AND pool.id = promo_code.pool_id
    WHERE pool.kind <> :unique AND NOT {LINKED}
""")  # noqa: S608 - a condition of ours


@dataclass(frozen=True)
class FoundCode:
    """A code that may be used now. person is the CustomerID, in lower case, of who alone may use it; is_redeemed: it
    is a unique one that was used."""

    target: Target
    person: str | None = None
    is_redeemed: bool = False

    def is_for(self, customer_id: str) -> bool:
        """Whether a customer may use it."""
        return self.person is None or self.person == customer_id.lower()


def targets_of(scope: Scope, requests: Mapping[int, Request]) -> dict[int, Target | RapportError]:
    """The promotions that codes lead to now; NotFound, CodeNotValid and CodeOfAnother as values."""
    known = _known(scope, {code_key(request.code) for request in requests.values()})
    targets: dict[int, Target | RapportError] = {}
    for place, request in requests.items():
        try:
            code = _found(scope, request.code, known, request.campaign_id)
            if not code.is_for(request.customer_id):
                raise CodeOfAnother(f"The code {code.target.code!r} is another customer's.")
            targets[place] = code.target
        except RapportError as error:
            targets[place] = error
    return targets


def found_code(scope: Scope, code: str, campaign_id: int | None) -> FoundCode:
    """A code as it may be used now. campaign_id is the campaign that led to it, None where that is not known.

    Raises NotFound, CodeNotValid.
    """
    return _found(scope, code, _known(scope, {code_key(code)}), campaign_id)


def promotion_of_choice(scope: Scope, name: str, campaign_id: int | None) -> str:
    """The id of the promotion that a promo code leads to now as campaigns name it: a unique one by its id, not a code.

    Raises NotFound, CodeNotValid.
    """
    with scope.reads() as session:
        row = session.execute(
            FIND_UNIQUE, {"tenant_id": scope.tenant_id, "name": name, "unique": PoolKind.UNIQUE}
        ).one_or_none()
    if row is None:
        return found_code(scope, name, campaign_id).target.promotion_id
    return require_in_force(scope, row, row.code, campaign_id)


def of_other_campaigns(
    scope: Scope, records: Session | Connection, names: Iterable[str], campaign_id: int
) -> frozenset[str]:
    """Those of the promo codes that a campaign names which are linked to other campaigns only."""
    listed = sorted(names)
    keys = [code_key(name) for name in listed]
    parameters = {"tenant_id": scope.tenant_id, "names": listed, "code_keys": keys, "campaign_id": campaign_id}
    return frozenset(records.execute(OF_OTHERS, {**parameters, "unique": PoolKind.UNIQUE}).scalars())


def require_linked(scope: Scope, names: Iterable[str], campaign_id: int) -> None:
    """Refuse promo codes that a campaign names but that are for others. Raises CodeNotValid, which names the first."""
    with scope.reads() as session:
        foreign = of_other_campaigns(scope, session, names, campaign_id)
    if foreign:
        raise CodeNotValid(f"The code {min(foreign)!r} is not linked to campaign {campaign_id}.")


def require_in_force(scope: Scope, pool: CodePool | Row[Any], name: str, campaign_id: int | None) -> str:
    """The id of the promotion that the codes of a pool lead to now; errors call them name.

    Codes that are linked to campaigns are for these: whoever names another one is refused. Raises CodeNotValid.
    """
    now = scope.clock.now()
    if not pool.is_active:
        raise CodeNotValid(f"The code {name!r} is deactivated.")
    if pool.promotion_id is None:
        raise CodeNotValid(f"The code {name!r} belongs to no promotion.")
    if pool.starts_at is not None and now < pool.starts_at:
        raise CodeNotValid(f"The code {name!r} is valid from {pool.starts_at.isoformat()} on.")
    if pool.expires_at is not None and now >= pool.expires_at:
        raise CodeNotValid(f"The code {name!r} expired on {pool.expires_at.isoformat()}.")
    if campaign_id is not None and pool.campaign_ids and campaign_id not in pool.campaign_ids:
        raise CodeNotValid(f"The code {name!r} is not linked to campaign {campaign_id}.")
    return str(pool.promotion_id)


def _known(scope: Scope, keys: AbstractSet[str]) -> dict[str, Row[Any] | OwnCode]:
    """What has the codes of some keys: pools, before promotions whose own codes they are."""
    if not keys:
        return {}
    with scope.reads() as session:
        rows = session.execute(FIND, {"tenant_id": scope.tenant_id, "code_keys": list(keys)})
        of_pools = {row.code_key: row for row in rows}
    return {**own_codes(scope, keys - of_pools.keys()), **of_pools}


def _found(scope: Scope, code: str, known: Mapping[str, Row[Any] | OwnCode], campaign_id: int | None) -> FoundCode:
    owner = known.get(code_key(code))
    if owner is None:
        raise NotFound(f"There is no promotion with the code {code!r}.")
    if isinstance(owner, OwnCode):
        return FoundCode(Target(owner.code, owner.promotion_id))
    promotion_id = require_in_force(scope, owner, owner.code, campaign_id)
    is_unique = owner.kind == PoolKind.UNIQUE
    target = Target(owner.code, promotion_id, owner.pool_id, is_unique)
    return FoundCode(target, owner.person, is_unique and owner.redemption_id is not None)
