"""The publisher: promotions decide about the customers of a conditional campaign, whom it then approves or refuses.

Nobody is decided about twice. Rewards are written before the approval that goes with them: after a kill between the two
the rewards stand, and only the approval is made up for.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from rapport.access.scope import Scope
from rapport.campaigns.leases import lease
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.publishing import granting, rewards
from rapport.campaigns.publishing.granting import Granted
from rapport.campaigns.publishing.rewards import OF_CAMPAIGN, CustomerRewards, of_run
from rapport.campaigns.runs import clearance
from rapport.campaigns.states import RunState
from rapport.errors import Conflict, Invalid
from rapport.promotions import validating
from rapport.redemptions import publishing

BATCH = validating.MOST_CONTEXTS
NOT_DECIDED = f"""
    {OF_CAMPAIGN} AND channel_id > 0 AND lowerUTF8(customer_id) NOT IN (
        SELECT lowerUTF8(customer_id) FROM campaign_clearances WHERE {OF_CAMPAIGN}
    )
"""
UNDECIDED = f"""
    SELECT customer_id, any(promo_code) FROM campaign_recipients WHERE {NOT_DECIDED}
    GROUP BY customer_id ORDER BY customer_id LIMIT {{batch:UInt32}}
"""
UNDECIDED_AMONG = f"""
    SELECT customer_id, any(promo_code) FROM campaign_recipients
    WHERE {NOT_DECIDED} AND lowerUTF8(customer_id) IN {{customers:Array(String)}}
    GROUP BY customer_id
"""
RECIPIENTS_AMONG = f"""
    SELECT DISTINCT lowerUTF8(customer_id) FROM campaign_recipients
    WHERE {OF_CAMPAIGN} AND channel_id > 0 AND lowerUTF8(customer_id) IN {{customers:Array(String)}}
"""
VERDICTS_AMONG = f"""
    SELECT lowerUTF8(customer_id) AS customer_key, argMax(status, seq) FROM campaign_clearances
    WHERE {OF_CAMPAIGN} AND lowerUTF8(customer_id) IN {{customers:Array(String)}} GROUP BY customer_key
