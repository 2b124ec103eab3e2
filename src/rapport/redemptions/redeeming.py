"""Redemptions: a customer uses a code, once for each idempotency key, within the budgets of its promotion.

A redemption is entered, its code is claimed and the counters take it in one transaction; whatever refuses it takes all
of that back. It can be reserved first, for a checkout that is not paid yet: until then it counts like a committed one.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict, NotFound
from rapport.promotions.deciding import Context, Decision
from rapport.promotions.editing import promotion_of_code
from rapport.promotions.states import PromotionStatus
from rapport.promotions.validating import validate_customers
from rapport.redemptions import counting, ending, stacking
from rapport.redemptions.budgets import counters_in, lock_name
from rapport.redemptions.models import PromoCode, Redemption
from rapport.redemptions.pools import code_key
from rapport.redemptions.refusals import (
    BudgetExceeded,
    CodeNotValid,
    CodeOfAnother,
    CodeRedeemed,
    CustomerLimitReached,
    NotCombinable,
    NotEligible,
)
from rapport.redemptions.states import PoolKind, RedemptionState
from rapport.stores.records import share

LONGEST_RESERVATION = timedelta(days=30)
FIND = text("""
    SELECT promo_code.code, promo_code.person, pool.id AS pool_id, pool.kind, pool.promotion_id, pool.is_active,
        pool.starts_at, pool.expires_at
    FROM pool_codes AS promo_code
    INNER JOIN code_pools AS pool ON pool.tenant_id = promo_code.tenant_id AND pool.id = promo_code.pool_id
    WHERE promo_code.tenant_id = :tenant_id AND promo_code.code_key = :code_key
""")
FIND_UNIQUE = text("""
    SELECT id AS code, promotion_id, is_active, starts_at, expires_at FROM code_pools
    WHERE tenant_id = :tenant_id AND id = :name AND kind = :unique
""")
STATUS = text("SELECT status, version FROM promotions WHERE tenant_id = :tenant_id AND id = :promotion_id")


@dataclass(frozen=True)
class Request:
    """What is asked: a customer redeems a code. session has the values of session properties.

    reserved_for: reserve it only, for so long. order_id names what the customer buys.
    """

    idempotency_key: str
    code: str
    customer_id: str
    session: Mapping[str, Any] = field(default_factory=dict)
    reserved_for: timedelta | None = None
    order_id: str | None = None
    campaign_id: int | None = None

    @property
    def digest(self) -> str:
        """What two requests with the same key must have in common."""
        seconds = self.reserved_for.total_seconds() if self.reserved_for else None
        asked = [code_key(self.code), self.customer_id.lower(), self.session, seconds, self.order_id, self.campaign_id]
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Target:
    """What a code leads to. pool_id is None for the own code of a promotion."""

    code: str
    promotion_id: str
    pool_id: str | None = None
    is_unique: bool = False
    person: str | None = None


def redeem(scope: Scope, request: Request) -> tuple[Redemption, bool]:
    """Redeem or reserve; whether it was done before under the same key, and this is its answer.

    Raises NotFound for an unknown code, Conflict (see refusals) and Invalid; nothing is kept then, so that the key can
    be used again.
    """
    earlier = _of_key(scope, request)
    if earlier is not None:
        return earlier, True
    target = target_of(scope, request)
    decision = _decision(scope, request, target)
    try:
        return _entered(scope, request, target, decision)
    except (BudgetExceeded, CustomerLimitReached, CodeRedeemed, NotCombinable):
        # What is reserved in vain may be what is missing.
        if not ending.expire_due(scope, target.promotion_id, request.order_id):
            raise
        return _entered(scope, request, target, decision)


def redemption(scope: Scope, id: str) -> Redemption:
    """A redemption by its id. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(Redemption, (scope.tenant_id, id))
    if stored is None:
        raise NotFound(f"There is no redemption {id!r}.")
    return stored


def _of_key(scope: Scope, request: Request) -> Redemption | None:
    """What was redeemed under the key. Raises Conflict when that was something else."""
    with scope.reads() as session:
        stored = session.scalar(
            select(Redemption).where(
                Redemption.tenant_id == scope.tenant_id, Redemption.idempotency_key == request.idempotency_key
            )
        )
    if stored is not None and stored.request != request.digest:
        raise Conflict("The Idempotency-Key was used for another redemption.")
    return stored


def target_of(scope: Scope, request: Request) -> Target:
    """The promotion that a code leads to now. Raises NotFound, CodeNotValid, CodeOfAnother."""
    with scope.reads() as session:
        row = session.execute(FIND, {"tenant_id": scope.tenant_id, "code_key": code_key(request.code)}).one_or_none()
    if row is None:
        own = promotion_of_code(scope, request.code)
        return Target(own.code, own.id)
    _require_in_force(row, scope.clock.now())
    if row.person is not None and row.person != request.customer_id.lower():
        raise CodeOfAnother(f"The code {row.code!r} is another customer's.")
    return Target(row.code, row.promotion_id, row.pool_id, row.kind == PoolKind.UNIQUE, row.person)


