"""Budgets of promotions: what they are, and how much of each is used.

They are set under a lock that redemptions of the promotion share, so that each redemption goes by the budgets before or
after, and what the counters begin with is all that is redeemed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid
from rapport.promotions.editing import promotion
from rapport.promotions.rewards import exact
from rapport.promotions.states import PromotionStatus
from rapport.promotions.tenants import promotion_tenant, reward_types_of
from rapport.redemptions.counting import Counter, counters_of
from rapport.redemptions.definitions import Budget, SetBudgets
from rapport.redemptions.models import BudgetCounter, PromotionBudget
from rapport.redemptions.periods import starts_on
from rapport.redemptions.states import LIVE, Counted, Period
from rapport.stores.records import hold

BUDGETS = text("""
    SELECT promotion_id, budgets FROM promotion_budgets
    WHERE tenant_id = :tenant_id AND promotion_id = ANY(:promotion_ids)
""")
LIVE_STATES = [state.value for state in LIVE]
REDEEMED = """
    SELECT redeemed.tenant_id, redeemed.promotion_id, :counted, redeemed.counted_of, :period, redeemed.starts_on,
        redeemed.person, redeemed.used, greatest(redeemed.used, CAST(:most AS numeric))
    FROM (
        SELECT asked.tenant_id, asked.promotion_id, asked.counted_of, asked.starts_on, {person} AS person,
            {used} AS used
        FROM (
            SELECT CAST(:tenant_id AS integer) AS tenant_id, CAST(:promotion_id AS text) AS promotion_id,
                CAST(:counted_of AS text) AS counted_of, CAST(:starts_on AS date) AS starts_on
        ) AS asked
        {joined} JOIN redemptions AS redemption ON redemption.tenant_id = asked.tenant_id
            AND redemption.promotion_id = asked.promotion_id AND redemption.counted_on >= asked.starts_on
            AND redemption.state = ANY(CAST(:live AS text[]))
        {rewards}
        GROUP BY asked.tenant_id, asked.promotion_id, asked.counted_of, asked.starts_on {by_person}
    ) AS redeemed
"""
BEGIN = (
    "INSERT INTO budget_counters (tenant_id, promotion_id, counted, counted_of, period, starts_on, person, used, most) "
)
REWARDS = """
    LEFT JOIN LATERAL jsonb_array_elements(redemption.rewards) AS reward
        ON lower(reward ->> 'rewardType') = asked.counted_of
