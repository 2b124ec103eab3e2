"""How the customers of a triggered campaign responded: each in a window of its own, from its first firing of the day.

Control members have firings too, so their windows run alike. Whoever the gateway did not allow, or promotions granted
nothing, counts in the group that it was in by hash: control was never asked about, so the allowed alone do not compare
with it.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.costs import cost_sql
from rapport.campaigns.goals import sales
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs.clearance import REFUSED
from rapport.campaigns.runs.splits import GROUP, cuts, group_at_sql, trigger_part_sql
from rapport.campaigns.schemas import Goal
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import ValueRule

PART = trigger_part_sql("{series:String}", GROUP, "customer_id")
OF_DAYS = "execution_date IN {execution_dates:Array(Date)} AND campaign_id IN {campaigns:Array(UInt32)}"
DAY = "indexOf({campaigns:Array(UInt32)}, campaign_id)"
BY_HASH = group_at_sql(PART, f"{{cuts:Array(Array(UInt32))}}[{DAY}]")
DRAWN = f"if(drawn_group > 0, drawn_group, {BY_HASH})"
ASSIGNED = f"""
    SELECT draw, customer_id, max(place) AS grp, max(drawn) AS drawn, min(at) AS begin FROM (
        SELECT {{draws:Array(UInt32)}}[{DAY}] AS draw, customer_id, recipient_group_id AS place, {DRAWN} AS drawn,
            scheduled_time AS at
        FROM campaign_recipients WHERE {OF_DAYS}
        UNION ALL
        SELECT {{draws:Array(UInt32)}}[{DAY}] AS draw, customer_id, {DRAWN} AS place, place AS drawn,
            toDateTime(toString(toDateTime(recorded_at), {{zone:String}}), 'UTC') AS at
        FROM campaign_outcomes
        WHERE {OF_DAYS} AND outcome = '{Outcome.EXCLUDED}' AND (startsWith(reason, 'gateway') OR reason = '{REFUSED}')
            AND NOT startsWith(customer_id, 'v:')
    )
    GROUP BY draw, customer_id
"""


def people(values: ValueRule, goal: Goal, *, with_cost: bool) -> str:
    """SQL of a row a draw and customer: what it did for a goal in its window, and before it, and its vouchers."""
    cost = f", {cost_sql('assigned.draw')}" if with_cost else ""
    since, until = "{since:DateTime('UTC')} - toIntervalDay({past:UInt32})", "{until:DateTime('UTC')}"
    return f"""
    WITH
        sale.transaction_time >= assigned.begin
            AND sale.transaction_time < assigned.begin + toIntervalDay({{days:UInt32}}) AS within,
        sale.transaction_time >= assigned.begin - toIntervalDay({{past:UInt32}})
            AND sale.transaction_time < assigned.begin AS earlier
    SELECT assigned.draw AS campaign, assigned.customer_id AS customer, any(assigned.grp) AS grp,
        any(assigned.drawn) AS drawn,
        countIf(within AND sale.counts) AS orders, sumIf(sale.money, within) AS value,
        sumIf(sale.money, earlier) AS past{cost}
    FROM ({ASSIGNED}) AS assigned
    LEFT JOIN (
        {sales(values, goal, since, until, f"SELECT customer_id FROM ({ASSIGNED})")}
    ) AS sale ON sale.customer_id = assigned.customer_id
    GROUP BY campaign, customer
    """


def trigger_window(campaign: Occurrence, first: datetime) -> tuple[datetime, datetime]:
    """From the first firing to the end of the window of the last one that the day can have, in tenant wall clock.

    What quiet hours delayed goes out on the next day at the latest.
    """
    waits = campaign.plan.quiet_hours is not None
    last = datetime.combine(campaign.execution_date, time()) + timedelta(days=2 if waits else 1)
    return first, last + timedelta(days=campaign.duration)


def bindings(scope: Scope, days: Sequence[Occurrence], begins: Sequence[datetime]) -> dict[str, Any]:
    """What the statement binds for days of a triggered campaign, with the first firing of each."""
    shares = [[group.share for group in day.plan.groups] for day in days]
    return {
        "execution_dates": [day.execution_date for day in days],
        "campaigns": [day.id for day in days],
        "draws": draws(days),
        "series": str(days[0].series_id),
        "cuts": [cuts(group_shares) for group_shares in shares],
        "zone": str(scope.time_zone),
        "since": min(begins),
        "until": max(trigger_window(*day_and_begin)[1] for day_and_begin in zip(days, begins, strict=True)),
        "days": max(day.duration for day in days),
    }


def draws(days: Sequence[Occurrence]) -> list[int]:
    """For each day the first one on which people were divided in the same way into the same groups."""
    first: dict[str, int] = {}
    return [first.setdefault(repr((day.plan.control_share, day.plan.groups)), day.id) for day in days]