def promotion_of_choice(scope: Scope, name: str) -> str:
    """The id of the promotion that a promo code leads to now as campaigns name it: a unique one by its id, not a code.

    Raises NotFound, CodeNotValid.
    """
    parameters = {"tenant_id": scope.tenant_id, "name": name, "code_key": code_key(name), "unique": PoolKind.UNIQUE}
    with scope.reads() as session:
        row = session.execute(FIND_UNIQUE, parameters).one_or_none() or session.execute(FIND, parameters).one_or_none()
    if row is None:
        return promotion_of_code(scope, name).id
    _require_in_force(row, scope.clock.now())
    return str(row.promotion_id)


def _require_in_force(row: Row[Any], now: datetime) -> None:
    """Raises CodeNotValid."""
    if not row.is_active:
        raise CodeNotValid(f"The code {row.code!r} is deactivated.")
    if row.promotion_id is None:
        raise CodeNotValid(f"The code {row.code!r} belongs to no promotion.")
    if row.starts_at is not None and now < row.starts_at:
        raise CodeNotValid(f"The code {row.code!r} is valid from {row.starts_at.isoformat()} on.")
    if row.expires_at is not None and now >= row.expires_at:
        raise CodeNotValid(f"The code {row.code!r} expired on {row.expires_at.isoformat()}.")


def _decision(scope: Scope, request: Request, target: Target) -> Decision:
    """What the promotion grants the customer. Raises NotEligible, and what validation raises."""
    context = Context(request.customer_id, request.session)
    _, (decision,) = validate_customers(scope, target.promotion_id, [context])
    if decision.tier is None:
        raise NotEligible(f"Customer {request.customer_id!r} gets nothing from this promotion: {decision.reason}.")
    return decision


def _entered(scope: Scope, request: Request, target: Target, decision: Decision) -> tuple[Redemption, bool]:
    """The redemption in one transaction. Raises what refuses it, after which nothing of it is left."""
    with scope.records() as session:
        share(session, scope.tenant_id, lock_name(target.promotion_id))
        entered = _insert(scope, session, request, target, decision)
        if entered is not None:
            stacking.require_combinable(scope, session, entered)
            if target.is_unique:
                _claim(session, entered)
            taker = ending.taker_of(entered)
            counting.take(session, taker, counters_in(session, scope.tenant_id, target.promotion_id), entered.rewards)
            return entered, False
    earlier = _of_key(scope, request)
    if earlier is None:
        raise Conflict("Another redemption with this Idempotency-Key was under way: try again.")
    return earlier, True


def _insert(scope: Scope, session: Session, request: Request, target: Target, decision: Decision) -> Redemption | None:
    """The redemption as it is entered; None when its key was used meanwhile. Raises Conflict."""
    of_promotion = {"tenant_id": scope.tenant_id, "promotion_id": target.promotion_id}
    status, version = session.execute(STATUS, of_promotion).one()
    if status != PromotionStatus.ACTIVE:
        raise Conflict(f"Promotion {target.promotion_id!r} is not active any more.")
    assert decision.tier is not None  # noqa: S101 - tells the type checker
    now, is_reserved = scope.clock.now(), request.reserved_for is not None
    values = {
        **of_promotion,
        "promotion_version": version,
        "id": str(uuid.uuid4()),
        "idempotency_key": request.idempotency_key,
        "request": request.digest,
        "state": RedemptionState.RESERVED if is_reserved else RedemptionState.COMMITTED,
        "pool_id": target.pool_id,
        "code": target.code,
        "customer_id": request.customer_id,
        "person": request.customer_id.lower(),
        "order_id": request.order_id,
        "campaign_id": request.campaign_id,
        "tier_id": decision.tier.id,
        "tier_name": decision.tier.name,
        "rewards": [
            {"rewardType": granted.reward_type, "category": granted.category, "value": str(granted.value)}
            for granted in decision.rewards
        ],
        "currency": scope.currency,
        "counted_on": scope.today(),
        "created_at": now,
        "reserved_until": now + request.reserved_for if request.reserved_for else None,
        "ended_at": None if is_reserved else now,
    }
    return session.scalar(insert(Redemption).values(**values).on_conflict_do_nothing().returning(Redemption))


def _claim(session: Session, entered: Redemption) -> None:
    """Take a unique code for a redemption. Raises CodeRedeemed."""
    free = (
        PromoCode.tenant_id == entered.tenant_id,
        PromoCode.code_key == code_key(entered.code),
        PromoCode.redemption_id.is_(None),
    )
    claimed = update(PromoCode).where(*free).values(redemption_id=entered.id).returning(PromoCode.code_key)
    if session.scalar(claimed) is None:
        raise CodeRedeemed(f"The code {entered.code!r} has been redeemed.")