"""
EACH = {"person": "''", "joined": "LEFT", "rewards": "", "by_person": ""}
BEGINNINGS = {
    Counted.CUSTOMER: EACH
    | {"person": "redemption.person", "used": "count(*)", "joined": "INNER", "by_person": ", redemption.person"},
    Counted.AUDIENCE: EACH | {"used": "count(DISTINCT redemption.person)"},
    Counted.REDEMPTIONS: EACH | {"used": "count(redemption.id)"},
    Counted.REWARD: EACH | {"used": "coalesce(sum(CAST(reward ->> 'value' AS numeric)), 0)", "rewards": REWARDS},
}


@dataclass(frozen=True)
class BudgetUse:
    """A budget, and what the live redemptions of its present period have taken of it.

    starts_on is the first day of the period, None for a lifetime; used is None for a budget of each customer.
    """

    budget: Budget
    starts_on: date | None
    used: Decimal | None

    @property
    def limit(self) -> Decimal:
        """The limit, exactly."""
        return exact(self.budget.limit)


def lock_name(promotion_id: str) -> str:
    """The lock that redemptions of a promotion share and that a change of its budgets holds alone."""
    return f"redemptions {promotion_id}"


def budgets_of(scope: Scope, promotion_id: str) -> list[BudgetUse]:
    """The budgets of a promotion, in the order in which they were set. Raises NotFound."""
    promotion(scope, promotion_id)
    with scope.reads() as session:
        stored = session.get(PromotionBudget, (scope.tenant_id, promotion_id))
        counters = session.scalars(
            select(BudgetCounter).where(
                BudgetCounter.tenant_id == scope.tenant_id,
                BudgetCounter.promotion_id == promotion_id,
                BudgetCounter.person == "",
            )
        )
        used = {
            (counter.counted, counter.counted_of, counter.period, counter.starts_on): counter.used
            for counter in counters
        }
    today, uses = scope.today(), []
    for budget in map(Budget.model_validate, stored.budgets if stored else []):
        begins = starts_on(budget.period, today)
        key = (budget.of, (budget.reward_type or "").lower(), budget.period, begins)
        taken = None if budget.of is Counted.CUSTOMER else used.get(key, Decimal(0))
        uses.append(BudgetUse(budget, None if budget.period is Period.LIFETIME else begins, taken))
    return uses


def set_budgets(scope: Scope, promotion_id: str, command: SetBudgets) -> None:
    """Replace the budgets of a promotion that is not archived; what was redeemed before counts.

    A budget below what is used already allows nothing more. Raises NotFound, Conflict, Invalid.
    """
    bounded = promotion(scope, promotion_id)
    if bounded.status == PromotionStatus.ARCHIVED:
        raise Conflict(f"Promotion {promotion_id!r} is archived; its budgets stay as they are.")
    checked = _checked(scope, command.budgets)
    document = [budget.document() for budget in checked]
    with scope.records() as session:
        hold(session, scope.tenant_id, lock_name(promotion_id))
        values = {"budgets": document, "updated_at": scope.clock.now()}
        key = {"tenant_id": scope.tenant_id, "promotion_id": promotion_id}
        stored = insert(PromotionBudget).values(**key, **values)
        session.execute(stored.on_conflict_do_update(index_elements=list(key), set_=values))
        session.execute(
            delete(BudgetCounter).where(
                BudgetCounter.tenant_id == scope.tenant_id, BudgetCounter.promotion_id == promotion_id
            )
        )
        for counter in counters_of(checked):
            _begin(scope, session, promotion_id, counter)
        scope.audit(session, "change", f"promotion {promotion_id}", budgets=document)


def _checked(scope: Scope, budgets: Sequence[Budget]) -> list[Budget]:
    """Budgets with reward types as they are spelt. Raises Invalid for an unknown one, and for two of the same."""
    types = reward_types_of(promotion_tenant(scope))
    seen, checked = set(), []
    for place, budget in enumerate(budgets):
        of = (budget.reward_type or "").lower()
        if budget.reward_type is not None and of not in types:
            raise Invalid(f"budgets[{place}].rewardType: there is no reward type {budget.reward_type!r}.")
        if (budget.of, of, budget.period) in seen:
            raise Invalid(f"budgets[{place}] is the second {budget.period} budget of the same {budget.of}.")
        seen.add((budget.of, of, budget.period))
        checked.append(budget.model_copy(update={"reward_type": types[of].key}) if of else budget)
    return checked


def _begin(scope: Scope, session: Session, promotion_id: str, counter: Counter) -> None:
    """Begin a counter with what is redeemed in its present period."""
    begun = text(BEGIN + REDEEMED.format(**BEGINNINGS[counter.counted]))
    parameters = {
        "tenant_id": scope.tenant_id,
        "promotion_id": promotion_id,
        "counted": counter.counted.value,
        "counted_of": counter.counted_of,
        "period": counter.period.value,
        "starts_on": starts_on(counter.period, scope.today()),
        "most": counter.most,
        "live": LIVE_STATES,
    }
    session.execute(begun, parameters)


def counters_in(connection: Connection, tenant_id: int, promotion_ids: Sequence[str]) -> dict[str, list[Counter]]:
    """What has to be counted for the redemptions of promotions, by their ids; only of those that have budgets."""
    stored = connection.execute(BUDGETS, {"tenant_id": tenant_id, "promotion_ids": list(promotion_ids)})
    return {row.promotion_id: counters_of(map(Budget.model_validate, row.budgets)) for row in stored if row.budgets}
