"""Rewards of triggered campaigns: promotions decide about the customer of each firing, when it is let out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.publishing import granting
from rapport.campaigns.publishing.granting import Granted
from rapport.campaigns.publishing.rewards import CustomerRewards, Grant
from rapport.promotions.deciding import Context
from rapport.redemptions import publishing
from rapport.redemptions.publishing import Offer


@dataclass(frozen=True)
class RewardedFiring:
    """A firing about whose customer promotions decide. customer_id is empty for a visitor whom nobody knows.

    promo_codes are joined with ','. parameters are those of the event: what promotions take as properties of the
    session.
    """

    firing_id: int
    campaign_id: int
    customer_id: str
    promo_codes: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Decisions:
    """What promotions decide about the customers of firings: who was asked about, and offers to those who get one.

    promotion_codes are the own codes of promotions, by their ids.
    """

    asked: set[int] = field(default_factory=set)
    offers: list[Offer] = field(default_factory=list)
    promotion_codes: dict[str, str] = field(default_factory=dict)

    def rewards(
        self, firings: Sequence[RewardedFiring], granted: Mapping[int, Sequence[Granted]]
    ) -> dict[int, CustomerRewards | None]:
        """What each firing is granted, by its id; None for one about which was asked in vain."""
        return {
            firing.firing_id: granting.rewards_of(firing.customer_id, granted.get(firing.firing_id, ()))
            if firing.firing_id in granted or firing.firing_id not in self.asked
            else None
            for firing in firings
        }


def granted(scope: Scope, session: Session, firings: Sequence[RewardedFiring]) -> dict[int, CustomerRewards | None]:
    """What the promotions of their promo codes grant the customers of firings, by the ids of firings; None for nothing.

    Each firing is an offer of its own, within the budgets and limits of the promotion, which count it in the
    transaction that lets the firing out. Rules are those of publisher.granted_by; a visitor is granted nothing.
    """
    decisions, granted_of = _decisions(scope, firings), defaultdict[int, list[Granted]](list)
    published = publishing.publish_with_firings(scope, session, decisions.offers)
    for (firing_id, promotion_id), redemption in published.items():
        granted_of[firing_id].append(Granted.of(redemption, decisions.promotion_codes[promotion_id]))
    return decisions.rewards(firings, granted_of)


def foretold(scope: Scope, firings: Sequence[RewardedFiring]) -> dict[int, CustomerRewards | None]:
    """What firings would be granted now, each if it were the only one. Nothing is counted."""
    decisions, granted_of = _decisions(scope, firings), defaultdict[int, list[Granted]](list)
    for offer in publishing.affordable(scope, decisions.offers):
        promotion_code = decisions.promotion_codes[offer.target.promotion_id]
        granted_of[offer.firing_id].append(Granted.of_decision(offer.target, offer.decision, promotion_code))
    return decisions.rewards(firings, granted_of)


def _decisions(scope: Scope, firings: Sequence[RewardedFiring]) -> _Decisions:
    fired_by = defaultdict[tuple[int, str], list[RewardedFiring]](list)
    for firing in firings:
        for code in granting.codes_in(firing.promo_codes):
            fired_by[firing.campaign_id, code].append(firing)
    decisions = _Decisions()
    for (campaign_id, code), fired in fired_by.items():
        known = [firing for firing in fired if firing.customer_id]
        contexts = [Context(firing.customer_id, firing.parameters) for firing in known]
        decided = granting.decided_by_events(scope, code, contexts, campaign_id)
        if decided is not None:
            decisions.asked.update(firing.firing_id for firing in fired)
            decisions.offers += [
                Offer(firing.firing_id, campaign_id, decided.target, decision)
                for firing, decision in zip(known, decided.decisions, strict=False)
                if decision.tier is not None
            ]
            decisions.promotion_codes[decided.target.promotion_id] = decided.promotion_code
    return decisions


def document(rewards: CustomerRewards) -> dict[str, Any]:
    """Rewards as a firing keeps them."""
    return {"values": dict(rewards.values), "grants": [asdict(grant) for grant in rewards.grants]}


def rewards_in(customer_id: str, kept: Mapping[str, Any] | None) -> CustomerRewards:
    """The rewards that a firing keeps for its customer; without values where it keeps none."""
    if kept is None:
        return CustomerRewards(customer_id, {})
    return CustomerRewards(customer_id, kept["values"], tuple(Grant(**grant) for grant in kept["grants"]))
