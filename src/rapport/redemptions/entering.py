"""Redemptions are entered: those of several callers in one transaction, each with its own verdict.

The transaction enters them, claims their codes and takes of the counters. Rows that others could want are locked first,
each kind in one order, so that a verdict stays true; whoever is refused is taken out again. What is granted is written
by updates that are conditional themselves, and unique indexes and the constraint of the counters hold, too.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.promotions.codes import code_key
from rapport.promotions.deciding import Decision
from rapport.promotions.states import PromotionStatus
from rapport.redemptions.asking import Request, Target
from rapport.redemptions.budgets import lock_name
from rapport.redemptions.counting import Counter, Ledger, counters_of, kept_rewards
from rapport.redemptions.definitions import Budget, StackingRules
from rapport.redemptions.ending import taker_of
from rapport.redemptions.models import Redemption
from rapport.redemptions.published import PublishedRewards, end
from rapport.redemptions.refusals import CodeRedeemed
from rapport.redemptions.stacking import Orders
from rapport.redemptions.states import RedemptionState
from rapport.stores.records import share

COLUMNS = ", ".join(column.name for column in Redemption.__table__.columns)
TERMS = text("""
    SELECT promotion.id, promotion.status, promotion.version, budget.budgets, budget.stacking
    FROM promotions AS promotion
    LEFT JOIN promotion_budgets AS budget
        ON budget.tenant_id = promotion.tenant_id AND budget.promotion_id = promotion.id
    WHERE promotion.tenant_id = :tenant_id AND promotion.id = ANY(:ids)
""")
ENTER = text(f"""
    INSERT INTO redemptions ({COLUMNS})
    SELECT {COLUMNS} FROM json_populate_recordset(CAST(NULL AS redemptions), CAST(:rows AS json))
    ORDER BY idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING id
""")  # noqa: S608 - ours
LOCK_FREE = text("""
    SELECT code_key FROM pool_codes
    WHERE tenant_id = :tenant_id AND code_key = ANY(:keys) AND redemption_id IS NULL
    ORDER BY code_key FOR UPDATE
""")
CLAIM = text("""
    UPDATE pool_codes
    SET redemption_id = (CAST(:ids AS text[]))[array_position(CAST(:keys AS text[]), code_key)]
    WHERE tenant_id = :tenant_id AND code_key = ANY(CAST(:keys AS text[])) AND redemption_id IS NULL
    RETURNING code_key
""")
TAKE_OUT = text("DELETE FROM redemptions WHERE tenant_id = :tenant_id AND id = ANY(:ids)")


@dataclass(frozen=True)
class Candidate:
    """A request that leads to a promotion, and what it grants. is_published: a campaign tells the customer of it, a
    triggered one with a firing."""

    request: Request
    target: Target
    decision: Decision
    is_published: bool = False
    firing_id: int | None = None


@dataclass(frozen=True)
class _Terms:
    """By what a promotion's redemptions go while its lock is shared."""

    status: str
    version: int
    counters: Sequence[Counter]
    stacking: StackingRules


# What became of a candidate; None when its key was used meanwhile.
Verdict = Redemption | Conflict | None


def enter(scope: Scope, candidates: Sequence[Candidate]) -> list[Verdict]:
    """Enter candidates in one transaction; the verdict on each, in order. Nothing is left of those refused."""
    with scope.records() as session:
        attempt = _attempted(scope, session, candidates)
        if len(attempt.refusals) == len(attempt.entered):
            session.rollback()
        else:
            _take_out(scope, session, attempt)
    return attempt.verdicts


def enter_within(scope: Scope, session: Session, candidates: Sequence[Candidate]) -> list[Verdict]:
    """The same in the caller's transaction, which holds the counters of the promotions until it ends."""
    attempt = _attempted(scope, session, candidates)
    _take_out(scope, session, attempt)
    return attempt.verdicts


