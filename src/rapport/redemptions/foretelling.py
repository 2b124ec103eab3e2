"""What redemptions would be told: validation by the rules of redeeming, without counting.

A customer is decided about as for a redemption, in the same order: whose code it is, what the promotion grants, whether
a unique code was used, and what the budgets have left for this customer alone. The rules are those of targets and
counting. Stacking is left to redemptions, which name an order.

Whoever asks about few customers while others are answered is answered together with all who wait.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from rapport.access.scope import Scope
from rapport.errors import RapportError, Unavailable
from rapport.promotions import validating
from rapport.promotions.deciding import Context, Decision, Validator
from rapport.promotions.states import Refusal
from rapport.promotions.validating import Answer, Asked, Decided
from rapport.redemptions import ending, targets
from rapport.redemptions.budgets import counters_in
from rapport.redemptions.counting import Counter, Ledger, Taker, kept_rewards
from rapport.redemptions.published import PublishedRewards
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.targets import FoundCode
from rapport.stores import Stores
from rapport.stores.gathering import Gathering

MOST_AT_ONCE = 40
MOST_WAITING = 500
MANY_VALIDATIONS = "So many validations of this tenant are under way that no more can wait: try again."
Counters = Mapping[str, Sequence[Counter]]  # by the ids of promotions that have budgets
# What the end of a reservation may free.
BY_BUDGETS = (Refusal.CUSTOMER_LIMIT_REACHED, Refusal.BUDGET_EXCEEDED)


class Foretellers:
    """The callers of a process who validate few customers at the same time: those of a tenant are read together."""

    def __init__(self, stores: Stores) -> None:
        self._gathering: Gathering[tuple[Scope, Asked], Answer] = Gathering(
            "validations",
            lambda waiting: _together(waiting[0][0], [asked for _, asked in waiting]),
            lambda waiting: min(len(waiting), MOST_AT_ONCE),
        )

    def answer(self, scope: Scope, asked: Asked) -> Answer:
        """What is decided, together with those who wait."""
        return self._gathering.ask(scope.tenant_id, (scope, asked))

    def submit(self, scope: Scope, asked: Asked) -> Future[Answer]:
        """The same for a caller that does not wait here. Raises Unavailable where too many wait."""
        if self._gathering.waiting(scope.tenant_id) >= MOST_WAITING:
            raise Unavailable(MANY_VALIDATIONS)
        return self._gathering.submit(scope.tenant_id, (scope, asked))

    def stop(self) -> None:
        """Let the threads end when they have answered all who wait."""
        self._gathering.stop()


def validate_code(scope: Scope, code: str, contexts: Sequence[Context], campaign_id: int | None = None) -> Decided:
    """What each customer, in order, would be told who redeemed a code. Raises NotFound, Conflict, Invalid."""
    used = targets.found_code(scope, code, campaign_id)
    validator, foretold = _of_code(scope, used, contexts)
    if any(decision.reason is Refusal.CODE_REDEEMED for decision in foretold):
        ending.expire_due(scope, validator.promotion.id, None)
        now = targets.found_code(scope, code, campaign_id)
        return (validator, foretold) if now == used else _of_code(scope, now, contexts)
    return validator, foretold


def validate_customers(scope: Scope, id: str, contexts: Sequence[Context]) -> Decided:
    """The same of a promotion, whatever the code. Raises NotFound, Conflict, Invalid."""
    if len(contexts) <= validating.FEW:
        return _given(_foretellers(scope).answer(scope, Asked(id, contexts)))
    answer = validating.validate_customers(scope, id, contexts)
    return _bounded(scope, [answer], _counters(scope, [id]))[0]


async def validate_soon(scope: Scope, id: str, contexts: Sequence[Context]) -> Decided:
    """The same of few customers on an event loop, which it does not hold up.

    Raises Unavailable where too many wait, too.
    """
    return _given(await asyncio.wrap_future(_foretellers(scope).submit(scope, Asked(id, contexts))))


def _foretellers(scope: Scope) -> Foretellers:
    return scope.stores.workers.only(Foretellers, scope.stores)


def _given(answer: Answer) -> Decided:
    if isinstance(answer, RapportError):
        raise answer
    return answer


def _of_code(scope: Scope, code: FoundCode, contexts: Sequence[Context]) -> Decided:
    validator, foretold = validate_customers(scope, code.target.promotion_id, contexts)
    return validator, [_with_code(code, decision) for decision in foretold]


def _with_code(code: FoundCode, decision: Decision) -> Decision:
    if not code.is_for(decision.customer_id):
        return _refused(decision, Refusal.CODE_OF_ANOTHER)
    is_granted = decision.tier is not None or decision.reason in BY_BUDGETS
    return _refused(decision, Refusal.CODE_REDEEMED) if code.is_redeemed and is_granted else decision


def _together(scope: Scope, asked: Sequence[Asked]) -> list[Answer]:
    begun = validating.begin_together(scope, asked)
    counters = _counters(scope, {each.id for each in asked})
    answers = begun.answers()
    bounded = iter(_bounded(scope, [answer for answer in answers if not isinstance(answer, RapportError)], counters))
    return [answer if isinstance(answer, RapportError) else next(bounded) for answer in answers]


def _counters(scope: Scope, promotion_ids: Iterable[str]) -> Counters:
    with scope.stores.records.reading() as connection:
        return counters_in(connection, scope.tenant_id, sorted(promotion_ids))


def _bounded(scope: Scope, decided: Sequence[Decided], counters: Counters) -> list[Decided]:
    """What promotions decide, without what their budgets do not allow."""
    if not counters:
        return list(decided)
    bounded = _within_budgets(scope, decided, counters)
    refusing = {
        validator.promotion.id
        for validator, decisions in bounded
        if any(decision.reason in BY_BUDGETS for decision in decisions)
    }
    # What is reserved in vain may be what is missing.
    has_freed = sum(ending.expire_due(scope, promotion_id, None) for promotion_id in sorted(refusing)) > 0
    return _within_budgets(scope, decided, counters) if has_freed else bounded


def _within_budgets(scope: Scope, decided: Sequence[Decided], counters: Counters) -> list[Decided]:
    """The same by the counters as they are."""
    takers = [
        (_taker(scope, validator, decision), counters[validator.promotion.id])
        for validator, decisions in decided
        for decision in decisions
        if decision.tier is not None and validator.promotion.id in counters
    ]
    if not takers:
        return list(decided)
    with scope.stores.records.reading() as connection:
        published = PublishedRewards(connection, [taker for taker, _ in takers], locks=False)
        of_published = [(each.taker, counters[each.taker.promotion_id]) for each in published]
        ledger = Ledger(connection, [*takers, *of_published], locks=False)
    return [
        (
            validator,
            [
                _allowed(
                    ledger,
                    published,
                    _taker(scope, validator, decision),
                    counters.get(validator.promotion.id, ()),
                    decision,
                )
                for decision in decisions
            ],
        )
        for validator, decisions in decided
    ]


def _taker(scope: Scope, validator: Validator, decision: Decision) -> Taker:
    return Taker(scope.tenant_id, validator.promotion.id, decision.customer_id.lower(), scope.today())


def _allowed(
    ledger: Ledger,
    published: PublishedRewards,
    taker: Taker,
    counters: Sequence[Counter],
    decision: Decision,
) -> Decision:
    if decision.tier is None or not counters:
        return decision
    earlier = published.of(taker, None)
    released = ledger.release(earlier.taker, counters, earlier.rewards) if earlier else {}
    try:
        ledger.require(taker, counters, kept_rewards(decision))
    except CustomerLimitReached:
        return _refused(decision, Refusal.CUSTOMER_LIMIT_REACHED)
    except BudgetExceeded:
        return _refused(decision, Refusal.BUDGET_EXCEEDED)
    finally:
        ledger.restore(released)
    return decision


def _refused(decision: Decision, reason: Refusal) -> Decision:
    return replace(decision, tier=None, rewards=(), reason=reason)
