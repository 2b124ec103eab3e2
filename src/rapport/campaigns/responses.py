"""How the customers of a run responded in its measurement window: transactions that count, per recipient group."""

# ruff: noqa: S608 - statements are put together of constants

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from operator import add
from typing import Any

from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.campaigns import queries, trigger_results
from rapport.campaigns.clearance import LEFT_OUT
from rapport.campaigns.models import EXECUTED_STATES, Occurrence, OccurrenceChannel
from rapport.campaigns.queries import CAME_IN
from rapport.campaigns.splits import PARTS, cuts
from rapport.campaigns.trigger_results import trigger_window

# Past runs that a self-optimising split learns from, newest first.
REMEMBERED_RUNS = 20

# Who was assigned to which group; 0 is control. Customers whom an outside system did not clear count in the
# group that they were in by hash: control was never asked about, so the cleared alone do not compare with it.
# So do those who were taken off the list of an outside channel between processing and sending.
ASSIGNED = f"""
    SELECT customer_id, max(place) AS grp FROM (
        SELECT customer_id, recipient_group_id AS place FROM campaign_recipients
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
        UNION ALL
        SELECT customer_id, toUInt16(arrayFirstIndex(
            cut -> sipHash64({{campaign:UInt32}}, 'group', customer_id) % {PARTS} < cut, {{cuts:Array(UInt32)}}
        )) AS place
        FROM campaign_outcomes
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
            AND ({LEFT_OUT} OR outcome = 'suppressed' AND batch > 0 AND firing_id = 0)
    )
    GROUP BY customer_id
"""

RESPONSES = f"""
    SELECT grp, count(), countIf(orders > 0), sum(value), sum(value * value)
    FROM ({ASSIGNED}) AS r
    LEFT JOIN (
        SELECT customer_id, count() AS orders, sum(amount) AS value FROM transactions
        WHERE transaction_time >= {{begin:DateTime('UTC')}} AND transaction_time < {{end:DateTime('UTC')}}
            AND {CAME_IN}
            AND customer_id IN (SELECT customer_id FROM ({ASSIGNED}))
        GROUP BY customer_id
    ) AS t ON t.customer_id = r.customer_id
    GROUP BY grp ORDER BY grp
"""

INTERACTIONS = """
    SELECT recipient_group_id, event_id, uniqExact(customer_id) FROM campaign_interactions
    WHERE delivery_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY recipient_group_id, event_id ORDER BY recipient_group_id, event_id
"""


@dataclass(frozen=True)
class Response:
    """A recipient group (0: control) in the window; value and squares are sums over customers, in money."""

    group: int
    customers: int
    responders: int
    value: float
    squares: float


def window(scope: Scope, found: Occurrence) -> tuple[datetime, datetime]:
    """The measurement window in tenant wall-clock time: from the first send for the duration in days."""
    wanted = select(func.min(OccurrenceChannel.scheduled_time)).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == found.id
    )
    with scope.records() as session:
        begin = session.scalar(wanted)
    begin = begin or datetime.combine(found.send_date, time())
    if found.is_triggered:
        return trigger_window(found, begin)
    return begin, begin + timedelta(days=found.duration)


def responses(scope: Scope, found: Occurrence) -> list[Response]:
    """What each group of a run did in its window so far, control first."""
    begin, end = window(scope, found)
    if found.is_triggered:
        sql, bound = trigger_results.RESPONSES, trigger_results.bindings(scope, found, begin, end)
    else:
        bound = {"execution_date": found.execution_date, "campaign": found.id, "begin": begin, "end": end}
        sql, bound = RESPONSES, {**bound, "cuts": cuts(found.plan.get("shares", [1]))}
    sums: dict[int, list[float]] = {}
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT, "transactions"):
        for group, *numbers in part.rows(sql, **bound):
            sums[group] = [*map(add, sums.get(group, [0] * len(numbers)), numbers)]
    return [Response(g, int(n), int(hits), float(value), float(sq)) for g, (n, hits, value, sq) in sorted(sums.items())]


def interactions(scope: Scope, found: Occurrence) -> dict[tuple[int, int], int]:
    """Customers by recipient group and interaction (2 opened, 3 clicked, ...)."""
    counts = Counter[tuple[int, int]]()
    for part in scope.warehouse.customer_slices("campaign_interactions"):
        rows = part.rows(INTERACTIONS, execution_date=found.execution_date, campaign=found.id)
        counts.update({(int(group), int(event)): int(n) for group, event, n in rows})
    return counts


def past_responses(scope: Scope, found: Occurrence) -> list[tuple[int, int]]:
    """Responders and customers of each group over the past runs of a series that had the same offers."""
    offers = _offers(found.plan)
    totals = [(0, 0)] * len(offers)
    for past in _past_runs(scope, found):
        if _offers(past.plan) != offers:
            continue
        for one in responses(scope, past):
            if one.group:
                hits, size = totals[one.group - 1]
                totals[one.group - 1] = (hits + one.responders, size + one.customers)
    return totals


def _offers(plan: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (group["action_id"], *((one["channel_id"], one["template_id"]) for one in group["channels"]))
        for group in plan["groups"]
    ]


def _past_runs(scope: Scope, found: Occurrence) -> list[Occurrence]:
    wanted = (
        select(Occurrence)
        .where(
            Occurrence.tenant_id == scope.tenant_id,
            Occurrence.series_id == found.series_id,
            Occurrence.id != found.id,
            Occurrence.execution_date < found.execution_date,
            Occurrence.state.in_(EXECUTED_STATES),
            Occurrence.processed_at.is_not(None),
        )
        .order_by(Occurrence.execution_date.desc(), Occurrence.id.desc())
        .limit(REMEMBERED_RUNS)
    )
    with scope.records() as session:
        return list(session.scalars(wanted))
