"""Campaigns publish rewards: each is entered like a redemption, so that budgets hold for what customers are told, too.

A promotion is published once to a customer of a campaign, however often that is asked; of a triggered campaign, once
with each firing.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.promotions.deciding import Decision
from rapport.redemptions import ending
from rapport.redemptions.asking import Request, Target
from rapport.redemptions.budgets import counters_in
from rapport.redemptions.counting import Counter, Ledger, Taker, kept_rewards
from rapport.redemptions.entering import Candidate, Verdict, enter, enter_within
from rapport.redemptions.models import Redemption
from rapport.redemptions.refusals import BudgetExceeded, CustomerLimitReached
from rapport.redemptions.states import LIVE, RedemptionState

BY_BUDGETS = (BudgetExceeded, CustomerLimitReached)
STANDING = (*LIVE, RedemptionState.REDEEMED)
OfFiring = tuple[int, str]  # firing, promotion


@dataclass(frozen=True)
class Offer:
    """What a promotion grants the customer of a firing of a campaign."""

    firing_id: int
    campaign_id: int
    target: Target
    decision: Decision

    @property
    def key(self) -> OfFiring:
        """Of these there is one offer."""
        return self.firing_id, self.target.promotion_id


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


def publish_with_firings(scope: Scope, session: Session, offers: Sequence[Offer]) -> dict[OfFiring, Redemption]:
    """Publish offers in the transaction that lets their firings out, which calls this once; what each firing has.

    Earlier firings take of budgets first. Left out are those for whom no budget is left.
    """
    if not offers:
        return {}
    by_key = {offer.key: offer for offer in offers}
    each = [by_key[key] for key in sorted(by_key)]
    # Before the counters are locked here: what is reserved in vain may be what would be missing.
    for promotion_id in sorted({offer.target.promotion_id for offer in each}):
        ending.expire_due(scope, promotion_id, None)
    verdicts = enter_within(scope, session, [_with_firing(offer) for offer in each])
    return _standing(scope, session, each, verdicts)


def affordable(scope: Scope, offers: Sequence[Offer]) -> list[Offer]:
    """Those offers for which budgets have enough left, each if it were the only one. Nothing is counted."""
    promotion_ids = sorted({offer.target.promotion_id for offer in offers})
    with scope.stores.records.reading() as connection:
        counters = counters_in(connection, scope.tenant_id, promotion_ids)
        counted = [(_taker(scope, offer), counters.get(offer.target.promotion_id, ())) for offer in offers]
        ledger = Ledger(connection, counted, locks=False)
    return [
        offer
        for offer, (taker, of_promotion) in zip(offers, counted, strict=True)
        if _fits(ledger, taker, of_promotion, offer.decision)
    ]


def _taker(scope: Scope, offer: Offer) -> Taker:
    return Taker(scope.tenant_id, offer.target.promotion_id, offer.decision.customer_id.lower(), scope.today())


def _fits(ledger: Ledger, taker: Taker, counters: Sequence[Counter], decision: Decision) -> bool:
    try:
        ledger.require(taker, counters, kept_rewards(decision))
    except BY_BUDGETS:
        return False
    return True


def _with_firing(offer: Offer) -> Candidate:
    request = Request(str(uuid.uuid4()), offer.target.code, offer.decision.customer_id, campaign_id=offer.campaign_id)
    return Candidate(request, offer.target, offer.decision, is_published=True, firing_id=offer.firing_id)


def _standing(
    scope: Scope, session: Session, offers: Sequence[Offer], verdicts: Sequence[Verdict]
) -> dict[OfFiring, Redemption]:
    """What was entered of offers now or before."""
    by_key = {offer.key: verdict for offer, verdict in zip(offers, verdicts, strict=True)}
    standing = {key: verdict for key, verdict in by_key.items() if isinstance(verdict, Redemption)}
    before = sorted({firing_id for (firing_id, _), verdict in by_key.items() if verdict is None})
    if before:
        chosen = select(Redemption).where(
            Redemption.tenant_id == scope.tenant_id,
            Redemption.firing_id.in_(before),
            Redemption.state.in_(STANDING),
        )
        standing |= {
            (stored.firing_id, stored.promotion_id): stored
            for stored in session.scalars(chosen)
            if stored.firing_id is not None
        }
    return standing


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
        Redemption.firing_id.is_(None),
        Redemption.person.in_(of_person),
        Redemption.state.in_(STANDING),
    )
    with scope.reads() as session:
        return {of_person[stored.person]: stored for stored in session.scalars(chosen)}
