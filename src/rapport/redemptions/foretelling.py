"""What redemptions would be told: validation by the rules of redeeming, without counting.

A customer is decided about as for a redemption, in the same order: whose code it is, what the promotion grants, whether
a unique code was used, and what the budgets have left for this customer alone. The rules are those of targets and
counting. Stacking is left to redemptions, which name an order.

Whoever asks about few customers while others are answered is answered together with all who wait.
"""

from collections.abc import Sequence
from dataclasses import replace

from rapport.access.scope import Scope
from rapport.errors import RapportError
from rapport.promotions import validating
from rapport.promotions.deciding import Context, Decision, Validator
from rapport.promotions.states import Refusal
from rapport.promotions.validating import Answer, Asked
from rapport.redemptions import ending, targets
from rapport.redemptions.budgets import counters_in
from rapport.redemptions.counting import Counter, Ledger, Taker, kept_rewards
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.targets import FoundCode
from rapport.stores import Stores
from rapport.stores.gathering import Gathering

MOST_AT_ONCE = 40
BY_BUDGETS = (Refusal.CUSTOMER_LIMIT_REACHED, Refusal.BUDGET_EXCEEDED)
# What the end of a reservation may free.
MAY_BE_FREED = (Refusal.CODE_REDEEMED, *BY_BUDGETS)


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

    def stop(self) -> None:
        """Let the threads end when they have answered all who wait."""
        self._gathering.stop()


def validate_code(
    scope: Scope, code: str, contexts: Sequence[Context], campaign_id: int | None = None
) -> tuple[Validator, list[Decision]]:
    """What each customer, in order, would be told who redeemed a code. Raises NotFound, Conflict, Invalid."""
    validator, foretold = _of_code(scope, targets.found_code(scope, code, campaign_id), contexts)
    if _has_freed(scope, validator, foretold):
        return _of_code(scope, targets.found_code(scope, code, campaign_id), contexts)
    return validator, foretold


def validate_customers(scope: Scope, id: str, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    """The same of a promotion, whatever the code. Raises NotFound, Conflict, Invalid."""
    validator, foretold = _of_promotion(scope, id, contexts)
    return _of_promotion(scope, id, contexts) if _has_freed(scope, validator, foretold) else (validator, foretold)


def _has_freed(scope: Scope, validator: Validator, foretold: Sequence[Decision]) -> bool:
    """Whether reservations have ended whose time was over, and that may have been in somebody's way."""
    is_refused = any(decision.reason in MAY_BE_FREED for decision in foretold)
    return is_refused and ending.expire_due(scope, validator.promotion.id, None) > 0


def _of_code(scope: Scope, code: FoundCode, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    validator, foretold = _of_promotion(scope, code.target.promotion_id, contexts)
    return validator, [_with_code(code, decision) for decision in foretold]


def _with_code(code: FoundCode, decision: Decision) -> Decision:
    if not code.is_for(decision.customer_id):
        return _refused(decision, Refusal.CODE_OF_ANOTHER)
    is_granted = decision.tier is not None or decision.reason in BY_BUDGETS
    return _refused(decision, Refusal.CODE_REDEEMED) if code.is_redeemed and is_granted else decision


def _of_promotion(scope: Scope, id: str, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    if len(contexts) > validating.FEW:
        validator, decisions = validating.validate_customers(scope, id, contexts)
        return _within_budgets(scope, [(validator, decisions)])[0]
    answer = scope.stores.workers.only(Foretellers, scope.stores).answer(scope, Asked(id, contexts))
    if isinstance(answer, RapportError):
        raise answer
    return answer


def _together(scope: Scope, asked: Sequence[Asked]) -> list[Answer]:
    answers = validating.validate_together(scope, asked)
    bounded = iter(_within_budgets(scope, [answer for answer in answers if not isinstance(answer, RapportError)]))
    return [answer if isinstance(answer, RapportError) else next(bounded) for answer in answers]


def _within_budgets(
    scope: Scope, decided: Sequence[tuple[Validator, list[Decision]]]
) -> list[tuple[Validator, list[Decision]]]:
    """What promotions decide, without what their budgets do not allow."""
    ids = {validator.promotion.id for validator, decisions in decided if any(each.tier for each in decisions)}
    if not ids:
        return list(decided)
    with scope.stores.records.reading() as connection:
        counters = counters_in(connection, scope.tenant_id, sorted(ids))
        if not counters:
            return list(decided)
        takers = [
            (_taker(scope, validator, decision), counters[validator.promotion.id])
            for validator, decisions in decided
            for decision in decisions
            if decision.tier is not None and validator.promotion.id in counters
        ]
        ledger = Ledger(connection, takers, locks=False)
    return [
        (
            validator,
            [
                _bounded(ledger, _taker(scope, validator, decision), counters.get(validator.promotion.id, ()), decision)
                for decision in decisions
            ],
        )
        for validator, decisions in decided
    ]


def _taker(scope: Scope, validator: Validator, decision: Decision) -> Taker:
    return Taker(scope.tenant_id, validator.promotion.id, decision.customer_id.lower(), scope.today())


def _bounded(ledger: Ledger, taker: Taker, counters: Sequence[Counter], decision: Decision) -> Decision:
    if decision.tier is None or not counters:
        return decision
    try:
        ledger.require(taker, counters, kept_rewards(decision))
    except CustomerLimitReached:
        return _refused(decision, Refusal.CUSTOMER_LIMIT_REACHED)
    except BudgetExceeded:
        return _refused(decision, Refusal.BUDGET_EXCEEDED)
    return decision


def _refused(decision: Decision, reason: Refusal) -> Decision:
    return replace(decision, tier=None, rewards=(), reason=reason)
