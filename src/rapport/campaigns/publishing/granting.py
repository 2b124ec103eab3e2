"""What the promotion of a promo code decides about customers of a campaign, and what they are granted as rewards."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog

from rapport.access.scope import Scope
from rapport.campaigns.publishing.rewards import CustomerRewards, Grant
from rapport.errors import Conflict, Invalid, NotFound
from rapport.promotions import validating
from rapport.promotions.deciding import Context, Decision
from rapport.redemptions import targets
from rapport.redemptions.asking import Target
from rapport.redemptions.counting import Reward, kept_rewards
from rapport.redemptions.models import Redemption

log = structlog.get_logger("rapport.campaigns")
NO_PROMOTION = "No promo code belongs to a promotion: the message goes to everybody, without rewards."
Validation = Callable[[Scope, str, Sequence[Context]], validating.Decided]


@dataclass(frozen=True)
class Decided:
    """What the promotion of a promo code decides about customers; no decisions where it grants nobody anything.

    promotion_code is the promotion's own code.
    """

    target: Target
    promotion_code: str
    decisions: Sequence[Decision]


@dataclass(frozen=True)
class Granted:
    """What a tier of a promotion grants, as redemptions keep rewards."""

    grant: Grant
    rewards: Sequence[Reward]

    @classmethod
    def of(cls, redemption: Redemption, promotion_code: str) -> "Granted":
        """What was published of a promotion, with the promotion's own code."""
        return cls(Grant(redemption.promotion_id, redemption.tier_id or "", promotion_code), redemption.rewards)

    @classmethod
    def of_decision(cls, target: Target, decision: Decision, promotion_code: str) -> "Granted":
        """What a promotion would grant."""
        tier_id = (decision.tier and decision.tier.id) or ""
        return cls(Grant(target.promotion_id, tier_id, promotion_code), kept_rewards(decision))


def codes_in(promo_codes: str) -> list[str]:
    """The promo codes that are joined with ',', each once ignoring case, as it is spelt first."""
    return list({code.lower(): code for code in reversed(promo_codes.split(",")) if code}.values())


def fault_of(scope: Scope, codes: Sequence[str]) -> str:
    """Why the promo codes of a recipient group lead to no promotion now, in a sentence; empty where one does."""
    reasons = []
    for code in codes:
        try:
            targets.promotion_of_choice(scope, code, None)
        except NotFound:
            continue
        except Conflict as reason:
            reasons.append(reason.message)
            continue
        return ""
    return reasons[0] if reasons else NO_PROMOTION


def decided(scope: Scope, code: str, customer_ids: Sequence[str], campaign_id: int) -> Decided | None:
    """What the promotion of a code, as campaigns name it, decides about customers; None for a code of no promotion.

    A promotion that is not active grants nothing, nor does a code that is not in force or linked to other campaigns, or
    a promotion that needs a property of the session.
    """
    contexts = [Context(customer_id) for customer_id in customer_ids]
    return _decided(scope, code, contexts, campaign_id, validating.validate_customers)


def decided_by_events(scope: Scope, code: str, contexts: Sequence[Context], campaign_id: int) -> Decided | None:
    """The same of the customers of events, in order; sessions are the parameters of the events."""
    return _decided(scope, code, contexts, campaign_id, validating.validate_told)


def _decided(
    scope: Scope, code: str, contexts: Sequence[Context], campaign_id: int, validate: Validation
) -> Decided | None:
    try:
        promotion_id = targets.promotion_of_choice(scope, code, campaign_id)
        if not contexts:
            return Decided(Target(code, promotion_id), "", [])
        validator, decisions = validate(scope, promotion_id, contexts)
    except NotFound:
        return None
    except (Conflict, Invalid) as reason:
        log.warning("a promotion decides about nobody", tenant_id=scope.tenant_id, promo_code=code, reason=str(reason))
        return Decided(Target(code, ""), "", [])
    return Decided(Target(code, promotion_id), validator.promotion.code, decisions)


def rewards_of(customer_id: str, granted: Sequence[Granted]) -> CustomerRewards:
    """The rewards of a customer as texts, by reward type in upper case; what several promotions grant is added up."""
    sums = defaultdict[str, Decimal](Decimal)
    for each in granted:
        for reward in each.rewards:
            sums[reward["rewardType"].upper()] += Decimal(reward["value"])
    values = {name: f"{value:f}" for name, value in sums.items()}
    return CustomerRewards(customer_id, values, tuple(each.grant for each in granted))
