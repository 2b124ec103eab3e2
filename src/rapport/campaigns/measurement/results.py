"""Results of a campaign: every recipient group against control over the measurement window."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rapport.access.scope import Scope
from rapport.campaigns.goals import WORDS, goal_of, is_amount, is_click
from rapport.campaigns.measurement.between import Between, between, with_reactions
from rapport.campaigns.measurement.checks import BalanceCheck, check
from rapport.campaigns.measurement.interactions import RECORDED
from rapport.campaigns.measurement.metrics import PlaceMetrics, metrics_of
from rapport.campaigns.measurement.responses import Reacted, Response, Responses, classes, clicked, reactions, responses
from rapport.campaigns.measurement.statistics import (
    CANNOT_CLICK,
    NO_CONTROL,
    Comparison,
    adjusted,
    compare,
    mean_value,
    rate,
)
from rapport.campaigns.measurement.windows import window
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence
from rapport.campaigns.occurrences import occurrence
from rapport.campaigns.runs.splits import draw_of
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import EXECUTED_STATES
from rapport.errors import Conflict


@dataclass(frozen=True)
class GroupResult:
    """The results of a group, and the cost of its vouchers; group 0 is control.

    against_control is null for control itself and without control.

    check says whether the comparison is valid.
    """

    recipient_group_id: int
    action_id: int
    customers: int
    responders: int
    response_rate: float
    value: float
    mean_value: float
    cost: float
    interactions: dict[str, int]
    against_control: Comparison | None
    check: BalanceCheck | None
    verdict: str


@dataclass(frozen=True)
class Results:
    """Current results. The window is in local time of the tenant, money in the tenant's currency.

    responders are the customers who met the goal, and value is their money; counted describes this in words. metrics
    are totals that external systems reported, per channel and template; they name no customers. cap is the amount up
    to which the money of a customer counts in comparisons; null if nobody is above it. between compares groups that
    reach the same people with each other.
    """

    campaign_id: int
    state: str
    window_start: datetime
    window_end: datetime
    is_complete: bool
    goal: Goal
    counted: str
    currency: str
    cap: float | None
    groups: list[GroupResult]
    between: list[Between]
    metrics: list[PlaceMetrics]


def results(scope: Scope, campaign_id: int, goal: Goal | None = None) -> Results:
    """How a campaign did so far, for its goal or another one.

    Everybody assigned counts, reached or cleared or not: groups compare fairly.

    Raises NotFound, and Conflict for a campaign that was not executed.
    """
    campaign = occurrence(scope, campaign_id)
    if campaign.state not in EXECUTED_STATES:
        raise Conflict(f"Campaign {campaign_id} is {campaign.state} and has no results.")
    begin, end = window(scope, campaign)
    data_date = scope.data_date()
    is_open = data_date is None or data_date < end.date()
    goal = goal or goal_of(campaign.plan)
    (reacted,) = reactions(scope, [campaign]).values()
    done = responses(scope, [campaign], goal)
    done = clicked(done, {campaign.id: reacted}) if is_click(goal) else done
    alike = classes(scope, campaign)
    sent = {number: done.of(campaign.id, [number], is_control=False) for number in range(1, len(alike) + 1)}
    against = between([sent], alike, is_open=is_open, by_money=is_amount(goal))
    return Results(
        campaign_id=campaign.id,
        state=campaign.state,
        window_start=begin,
        window_end=end,
        is_complete=not is_open,
        goal=goal,
        counted=WORDS[goal.kind],
        currency=scope.currency,
        cap=done.cap,
        groups=_groups(campaign, done, alike, reacted, goal, is_open),
        between=with_reactions(against, [sent], [reacted], is_open=is_open),
        metrics=metrics_of(scope, campaign_id),
    )


def _groups(
    campaign: Occurrence,
    done: Responses,
    alike: Sequence[Sequence[int]],
    reacted: Reacted,
    goal: Goal,
    is_open: bool,
) -> list[GroupResult]:
    """Control, then every group against those held back who would have been in it or in one that reaches the same."""
    plan = campaign.plan
    everybody = range(1, len(plan.groups) + 1)
    control = done.of(campaign.id, everybody, is_control=True)
    groups = [_result(0, CONTROL_ACTION_ID, control, reacted)]
    for number, alike_ones in enumerate(alike, start=1):
        own, held_back = (
            done.of(campaign.id, [number], is_control=False),
            done.of(campaign.id, alike_ones, is_control=True),
        )
        group = _result(number, plan.group(number).action_id, own, reacted)
        if is_click(goal):
            group = replace(group, verdict=CANNOT_CLICK)
        elif not control.customers:
            group = replace(group, verdict=NO_CONTROL)
        elif own.customers and held_back.customers:
            comparison = compare([(own, held_back)], is_open=is_open, by_money=is_amount(goal))
            tested = check([(own, held_back)], [draw_of(plan, number, alike_ones)])
            group = replace(group, against_control=comparison, check=tested)
        groups.append(group)
    return _judged_together(groups)


def _judged_together(groups: Sequence[GroupResult]) -> list[GroupResult]:
    """The same with their verdicts: of all comparisons together, and of the check where one fails."""
    compared = [group for group in groups if group.against_control]
    together = adjusted([group.against_control for group in compared if group.against_control])
    judged = {group.recipient_group_id: comparison for group, comparison in zip(compared, together, strict=True)}
    return [_judged(group, judged.get(group.recipient_group_id)) for group in groups]


def _judged(group: GroupResult, comparison: Comparison | None) -> GroupResult:
    if comparison is None or group.check is None:
        return group
    verdict = comparison.verdict if group.check.may_be_read else group.check.words
    return replace(group, against_control=replace(comparison, verdict=verdict), verdict=verdict)


def _result(number: int, action_id: int, response: Response, reacted: Reacted) -> GroupResult:
    return GroupResult(
        recipient_group_id=number,
        action_id=action_id,
        customers=response.customers,
        responders=response.responders,
        response_rate=rate(response),
        value=response.value,
        mean_value=mean_value(response),
        cost=response.cost,
        interactions={name: reacted[number, event] for event, name in RECORDED.items() if (number, event) in reacted},
        against_control=None,
        check=None,
        verdict="",
    )
