"""What redemptions would be told: validation by the rules of redeeming, without counting.

A customer is decided about as for a redemption, in the same order: whose code it is, what the promotion grants, whether
a unique code was used, and what the budgets have left for this customer alone. The rules are those of targets and
counting. Stacking is left to redemptions, which name an order.
"""

from collections.abc import Sequence
from dataclasses import replace

from rapport.access.scope import Scope
from rapport.promotions import validating
from rapport.promotions.deciding import Context, Decision, Validator
from rapport.promotions.states import Refusal
from rapport.redemptions import ending, targets
from rapport.redemptions.budgets import counters_in
from rapport.redemptions.counting import Ledger, Taker, kept_rewards
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.targets import FoundCode

# What the end of a reservation may free.
MAY_BE_FREED = (Refusal.CODE_REDEEMED, Refusal.CUSTOMER_LIMIT_REACHED, Refusal.BUDGET_EXCEEDED)


def validate_code(
    scope: Scope, code: str, contexts: Sequence[Context], campaign_id: int | None = None
) -> tuple[Validator, list[Decision]]:
    """What each customer, in order, would be told who redeemed a code. Raises NotFound, Conflict, Invalid."""
    usable = targets.found_code(scope, code, campaign_id)
    validator, decisions = validating.validate_customers(scope, usable.target.promotion_id, contexts)
    foretold = _foretold(scope, validator, usable, decisions)
    if any(decision.reason in MAY_BE_FREED for decision in foretold) and ending.expire_due(
        scope, validator.promotion.id, None
    ):
        usable = targets.found_code(scope, code, campaign_id)
        foretold = _foretold(scope, validator, usable, decisions)
    return validator, foretold


def validate_customers(scope: Scope, id: str, contexts: Sequence[Context]) -> tuple[Validator, list[Decision]]:
    """The same of a promotion, whatever the code. Raises NotFound, Conflict, Invalid."""
    validator, decisions = validating.validate_customers(scope, id, contexts)
    foretold = _within_budgets(scope, validator, decisions)
    if any(decision.reason in MAY_BE_FREED for decision in foretold) and ending.expire_due(scope, id, None):
        foretold = _within_budgets(scope, validator, decisions)
    return validator, foretold


def _foretold(scope: Scope, validator: Validator, code: FoundCode, decisions: Sequence[Decision]) -> list[Decision]:
    decided = [
        decision if code.is_for(decision.customer_id) else _refused(decision, Refusal.CODE_OF_ANOTHER)
        for decision in decisions
    ]
    if code.is_redeemed:
        return [_refused(each, Refusal.CODE_REDEEMED) if each.tier is not None else each for each in decided]
    return _within_budgets(scope, validator, decided)


def _within_budgets(scope: Scope, validator: Validator, decisions: Sequence[Decision]) -> list[Decision]:
    """Decisions, of which those that the budgets of the promotion do not allow are refused."""
    promotion_id, day = validator.promotion.id, scope.today()
    with scope.reads() as session:
        counters = counters_in(session, scope.tenant_id, promotion_id)
        if not counters:
            return list(decisions)
        takers = [
            Taker(scope.tenant_id, promotion_id, decision.customer_id.lower(), day) if decision.tier else None
            for decision in decisions
        ]
        ledger = Ledger(session, [(taker, counters) for taker in takers if taker], locks=False)
    foretold = []
    for taker, decision in zip(takers, decisions, strict=True):
        try:
            if taker is not None:
                ledger.require(taker, counters, kept_rewards(decision))
            foretold.append(decision)
        except CustomerLimitReached:
            foretold.append(_refused(decision, Refusal.CUSTOMER_LIMIT_REACHED))
        except BudgetExceeded:
            foretold.append(_refused(decision, Refusal.BUDGET_EXCEEDED))
    return foretold


def _refused(decision: Decision, reason: Refusal) -> Decision:
    return replace(decision, tier=None, rewards=(), reason=reason)
