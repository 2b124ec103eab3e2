"""Ended firings of triggers in the accounts of their campaigns: each firing has its rows once."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from rapport.access.scope import Scope

WRITTEN = """
    SELECT DISTINCT firing_id FROM {table}
    WHERE execution_date IN {{days:Array(Date)}} AND campaign_id IN {{campaigns:Array(UInt32)}}
        AND firing_id IN {{ids:Array(UInt64)}}
"""


class FiringRecipient(NamedTuple):
    """A customer who got, or as control would have got, what a firing brings on a channel."""

    execution_date: date
    campaign_id: int
    customer_id: str
    channel_id: int
    recipient_group_id: int
    action_id: int
    template_id: int
    target_group_id: int
    promo_code: str
    scheduled_time: datetime
    end_date: date
    drawn_group: int
    messages: int
    firing_id: int


class FiringOutcome(NamedTuple):
    """What became of a firing on a channel, 0 where it reached none."""

    execution_date: date
    campaign_id: int
    customer_id: str
    channel_id: int
    outcome: str
    reason: str
    message_id: str
    batch: int
    recorded_at: datetime | None
    drawn_group: int
    firing_id: int


class FiringRewards(NamedTuple):
    """What promotions granted a customer with a firing, as JSON; the last firing of a day has the highest seq."""

    execution_date: date
    campaign_id: int
    customer_id: str
    reward_values: str
    grants: str
    seq: int
    given_at: datetime
    firing_id: int


def add_filed(
    scope: Scope,
    rewards: Sequence[FiringRewards],
    recipients: Sequence[FiringRecipient],
    outcomes: Sequence[FiringOutcome],
) -> None:
    """Insert the rows of those firings that have none yet in the table. May be repeated; one caller at a time.

    Whoever takes new outcomes finds the rewards that belong to them.
    """
    _add(scope, "campaign_rewards", rewards)
    _add(scope, "campaign_recipients", recipients)
    _add(scope, "campaign_outcomes", outcomes)


def _add(
    scope: Scope, table: str, rows: Sequence[FiringRewards] | Sequence[FiringRecipient] | Sequence[FiringOutcome]
) -> None:
    if not rows:
        return
    parameters = {
        "days": sorted({row.execution_date for row in rows}),
        "campaigns": sorted({row.campaign_id for row in rows}),
        "ids": [row.firing_id for row in rows],
    }
    written = {int(firing_id) for (firing_id,) in scope.warehouse.rows(WRITTEN.format(table=table), **parameters)}
    new = [row for row in rows if row.firing_id not in written]
    scope.warehouse.insert(table, rows[0]._fields, new)
