"""What customers bought within some time after an instant of each, such as the one at which they came in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.goals import VALUE, sales, sales_parameters
from rapport.campaigns.measurement.responses import PAST_DAYS, Lot
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule

# Customers whose orders a statement looks at.
AT_ONCE = 10_000


@dataclass(frozen=True)
class Begun:
    """A customer from an instant on, in a part of those who are compared: 0 is those who were held out."""

    customer_id: str
    at: datetime
    part: int


def people(values: ValueRule) -> str:
    """SQL of a row a customer and span of time: what it did within it, and had spent before it began."""
    since, until = "{since:DateTime('UTC')} - toIntervalDay({past:UInt32})", "{until:DateTime('UTC')}"
    return f"""
    WITH
        sale.transaction_time >= entry.begin AND sale.transaction_time < entry.begin + toIntervalMinute(entry.minutes)
            AS within,
        sale.transaction_time >= entry.begin - toIntervalDay({{past:UInt32}}) AND sale.transaction_time < entry.begin
            AS earlier
    SELECT {{draw:UInt32}} + entry.point - 1 AS campaign, entry.customer_id AS customer, any(entry.part) AS grp,
        greatest(1, grp) AS drawn, countIf(within AND sale.counts) AS orders, sumIf(sale.money, within) AS value,
        sumIf(sale.money, earlier) AS past
    FROM (
        SELECT
            arrayJoin(arrayZip(
                {{ids:Array(String)}}, {{begins:Array(DateTime('UTC'))}}, {{parts:Array(UInt16)}}
            )) AS member,
            arrayJoin(arrayEnumerate({{spans:Array(UInt32)}})) AS point,
            member.1 AS customer_id, member.2 AS begin, member.3 AS part, {{spans:Array(UInt32)}}[point] AS minutes
        WHERE begin + toIntervalMinute(minutes) <= {until}
    ) AS entry
    LEFT JOIN ({sales(values, VALUE, since, until, "SELECT arrayJoin({ids:Array(String)})")}) AS sale
        ON sale.customer_id = entry.customer_id
    GROUP BY campaign, customer
    """  # noqa: S608 - of constants


def lot_of(scope: Scope, draw: int, customers: Sequence[Begun], spans: Sequence[int], until: datetime) -> Lot:
    """At most AT_ONCE customers, each of whom is there once, as responses.summed takes them.

    spans are minutes, each of which is a draw of its own from the number draw on; a customer whose time is not over
    until then (tenant wall clock) does not count. There must be at least one customer.
    """
    begins = [begun.at.astimezone(scope.time_zone).replace(tzinfo=None, microsecond=0) for begun in customers]
    parameters: dict[str, Any] = {
        "draw": draw,
        "ids": [begun.customer_id for begun in customers],
        "begins": begins,
        "parts": [begun.part for begun in customers],
        "spans": list(spans),
        "since": min(begins),
        "until": until,
        "past": PAST_DAYS,
    }
    return people(value_rule(scope)), parameters | sales_parameters(scope, VALUE)
