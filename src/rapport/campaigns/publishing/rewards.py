"""What customers of conditional campaigns are given: rewards of promotions, or what outside systems computed."""

# ruff: noqa: S608 - statements are put together of constants

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence
from rapport.messaging.tags.language import REWARD

OF_CAMPAIGN = "execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}"
LAST = f"""
    SELECT lowerUTF8(customer_id) AS customer_key, argMax(customer_id, seq) AS id, argMax(reward_values, seq) AS given,
        argMax(grants, seq) AS given_by
    FROM campaign_rewards WHERE {OF_CAMPAIGN}
"""
OF_CUSTOMERS = f"""
    {LAST} AND lowerUTF8(customer_id) IN {{customers:Array(String)}} GROUP BY customer_key
"""
# By customer of the bound run: customer_key, and given, a JSON object of texts by name.
GIVEN = f"{LAST} GROUP BY customer_key"
LISTED = f"""
    {LAST} GROUP BY customer_key ORDER BY customer_key LIMIT {{limit:UInt32}} OFFSET {{offset:UInt32}}
"""

KEY = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


@dataclass(frozen=True)
class Grant:
    """Which tier of which promotion gave rewards."""

    promotion_id: str
    promotion_tier_id: str
    promo_code: str


@dataclass(frozen=True)
class CustomerRewards:
    """What a customer is given: texts by name, as tags show them. grants is empty for what outside systems computed."""

    customer_id: str
    values: Mapping[str, str]
    grants: tuple[Grant, ...] = field(default=())

    @property
    def texts(self) -> tuple[str, str]:
        """Values and grants as the accounts keep them, in JSON."""
        grants = orjson.dumps(list(self.grants)).decode() if self.grants else ""
        return orjson.dumps(dict(self.values)).decode(), grants

    @property
    def tags(self) -> dict[str, str]:
        """What [%REWARD:NAME%] shows, as messages take it."""
        return {f"{REWARD}{name}": text for name, text in self.values.items()}


def keys_among(names: Sequence[str]) -> dict[int, str]:
    """The keys of reward types among names such as REWARD:bonus, in upper case as they are kept, by their places."""
    spelled = enumerate(name.strip().upper() for name in names)
    return {place: name.removeprefix(REWARD) for place, name in spelled if name.startswith(REWARD)}


def of_run(campaign: Occurrence) -> dict[str, Any]:
    """What the statements bind that read the accounts of a campaign."""
    return {"execution_date": campaign.execution_date, "campaign": campaign.id}


def keep(scope: Scope, campaign: Occurrence, first: int, customers: Sequence[CustomerRewards]) -> None:
    """Write what customers of a campaign are given, in place of what they were; first numbers the first of them."""
    at = scope.clock.now()
    rows = [
        (
            campaign.execution_date,
            campaign.id,
            customer.customer_id,
            *customer.texts,
            first + place,
            at,
        )
        for place, customer in enumerate(customers)
    ]
    names = ("execution_date", "campaign_id", "customer_id", "reward_values", "grants", "seq", "given_at")
    scope.warehouse.insert("campaign_rewards", names, rows)


def of_customers(scope: Scope, campaign: Occurrence, customer_ids: Sequence[str]) -> dict[str, CustomerRewards]:
    """What customers of a campaign are given, by their ids in lower case; others are left out."""
    keys = [customer_id.lower() for customer_id in customer_ids]
    rows = scope.warehouse.rows(OF_CUSTOMERS, customers=keys, **of_run(campaign))
    return {key: _read(*row) for key, *row in rows}


def listed(scope: Scope, campaign: Occurrence, limit: int, offset: int) -> list[CustomerRewards]:
    """What all customers of a campaign are given, by id ignoring case."""
    rows = scope.warehouse.rows(LISTED, limit=limit, offset=offset, **of_run(campaign))
    return [_read(*row) for _, *row in rows]


def in_tags(scope: Scope, campaign: Occurrence, customer_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """What [%REWARD:NAME%] shows each of some customers of a campaign, as messages take it."""
    by_key = of_customers(scope, campaign, customer_ids) if campaign.clearance_by else {}
    nothing = CustomerRewards("", {})
    return {customer_id: by_key.get(customer_id.lower(), nothing).tags for customer_id in customer_ids}


def _read(customer_id: str, values: str, grants: str) -> CustomerRewards:
    given_by = tuple(Grant(**grant) for grant in orjson.loads(grants)) if grants else ()
    return CustomerRewards(customer_id, orjson.loads(values), given_by)
