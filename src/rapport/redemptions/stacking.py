"""Stacking and exclusivity: which promotions may be redeemed together in one order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.promotions.editing import promotion
from rapport.promotions.states import PromotionStatus
from rapport.redemptions.definitions import StackingRules
from rapport.redemptions.models import PromotionBudget, Redemption
from rapport.redemptions.refusals import NotCombinable
from rapport.redemptions.states import LIVE
from rapport.stores.records import hold_each

OTHERS = text("""
    SELECT DISTINCT redemption.order_id, redemption.promotion_id, budget.stacking
    FROM redemptions AS redemption
    LEFT JOIN promotion_budgets AS budget
        ON budget.tenant_id = redemption.tenant_id AND budget.promotion_id = redemption.promotion_id
    WHERE redemption.tenant_id = :tenant_id AND redemption.order_id = ANY(:order_ids)
        AND redemption.state = ANY(:live) AND redemption.id <> ALL(:ids)
    ORDER BY redemption.order_id, redemption.promotion_id
""")


def rules_of(scope: Scope, promotion_id: str) -> StackingRules:
    """The rules of a promotion; without any it goes with all others. Raises NotFound."""
    promotion(scope, promotion_id)
    with scope.reads() as session:
        return _stored(scope, session, promotion_id)


def set_rules(scope: Scope, promotion_id: str, rules: StackingRules) -> None:
    """Replace the rules of a promotion that is not archived; orders that were made before stay. Raises NotFound,
    Conflict."""
    if promotion(scope, promotion_id).status == PromotionStatus.ARCHIVED:
        raise Conflict(f"Promotion {promotion_id!r} is archived; its stacking rules stay as they are.")
    with scope.records() as session:
        key = {"tenant_id": scope.tenant_id, "promotion_id": promotion_id}
        values = {"stacking": rules.document(), "updated_at": scope.clock.now()}
        stored = insert(PromotionBudget).values(**key, budgets=[], **values)
        session.execute(stored.on_conflict_do_update(index_elements=list(key), set_=values))
        scope.audit(session, "change", f"promotion {promotion_id}", stacking=rules.document())


def _stored(scope: Scope, session: Session, promotion_id: str) -> StackingRules:
    stored = session.get(PromotionBudget, (scope.tenant_id, promotion_id))
    return StackingRules.model_validate(stored.stacking if stored else {})


class Orders:
    """The orders that redemptions of one transaction are of, and what is redeemed in each.

    Redemptions of the same order wait for each other, so that each knows those before it.
    """

    def __init__(
        self, scope: Scope, session: Session, entered: Sequence[Redemption], rules: Mapping[str, StackingRules]
    ) -> None:
        """rules are those of the promotions of what is entered."""
        self._rules = rules
        self._others: dict[str, dict[str, StackingRules]] = defaultdict(dict)  # by order and promotion
        order_ids = sorted({each.order_id for each in entered if each.order_id is not None})
        if not order_ids:
            return
        hold_each(session, scope.tenant_id, [f"order {order_id}" for order_id in order_ids])
        parameters = {
            "tenant_id": scope.tenant_id,
            "order_ids": order_ids,
            "live": [state.value for state in LIVE],
            "ids": [each.id for each in entered],
        }
        for order_id, promotion_id, stacking in session.execute(OTHERS, parameters):
            self._others[order_id][promotion_id] = StackingRules.model_validate(stacking or {})

    def require_combinable(self, entered: Redemption) -> None:
        """Raises NotCombinable when the order has a live redemption that this one must not go with."""
        if entered.order_id is None:
            return
        for other_id, other in self._others[entered.order_id].items():
            rules = self._rules[entered.promotion_id]
            reason = _forbidden(entered.promotion_id, rules, other_id, other)
            if other_id != entered.promotion_id and reason:
                raise NotCombinable(f"The order has promotion {other_id!r} already: {reason}.")

    def add(self, entered: Redemption) -> None:
        """A redemption that is in its order from now on."""
        if entered.order_id is not None:
            self._others[entered.order_id][entered.promotion_id] = self._rules[entered.promotion_id]


def _forbidden(id: str, rules: StackingRules, other_id: str, other: StackingRules) -> str | None:
    """Why two promotions may not be in one order; None if they may."""
    if rules.is_exclusive or other.is_exclusive:
        return f"promotion {(id if rules.is_exclusive else other_id)!r} goes with no other"
    if other_id in rules.not_with or id in other.not_with:
        return "the two do not go together"
    if rules.group is not None and rules.group == other.group:
        return f"an order can have one promotion of the group {rules.group!r}"
    return None
