"""The result of a series over its runs: one number for what it has brought since it began.

Each run is compared within itself, group with the control members who would have been in it, and the differences
are put together (Mantel and Haenszel 1959), so that a good week or another split says nothing. The same customers are
in several runs: errors are clustered by customer (see returning). A triggered campaign divides its customers once, so
each of them counts once, from its first firing on. The result is looked at after each run: its intervals and p-values
hold however often that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.goals import WORDS, goal_of, is_amount, is_click
from rapport.campaigns.measurement.between import Between, between, with_reactions
from rapport.campaigns.measurement.checks import BalanceCheck, check
from rapport.campaigns.measurement.interactions import RECORDED
from rapport.campaigns.measurement.power import Detectable, detectable
from rapport.campaigns.measurement.responses import (
    Reacted,
    Response,
    Responses,
    classes,
    clicked,
    offers_of,
    reactions,
    responses,
)
from rapport.campaigns.measurement.returning import NO_INFLATION, Inflation, Sides, inflation
from rapport.campaigns.measurement.statistics import CANNOT_CLICK, NO_CONTROL, Comparison, Pair, adjusted, compare, rate
from rapport.campaigns.measurement.windows import windows
from rapport.campaigns.models import Occurrence, Series
from rapport.campaigns.runs.splits import Draw, draw_of
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import EXECUTED_STATES

# Runs that the result of a series goes back, newest first.
MOST_RUNS = 400


@dataclass(frozen=True)
class SeriesGroup:
    """A recipient group over all runs; a customer counts in each of its runs (in a triggered campaign: once)."""

    recipient_group_id: int
    action_id: int
    customers: int
    responders: int
    response_rate: float
    value: float
    cost: float
    interactions: dict[str, int]
    against_control: Comparison | None
    check: BalanceCheck | None
    verdict: str


@dataclass(frozen=True)
class SeriesResults:
    """Results of the runs whose window is complete and that had the same offers and goal as the newest of them.

    responders are the customers who met the goal, and value is their money; counted describes this in words.
    first_date and last_date are the days of the first and last run. Money is in the tenant's currency; cap is the
    amount up to which the money of a customer in a run counts in comparisons.
    """

    series_id: int
    name: str
    runs: int
    first_date: date | None
    last_date: date | None
    goal: Goal
    counted: str
    currency: str
    cap: float | None
    control_customers: int
    control_responders: int
    groups: list[SeriesGroup]
    between: list[Between]
    detectable: Detectable


def series_results(scope: Scope, series: Series, goal: Goal | None = None, first: date | None = None) -> SeriesResults:
    """What a series of scheduled runs or a triggered campaign has brought so far, for its goal or another one.

    first: of its runs sent on this day or later.
    """
    runs = [run for run in _complete_runs(scope, series, goal is not None) if first is None or run.send_date >= first]
    goal = goal or (goal_of(runs[0].plan) if runs else series.goal)
    reacted = reactions(scope, runs)
    done = responses(scope, runs, goal) if runs else Responses({}, None)
    done = clicked(done, reacted) if is_click(goal) else done
    # One run for each draw: the days of a triggered campaign are one.
    drawn = {run.id: run for run in runs if run.id in reacted}
    alike = classes(scope, runs[0]) if runs else []
    by_group = {n: _pairs(done, list(drawn.values()), n, others) for n, others in enumerate(alike, start=1)}
    held_back = sum((done.of(number, range(1, len(alike) + 1), is_control=True) for number in drawn), Response())
    sent = [{n: done.of(number, [n], is_control=False) for n in by_group} for number in drawn]
    clicks = [reacted[number] for number in drawn]
    days = [run.execution_date for run in runs]

    @cache
    def inflations(sides: Sides) -> Inflation:
        return inflation(scope, runs, goal, done, sides)

    against = between(sent, alike, is_watched=True, by_money=is_amount(goal), inflations=inflations)
    controls = {n: Sides(n, tuple(others), True) for n, others in enumerate(alike, start=1)}
    inflated = {n: inflations(sides) if by_group[n] else NO_INFLATION for n, sides in controls.items()}
    comparisons = [([pair for pair, _ in pairs], inflated[n]) for n, pairs in by_group.items()]
    return SeriesResults(
        series_id=series.id,
        name=series.name,
        runs=len(runs),
        first_date=min(days, default=None),
        last_date=max(days, default=None),
        goal=goal,
        counted=WORDS[goal.kind],
        currency=scope.currency,
        cap=done.cap,
        control_customers=held_back.customers,
        control_responders=held_back.responders,
        groups=_groups(runs, by_group, inflated, sent, clicks, goal, bool(held_back.customers)),
        between=with_reactions(against, sent, clicks, is_watched=True, inflations=inflations),
        detectable=detectable(comparisons, days, is_money=is_amount(goal)),
    )


def _complete_runs(scope: Scope, series: Series, any_goal: bool) -> list[Occurrence]:
    """The runs whose window has ended by the data, with the offers and the goal of the newest, newest first."""
    statement = (
        select(Occurrence)
        .where(
            Occurrence.tenant_id == scope.tenant_id,
            Occurrence.series_id == series.id,
            Occurrence.state.in_(EXECUTED_STATES),
        )
        .order_by(Occurrence.execution_date.desc(), Occurrence.id.desc())
        .limit(MOST_RUNS)
    )
    with scope.reads() as session:
        runs = list(session.scalars(statement))
    data_date = scope.data_date()
    ends = windows(scope, runs) if runs else []
    ended = [run for run, (_, end) in zip(runs, ends, strict=True) if data_date and data_date >= end.date()]
    return [
        run
        for run in ended
        if offers_of(run.plan) == offers_of(ended[0].plan) and (any_goal or goal_of(run.plan) == goal_of(ended[0].plan))
    ]


def _pairs(done: Responses, runs: Sequence[Occurrence], group: int, alike: Sequence[int]) -> list[tuple[Pair, Draw]]:
    """A group and its control in each draw that has both, with how they were divided."""
    pairs = []
    for run in runs:
        pair = done.of(run.id, [group], is_control=False), done.of(run.id, alike, is_control=True)
        if pair[0].customers and pair[1].customers:
            pairs.append((pair, draw_of(run.plan, group, alike)))
    return pairs


def _groups(
    runs: Sequence[Occurrence],
    by_group: dict[int, list[tuple[Pair, Draw]]],
    inflated: dict[int, Inflation],
    sent: Sequence[dict[int, Response]],
    clicks: Sequence[Reacted],
    goal: Goal,
    has_control: bool,
) -> list[SeriesGroup]:
    compared = {
        n: compare([pair for pair, _ in pairs], is_watched=True, by_money=is_amount(goal), inflation=inflated[n])
        for n, pairs in by_group.items()
        if pairs
    }
    without = CANNOT_CLICK if is_click(goal) else "" if has_control else NO_CONTROL
    together = dict(zip(compared, adjusted(list(compared.values())), strict=True))
    groups = []
    for number, pairs in by_group.items():
        own = sum((sent_by_group[number] for sent_by_group in sent), Response())
        tested = check([pair for pair, _ in pairs], [draw for _, draw in pairs], inflated[number]) if pairs else None
        against = together.get(number)
        if against and tested and not tested.may_be_read:
            against = replace(against, verdict=tested.words)
        groups.append(
            SeriesGroup(
                recipient_group_id=number,
                action_id=runs[0].plan.group(number).action_id,
                customers=own.customers,
                responders=own.responders,
                response_rate=rate(own),
                value=own.value,
                cost=own.cost,
                interactions=_interactions(clicks, number),
                against_control=against,
                check=tested,
                verdict=against.verdict if against else without,
            )
        )
    return groups


def _interactions(clicks: Sequence[Reacted], group: int) -> dict[str, int]:
    """Customers of a group by what they did with a message, in each draw that they were in."""
    counts = {name: sum(draw[group, event] for draw in clicks) for event, name in RECORDED.items()}
    return {name: customers for name, customers in counts.items() if customers}
