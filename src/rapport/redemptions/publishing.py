"""Campaigns publish rewards: each is entered like a redemption, so that budgets hold for what customers are told, too.

A promotion is published once to a customer of a campaign, however often that is asked.
"""

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.promotions.deciding import Decision
from rapport.redemptions import ending
from rapport.redemptions.asking import Request, Target
from rapport.redemptions.entering import Candidate, enter
from rapport.redemptions.models import Redemption
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.states import LIVE, RedemptionState

BY_BUDGETS = (BudgetExceeded, CustomerLimitReached)
STANDING = (*LIVE, RedemptionState.REDEEMED)


def publish(scope: Scope, campaign_id: int, target: Target, decisions: Sequence[Decision]) -> dict[str, Redemption]:
    """Publish what a promotion grants customers of a campaign; what each of them has, by CustomerID.

    Customers to whom it was published before have the same as then. Left out are those for whom no budget is left, and
    those from whom it was taken back.
    """
    granting = [decision for decision in decisions if decision.tier is not None]
    verdicts = _entered(scope, campaign_id, target, granting)
    refused = [decision for decision in granting if isinstance(verdicts[decision.customer_id], BY_BUDGETS)]
    # What is reserved in vain may be what is missing.
    if refused and ending.expire_due(scope, target.promotion_id, None):
        verdicts |= _entered(scope, campaign_id, target, refused)
    before = [who for who, verdict in verdicts.items() if verdict is None]
    published = {who: verdict for who, verdict in verdicts.items() if isinstance(verdict, Redemption)}
    return {**published, **_published_before(scope, campaign_id, target.promotion_id, before)}


def _entered(
    scope: Scope, campaign_id: int, target: Target, decisions: Sequence[Decision]
) -> dict[str, Redemption | Conflict | None]:
    """The verdict on each customer; None for those to whom the promotion was published before."""
    candidates = [
        Candidate(
            Request(str(uuid.uuid4()), target.code, decision.customer_id, campaign_id=campaign_id),
            target,
            decision,
            is_published=True,
        )
        for decision in decisions
    ]
    verdicts = enter(scope, candidates) if candidates else []
    return {decision.customer_id: verdict for decision, verdict in zip(decisions, verdicts, strict=True)}


def _published_before(
    scope: Scope, campaign_id: int, promotion_id: str, customer_ids: Sequence[str]
) -> Mapping[str, Redemption]:
    of_person = {customer_id.lower(): customer_id for customer_id in customer_ids}
    if not of_person:
        return {}
    chosen = select(Redemption).where(
        Redemption.tenant_id == scope.tenant_id,
        Redemption.campaign_id == campaign_id,
        Redemption.promotion_id == promotion_id,
        Redemption.is_published,
        Redemption.person.in_(of_person),
        Redemption.state.in_(STANDING),
    )
    with scope.reads() as session:
        return {of_person[stored.person]: stored for stored in session.scalars(chosen)}