@dataclass(frozen=True)
class _Attempt:
    """What became of candidates: proposed redemptions or why there is none, in order; which of them were entered, and
    why some of these are refused, by their ids."""

    proposed: Sequence[Redemption | Conflict]
    entered: Sequence[Redemption]
    refusals: Mapping[str, Conflict]

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on each candidate, in order."""
        ids = {redemption.id for redemption in self.entered}
        return [
            (self.refusals.get(each.id, each) if each.id in ids else None) if isinstance(each, Redemption) else each
            for each in self.proposed
        ]


def _attempted(scope: Scope, session: Session, candidates: Sequence[Candidate]) -> _Attempt:
    terms = _terms(scope, session, sorted({candidate.target.promotion_id for candidate in candidates}))
    proposed = [_proposed(scope, terms, candidate) for candidate in candidates]
    entered = _entered(scope, session, [each for each in proposed if isinstance(each, Redemption)])
    of_pools = {candidate.target.code for candidate in candidates if candidate.target.is_unique}
    return _Attempt(proposed, entered, _refusals(scope, session, terms, entered, of_pools))


def _take_out(scope: Scope, session: Session, attempt: _Attempt) -> None:
    """Leave nothing of those that were refused."""
    if attempt.refusals:
        session.execute(TAKE_OUT, _bound(scope, ids=list(attempt.refusals)))


def _terms(scope: Scope, session: Session, promotion_ids: Sequence[str]) -> dict[str, _Terms]:
    """By what promotions go; their locks are shared until the transaction ends."""
    for id in promotion_ids:
        share(session, scope.tenant_id, lock_name(id))
    rows = session.execute(TERMS, {"tenant_id": scope.tenant_id, "ids": list(promotion_ids)})
    return {
        row.id: _Terms(
            row.status,
            row.version,
            counters_of(map(Budget.model_validate, row.budgets or [])),
            StackingRules.model_validate(row.stacking or {}),
        )
        for row in rows
    }


def _proposed(scope: Scope, terms: Mapping[str, _Terms], candidate: Candidate) -> Redemption | Conflict:
    """A redemption as it would be entered; a Conflict where the promotion is not active any more."""
    request, target, tier = candidate.request, candidate.target, candidate.decision.tier
    of_promotion = terms[target.promotion_id]
    if of_promotion.status != PromotionStatus.ACTIVE:
        return Conflict(f"Promotion {target.promotion_id!r} is not active any more.")
    assert tier is not None  # noqa: S101 - tells the type checker
    now = scope.clock.now()
    state = _begun(candidate)
    return Redemption(
        tenant_id=scope.tenant_id,
        id=str(uuid.uuid4()),
        idempotency_key=request.idempotency_key,
        request=request.digest,
        state=state,
        promotion_id=target.promotion_id,
        promotion_version=of_promotion.version,
        pool_id=target.pool_id,
        code=target.code,
        customer_id=request.customer_id,
        person=request.customer_id.lower(),
        order_id=request.order_id,
        campaign_id=request.campaign_id,
        tier_id=tier.id,
        tier_name=tier.name,
        rewards=kept_rewards(candidate.decision),
        currency=scope.currency,
        counted_on=scope.today(),
        created_at=now,
        reserved_until=now + request.reserved_for if request.reserved_for else None,
        ended_at=now if state is RedemptionState.COMMITTED else None,
        is_published=candidate.is_published,
        firing_id=candidate.firing_id,
    )


def _begun(candidate: Candidate) -> RedemptionState:
    """In which state a redemption begins."""
    if candidate.is_published:
        return RedemptionState.PUBLISHED
    return RedemptionState.COMMITTED if candidate.request.reserved_for is None else RedemptionState.RESERVED


def _entered(scope: Scope, session: Session, proposed: Sequence[Redemption]) -> list[Redemption]:
    """Those whose keys were free until now, the first of each key."""
    first_of_keys = list({each.idempotency_key: each for each in reversed(proposed)}.values())[::-1]
    if not first_of_keys:
        return []
    names = COLUMNS.split(", ")
    rows = orjson.dumps([{name: getattr(each, name) for name in names} for each in first_of_keys]).decode()
    ids = set(session.scalars(ENTER, {"rows": rows}))
    return [each for each in proposed if each.id in ids]


def _refusals(
    scope: Scope,
    session: Session,
    terms: Mapping[str, _Terms],
    entered: Sequence[Redemption],
    unique_codes: set[str],
) -> dict[str, Conflict]:
    """Why redemptions are refused, by their ids, in the order in which they came; the others take what they need."""
    orders = Orders(scope, session, entered, {id: each.stacking for id, each in terms.items()})
    of_unique = {each.id: code_key(each.code) for each in entered if each.code in unique_codes}
    free = set(session.scalars(LOCK_FREE, _bound(scope, keys=sorted(of_unique.values())))) if of_unique else set()
    published = PublishedRewards(session, [taker_of(each) for each in entered if not each.is_published])
    takers = [*(taker_of(each) for each in entered), *(each.taker for each in published)]
    ledger = Ledger(session, [(taker, terms[taker.promotion_id].counters) for taker in takers])
    redeemed: list[str] = []
    refusals: dict[str, Conflict] = {}
    claims: dict[str, str] = {}
    for each in entered:
        key = of_unique.get(each.id)
        try:
            orders.require_combinable(each)
            if key is not None and key not in free:
                raise CodeRedeemed(f"The code {each.code!r} has been redeemed.")
            redeemed += _counted(ledger, terms[each.promotion_id].counters, published, each)
        except Conflict as refusal:
            refusals[each.id] = refusal
            continue
        orders.add(each)
        if key is not None:
            free.remove(key)
            claims[key] = each.id
    _claim(scope, session, claims)
    end(scope, session, redeemed, RedemptionState.REDEEMED)
    ledger.write(session)
    return refusals


def _counted(
    ledger: Ledger, counters: Sequence[Counter], published: PublishedRewards, entered: Redemption
) -> list[str]:
    """Count a redemption; the ids of what was published to its customer and now counts no more.

    Raises BudgetExceeded, CustomerLimitReached; nothing has changed then.
    """
    taker = taker_of(entered)
    earlier = None if entered.is_published else published.of(taker, entered.campaign_id)
    released = ledger.release(earlier.taker, counters, earlier.rewards) if earlier else {}
    try:
        ledger.take(taker, counters, entered.rewards)
    except Conflict:
        ledger.restore(released)
        raise
    if earlier is None:
        return []
    published.redeemed(earlier)
    return [earlier.id]


def _claim(scope: Scope, session: Session, claims: Mapping[str, str]) -> None:
    """Give unique codes, by their keys, to redemptions."""
    if not claims:
        return
    claimed = session.scalars(CLAIM, _bound(scope, keys=list(claims), ids=list(claims.values()))).all()
    if len(claimed) != len(claims):
        raise CodeRedeemed("A code has been redeemed meanwhile.")


def _bound(scope: Scope, **parameters: Any) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, **parameters}