"""


@dataclass(frozen=True)
class Published:
    """What became of a customer: whether approved, None for one who is no recipient; and what the customer is given."""

    customer_id: str
    approved: bool | None
    values: Mapping[str, str]


def to_publish(tenant_id: Any) -> Select[Any]:
    """A SELECT of the ids of campaigns of a tenant (or of a column's) about whose customers is to be decided."""
    return select(Occurrence.id).where(
        Occurrence.tenant_id == tenant_id, Occurrence.state == RunState.AWAITING_CLEARANCE, Occurrence.to_publish
    )


def waiting(scope: Scope) -> list[int]:
    """Campaigns about whose customers is to be decided, by id."""
    with scope.reads() as session:
        return list(session.scalars(to_publish(scope.tenant_id).order_by(Occurrence.id)))


def publish_batch(scope: Scope, campaign_id: int) -> bool:
    """Decide about the next customers of a campaign; whether there may be more. May be repeated, also at once."""
    with lease(scope, f"clear/{campaign_id}"):
        return _next(scope, campaign_id)


def publish(scope: Scope, campaign_id: int) -> None:
    """Decide about all customers of a campaign about whom nothing is decided. The caller holds its clearance."""
    while _next(scope, campaign_id):
        pass


def publish_customers(scope: Scope, campaign_id: int, customer_ids: Sequence[str]) -> list[Published]:
    """Decide about up to a batch of the customers of a campaign that waits; what became of each, in order.

    Those about whom was decided before stay as they are. Raises NotFound, Invalid, and Conflict for a campaign that
    does not wait for approval.
    """
    _check_number(customer_ids)
    keys = [customer_id.lower() for customer_id in customer_ids]
    with _held(scope, campaign_id) as (campaign, first):
        bound: dict[str, Any] = {"customers": keys, **of_run(campaign)}
        codes = {str(who): str(code) for who, code in scope.warehouse.rows(UNDECIDED_AMONG, **bound)}
        _decide(scope, campaign, first, codes)
        recipients = {str(key) for (key,) in scope.warehouse.rows(RECIPIENTS_AMONG, **bound)}
        approved = {str(key): bool(status) for key, status in scope.warehouse.rows(VERDICTS_AMONG, **bound)}
    rewarded = rewards.of_customers(scope, campaign, keys)
    return [
        Published(customer_id, approved[key], rewarded[key].values if approved[key] and key in rewarded else {})
        if key in recipients
        else Published(customer_id, None, {})
        for customer_id, key in zip(customer_ids, keys, strict=True)
    ]


def upload(scope: Scope, campaign_id: int, values: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Keep what an outside system computed for customers of a campaign that waits, in place of what they had.

    values are texts by name, by CustomerID; approves nobody. The ids that are none of a recipient, whose values are not
    kept. Raises NotFound, Invalid, and Conflict for a campaign that does not wait for approval.
    """
    _check_number(list(values))
    keys = [customer_id.lower() for customer_id in values]
    with _held(scope, campaign_id) as (campaign, first):
        known = {str(key) for (key,) in scope.warehouse.rows(RECIPIENTS_AMONG, customers=keys, **of_run(campaign))}
        uploaded = [
            CustomerRewards(customer_id, {name.upper(): text for name, text in of_customer.items()})
            for customer_id, of_customer in values.items()
            if customer_id.lower() in known
        ]
        rewards.keep(scope, campaign, first, uploaded)
    return [customer_id for customer_id in values if customer_id.lower() not in known]


def _check_number(customer_ids: Sequence[str]) -> None:
    if not 1 <= len(customer_ids) <= BATCH:
        raise Invalid(f"customers must be 1 to {BATCH}, not {len(customer_ids)}.")


@contextmanager
def _held(scope: Scope, campaign_id: int) -> Iterator[tuple[Occurrence, int]]:
    """A campaign that waits, about which nobody else decides meanwhile, with the number of the first report."""
    occurrence(scope, campaign_id)
    with (
        lease(scope, f"clear/{campaign_id}"),
        clearance.accepting(scope, campaign_id, refusal=Conflict) as (campaign, first),
    ):
        yield campaign, first


def _next(scope: Scope, campaign_id: int) -> bool:
    first = clearance.first_number(scope)
    with scope.records() as session:
        # Shared, so that reports of outside systems need not wait for the end of a batch.
        campaign = session.get_one(Occurrence, (scope.tenant_id, campaign_id), with_for_update={"read": True})
        if not _is_to_publish(campaign):
            return False
        rows = scope.warehouse.rows(UNDECIDED, batch=BATCH, **of_run(campaign))
        _decide(scope, campaign, first, {str(customer_id): str(promo_code) for customer_id, promo_code in rows})
    if len(rows) == BATCH:
        return True
    with scope.records() as session:
        locked(scope, session, campaign_id).to_publish = False
    return False


def _is_to_publish(campaign: Occurrence) -> bool:
    return campaign.state == RunState.AWAITING_CLEARANCE and not campaign.cleared_at and campaign.to_publish


def _decide(scope: Scope, campaign: Occurrence, first: int, codes: Mapping[str, str]) -> None:
    """Decide about customers of a campaign that is held, by their promo codes, joined with ','."""
    if not codes:
        return
    kept = rewards.of_customers(scope, campaign, list(codes))
    earlier = {key for key, customer in kept.items() if customer.grants}  # what was uploaded decides about nobody
    asked = {customer_id: code for customer_id, code in codes.items() if customer_id.lower() not in earlier}
    granted = granted_by(scope, asked, campaign.id)
    rewarded = [customer for customer in granted.values() if customer is not None and customer.grants]
    rewards.keep(scope, campaign, first, rewarded)
    refused = {customer_id for customer_id, customer in granted.items() if customer is None}
    clearance.keep(scope, campaign, first, [(customer_id, customer_id not in refused) for customer_id in codes])


def granted_by(scope: Scope, codes: Mapping[str, str], campaign_id: int) -> dict[str, CustomerRewards | None]:
    """What the promotions of their promo codes (several joined with ',') grant customers of a campaign; None for
    nothing.

    Codes that belong to no promotion, such as those of the back office, decide about nobody: who has only such codes
    is given nothing, and not None. A promotion that is not active grants nothing, nor does a code that is not in force
    or linked to other campaigns, nor whatever no budget is left for: what is granted counts like a redemption, once for
    a customer of the campaign.
    """
    customers_of = defaultdict[str, list[str]](list)
    for customer_id, joined in codes.items():
        for code in granting.codes_in(joined):
            customers_of[code].append(customer_id)
    asked, granted = set[str](), defaultdict[str, dict[str, Granted]](dict)
    for code, customer_ids in customers_of.items():
        decided = granting.decided(scope, code, customer_ids, campaign_id)
        if decided is None:
            continue
        asked.update(customer_ids)
        published = publishing.publish(scope, campaign_id, decided.target, decided.decisions)
        for customer_id, redemption in published.items():
            granted[customer_id][redemption.promotion_id] = Granted.of(redemption, decided.promotion_code)
    return {
        customer_id: granting.rewards_of(customer_id, list(granted[customer_id].values()))
        if customer_id in granted or customer_id not in asked
        else None
        for customer_id in codes
    }
