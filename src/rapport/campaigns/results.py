"""Results of a campaign: every recipient group against control over the measurement window."""

from dataclasses import dataclass
from datetime import datetime

from rapport.access.scope import Scope
from rapport.campaigns.interactions import INTERACTIONS
from rapport.campaigns.metrics import PlaceMetrics, metrics_of
from rapport.campaigns.models import CONTROL_ACTION_ID, EXECUTED_STATES
from rapport.campaigns.occurrences import occurrence
from rapport.campaigns.responses import Response, interactions, responses, window
from rapport.campaigns.statistics import NO_CONTROL, Comparison, compare, mean_value, rate
from rapport.errors import Conflict


@dataclass(frozen=True)
class GroupResult:
    """What a group did; group 0 is control. against_control is none for control itself and without control."""

    recipient_group_id: int
    action_id: int
    customers: int
    responders: int
    response_rate: float
    value: float
    mean_value: float
    interactions: dict[str, int]
    against_control: Comparison | None
    verdict: str


@dataclass(frozen=True)
class Results:
    """Results as they stand. The window is in tenant wall-clock time, money in the tenant's currency.

    metrics are totals that outside systems reported, per channel and template; nobody is named by them.
    """

    campaign_id: int
    state: str
    window_start: datetime
    window_end: datetime
    is_complete: bool
    currency: str
    groups: list[GroupResult]
    metrics: list[PlaceMetrics]


def results(scope: Scope, campaign_id: int) -> Results:
    """How a campaign did so far. Everybody assigned counts, reached or cleared or not: groups compare fairly.

    Raises NotFound, and Conflict for a campaign that was not executed.
    """
    found = occurrence(scope, campaign_id)
    if found.state not in EXECUTED_STATES:
        raise Conflict(f"Campaign {campaign_id} is {found.state} and has no results.")
    rows = {row.group: row for row in responses(scope, found)}
    clicks = interactions(scope, found)
    begin, end = window(scope, found)
    actions = {0: CONTROL_ACTION_ID}
    actions |= {number: group["action_id"] for number, group in enumerate(found.plan["groups"], start=1)}
    groups = [
        _result(rows.get(number, Response(number, 0, 0, 0.0, 0.0)), action, rows.get(0), clicks)
        for number, action in actions.items()
    ]
    data_date = scope.data_date()
    complete = data_date is not None and data_date >= end.date()
    reported = metrics_of(scope, campaign_id)
    return Results(found.id, found.state, begin, end, complete, scope.currency, groups, reported)


def _result(one: Response, action_id: int, control: Response | None, clicks: dict[tuple[int, int], int]) -> GroupResult:
    comparison = compare(one, control) if control and one.group and one.customers else None
    verdict = comparison.verdict if comparison else ("" if one.group == 0 or control else NO_CONTROL)
    return GroupResult(
        recipient_group_id=one.group,
        action_id=action_id,
        customers=one.customers,
        responders=one.responders,
        response_rate=rate(one),
        value=one.value,
        mean_value=mean_value(one),
        interactions={
            name: clicks[one.group, event] for event, name in INTERACTIONS.items() if (one.group, event) in clicks
        },
        against_control=comparison,
        verdict=verdict,
    )
