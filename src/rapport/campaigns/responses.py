"""How the customers of a run responded in its measurement window: transactions that count, per recipient group."""

# ruff: noqa: S608 - statements are put together of constants

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import zip_longest
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

# Customers of the runs that a statement takes at once.
CUSTOMERS_AT_ONCE = 200_000

# Who was assigned to which group; 0 is control. Customers whom an outside system did not clear count in the
# group that they were in by hash: control was never asked about, so the cleared alone do not compare with it.
# So do those who were taken off the list of an outside channel between processing and sending.
# The runs stand in arrays: their dates, ids, cuts of the groups, begins and ends.
OF_RUNS = "execution_date IN {execution_dates:Array(Date)} AND campaign_id IN {campaigns:Array(UInt32)}"
PLACES = f"""
    SELECT campaign_id, customer_id, recipient_group_id AS place FROM campaign_recipients WHERE {OF_RUNS}
    UNION ALL
    SELECT campaign_id, customer_id, toUInt16(arrayFirstIndex(
        cut -> sipHash64(campaign_id, 'group', customer_id) % {PARTS} < cut,
        {{cuts:Array(Array(UInt32))}}[indexOf({{campaigns:Array(UInt32)}}, campaign_id)]
    )) AS place
    FROM campaign_outcomes
    WHERE {OF_RUNS} AND ({LEFT_OUT} OR outcome = 'suppressed' AND batch > 0 AND firing_id = 0)
"""

RESPONSES = f"""
    WITH
        indexOf({{campaigns:Array(UInt32)}}, r.campaign_id) AS run,
        t.transaction_time >= {{begins:Array(DateTime('UTC'))}}[run]
            AND t.transaction_time < {{ends:Array(DateTime('UTC'))}}[run] AS within
    SELECT campaign, grp, count(), countIf(orders > 0), sum(value), sum(value * value)
    FROM (
        SELECT r.campaign_id AS campaign, r.customer_id, any(r.grp) AS grp, countIf(within) AS orders,
            sumIf(t.amount, within) AS value
        FROM (
            SELECT campaign_id, customer_id, max(place) AS grp FROM ({PLACES}) GROUP BY campaign_id, customer_id
        ) AS r
        LEFT JOIN (
            SELECT customer_id, transaction_time, amount FROM transactions
            WHERE transaction_time >= {{begin:DateTime('UTC')}} AND transaction_time < {{end:DateTime('UTC')}}
                AND {CAME_IN} AND customer_id IN (SELECT customer_id FROM ({PLACES}))
        ) AS t ON t.customer_id = r.customer_id
        GROUP BY campaign, r.customer_id
    )
    GROUP BY campaign, grp ORDER BY campaign, grp
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
    return _windows(scope, [found])[0]


def _windows(scope: Scope, runs: Sequence[Occurrence]) -> list[tuple[datetime, datetime]]:
    wanted = select(OccurrenceChannel.campaign_id, func.min(OccurrenceChannel.scheduled_time)).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id.in_([run.id for run in runs])
    )
    with scope.records() as session:
        first: dict[int, datetime] = dict(list(session.execute(wanted.group_by("campaign_id"))))
    found = []
    for run in runs:
        begin = first.get(run.id) or datetime.combine(run.send_date, time())
        end = begin + timedelta(days=run.duration)
        found.append(trigger_window(run, begin) if run.is_triggered else (begin, end))
    return found


def responses(scope: Scope, found: Occurrence) -> list[Response]:
    """What each group of a run did in its window so far, control first."""
    if found.is_triggered:
        bound = trigger_results.bindings(scope, found, *window(scope, found))
        return _summed(scope, trigger_results.RESPONSES, bound).get(found.id, [])
    return responses_of_runs(scope, [found])[0]


def responses_of_runs(scope: Scope, runs: Sequence[Occurrence]) -> list[list[Response]]:
    """The same of several scheduled runs, in their order; a statement for each lot of customers."""
    found: dict[int, list[Response]] = {}
    lot: list[Occurrence] = []
    for run, following in zip_longest(runs, runs[1:]):
        lot.append(run)
        if following is None or sum(one.targeted for one in (*lot, following)) > CUSTOMERS_AT_ONCE:
            found |= _summed(scope, RESPONSES, _bindings(scope, lot))
            lot = []
    return [found.get(run.id, []) for run in runs]


def _bindings(scope: Scope, runs: Sequence[Occurrence]) -> dict[str, Any]:
    begins, ends = zip(*_windows(scope, runs), strict=True)
    return {
        "execution_dates": [run.execution_date for run in runs],
        "campaigns": [run.id for run in runs],
        "cuts": [cuts(run.plan.get("shares", [1])) for run in runs],
        "begins": list(begins),
        "ends": list(ends),
        "begin": min(begins),
        "end": max(ends),
    }


def _summed(scope: Scope, sql: str, bound: dict[str, Any]) -> dict[int, list[Response]]:
    """What a statement tells of campaigns and groups, added up over slices of customers."""
    sums: dict[tuple[int, int], list[float]] = {}
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT, "transactions"):
        for campaign, group, *numbers in part.rows(sql, **bound):
            key = int(campaign), int(group)
            sums[key] = [*map(add, sums.get(key, [0] * len(numbers)), numbers)]
    found = defaultdict[int, list[Response]](list)
    for (campaign, group), (customers, hits, value, squares) in sorted(sums.items()):
        found[campaign].append(Response(group, int(customers), int(hits), float(value), float(squares)))
    return found


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
    past = [run for run in _past_runs(scope, found) if _offers(run.plan) == offers]
    for run in responses_of_runs(scope, past):
        for one in run:
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
