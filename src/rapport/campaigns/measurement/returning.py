"""Customers who are in several runs of a series: how much further its differences vary because they come back.

Runs are strata, and a difference is the sum of what each customer was off the mean of its runs, on one side or the
other. Errors are clustered by customer: what a customer was off in all of its runs is added up before it is squared
(Liang and Zeger 1986), as far as its draws go together. Where each run draws anew they do not, and the errors of runs
are apart, though the same customers buy much every time; where a customer keeps its group they are one. How far they do
is taken from the draws of everybody who came back, so that a small control is not judged by its own few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns import costs
from rapport.campaigns.goals import is_click
from rapport.campaigns.measurement.randomization import Stratum, slope_of_the_past
from rapport.campaigns.measurement.responses import PAST_DAYS, Response, Responses, added, lots
from rapport.campaigns.models import Occurrence
from rapport.campaigns.schemas import Goal

# Rows of a run and customer that a statement takes at once, and customers where there are many runs.
ROWS_AT_ONCE, FEWEST_AT_ONCE = 4_000_000, 10_000
MEASURES = {
    "rate": "toFloat64(orders > 0)",
    "orders": "toFloat64(orders)",
    "money": "least(value, {most:Float64}) - {money_slope:Float64} * least(past, {most_before:Float64})",
    "before": "least(past, {most_before:Float64})",
    "net": "least(value, {most:Float64}) - cost - {net_slope:Float64} * least(past, {most_before:Float64})",
}
CLUSTERED = """
    SELECT 0, sum(pow(t, 2)), sum(tt), sum(pow(s, 2)), sum(ss){totals}
    FROM (
        SELECT customer, sum(side - part) AS t, sum(pow(side - part, 2)) AS tt, sum(spread) AS s,
            sum(pow(spread, 2)) AS ss{sums}
        FROM (
            SELECT *, indexOf({{compared:Array(UInt32)}}, campaign) AS at,
                toFloat64(drawn = {{group:UInt16}} AND grp > 0) AS side, {{parts:Array(Float64)}}[at] AS part,
                sqrt(part * (1 - part)) AS spread
            FROM ({people})
            WHERE at > 0 AND (side = 1 OR (grp = 0) = {{is_control:UInt8}} AND has({{others:Array(UInt16)}}, drawn))
        )
        GROUP BY customer
    )
"""


@dataclass(frozen=True)
class Sides:
    """What is compared: a group with others, or with those held back from them."""

    group: int
    others: tuple[int, ...]
    is_control: bool


@dataclass(frozen=True)
class Inflation:
    """By what the variance of each difference is multiplied, as customers come back; 1 where nobody does.

    sizes is of how many there are on either side, before of what they had spent before.
    """

    sizes: float = 1.0
    rate: float = 1.0
    orders: float = 1.0
    money: float = 1.0
    net: float = 1.0
    before: float = 1.0


NO_INFLATION = Inflation()


def inflation(scope: Scope, runs: Sequence[Occurrence], goal: Goal, done: Responses, sides: Sides) -> Inflation:
    """Of a comparison over runs whose responses to a goal are known.

    Of who clicks it is that of sizes, the most that it can be.
    """
    pairs = _pairs(done, sides)
    if len(pairs) < 2:
        return NO_INFLATION
    with_cost = costs.has_costs(runs, goal)
    measures = [name for name in MEASURES if name != "net" or with_cost] if not is_click(goal) else []
    sums = "".join(
        f", sum(spread * ({MEASURES[name]} - {{{name}_means:Array(Float64)}}[at]) AS {name}_off) AS {name}_sum, "
        f"sum(pow({name}_off, 2)) AS {name}_squares"
        for name in measures
    )
    totals = "".join(f", sum(pow({name}_sum, 2)), sum({name}_squares)" for name in measures)
    at_most = max(FEWEST_AT_ONCE, ROWS_AT_ONCE // len(pairs))
    numbers: list[float] = []
    for people, parameters in lots(scope, runs, goal, PAST_DAYS, with_cost=with_cost, at_once=None):
        sql = CLUSTERED.format(people=people, sums=sums, totals=totals)
        more = _parameters(pairs, sides, measures) | {"most": done.cap or 0.0, "most_before": done.cap_before or 0.0}
        (numbers,) = added(scope, sql, 1, at_most, **parameters, **more).values()
    together, apart = _excess(*numbers[:2]), _excess(*numbers[2:4])
    alike = min(1.0, max(0.0, together / apart)) if apart > 0 else 0.0
    ratios = {"sizes": 1 + alike * apart / numbers[3] if numbers[3] > 0 else 1.0}
    for n, name in enumerate(measures):
        whole, squares = numbers[4 + 2 * n : 6 + 2 * n]
        ratios[name] = 1 + alike * _excess(whole, squares) / squares if squares > 0 else 1.0
    return Inflation(**ratios) if measures else Inflation(**ratios, rate=ratios["sizes"])


def _excess(of_customers: float, of_runs: float) -> float:
    return of_customers - of_runs


def _pairs(done: Responses, sides: Sides) -> dict[int, tuple[Response, Response]]:
    """Both sides in each draw that has them."""
    pairs = {}
    for draw in sorted({cell.campaign_id for cell in done.cells}):
        pair = done.of(draw, [sides.group], is_control=False), done.of(draw, sides.others, is_control=sides.is_control)
        if pair[0].customers and pair[1].customers:
            pairs[draw] = pair
    return pairs


def _parameters(
    pairs: Mapping[int, tuple[Response, Response]], sides: Sides, measures: Sequence[str]
) -> dict[str, Any]:
    """What the statement binds: the sides, by draw the part of the group, and the means of what is measured."""
    slopes = {"rate": 0.0, "orders": 0.0, "before": 0.0}
    for name in ("money", "net"):
        strata = [Stratum(getattr(group, name), getattr(compared, name)) for group, compared in pairs.values()]
        slopes[name] = slope_of_the_past(strata) if name in measures else 0.0
    means = {
        f"{name}_means": [_mean(group + compared, name, slopes[name]) for group, compared in pairs.values()]
        for name in measures
    }
    return {
        "compared": list(pairs),
        "group": sides.group,
        "others": list(sides.others),
        "is_control": int(sides.is_control),
        "parts": [group.customers / (group.customers + compared.customers) for group, compared in pairs.values()],
        "money_slope": slopes["money"],
        "net_slope": slopes["net"],
        **means,
    }


def _mean(whole: Response, name: str, slope: float) -> float:
    if name == "rate":
        return whole.responders / whole.customers
    powers = (whole.money.before() if name == "before" else getattr(whole, name)).powers
    return float(powers[1, 0] - slope * powers[0, 1]) / whole.customers
