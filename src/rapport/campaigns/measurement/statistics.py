"""Comparing a recipient group with those who would have been in it: differences, intervals, and how sure they are.

Rates of one draw: Newcombe's hybrid score interval (Newcombe 1998, method 10) and the pooled two-proportion z
test. Rates of several draws, numbers that are watched, relative effects and money: see the module randomization.
Several groups: Holm (1979).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
import scipy

from rapport.campaigns.measurement.randomization import Difference, Stratum, Sums, difference
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.returning import NO_INFLATION, Inflation

Z95 = NormalDist().inv_cdf(0.975)
QUANTILES = (np.arange(2000) + 0.5) / 2000
# Below this many expected responders or others in a group the z test does not hold (Cochran 1954).
LEAST_EXPECTED = 5
# Below this many expected buyers in the smaller group its money says nothing (benchmarks/bench_statistics.py).
LEAST_BUYERS = 20
SIGNIFICANT = 0.05

TOO_FEW = "Too few customers or responses to tell."
NO_CONTROL = "There is no control group to compare with."
CANNOT_CLICK = "Control cannot click: the groups are compared with each other."
UNSURE = "No difference from control can be shown."
BETTER, WORSE = "Better than control.", "Worse than control."
OPEN = "The measurement window is still open."

Pair = tuple[Response, Response]


@dataclass(frozen=True)
class Estimate:
    """A difference from control with its 95% interval: per customer, relative to control (0.1: a tenth more), and in
    total.
    """

    per_customer: float
    interval: tuple[float, float]
    p_value: float
    relative: float | None
    relative_interval: tuple[float | None, float | None] | None
    total: float
    total_interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A group against the control members who would have been in it. Rates are shares; values are money per customer.

    Intervals are 95%. decided_by says what the verdict is about: the rate or the money, depending on the goal, or net
    if vouchers cost something. p_adjusted is its p-value, corrected for the number of groups (Holm).
    probability_better is null if there are too few data; probability_real is its old name and will be removed.
    responders, orders and money estimate the additional effect; orders and money need enough buyers. Money counts
    each customer up to the cap and takes earlier spending into account: money_spread_left is the part of the variance
    that remains.
    """

    control_customers: int
    control_responders: int
    control_rate: float
    uplift: float
    uplift_interval: tuple[float, float]
    p_value: float | None
    p_adjusted: float | None
    decided_by: Literal["rate", "money", "net"]
    probability_better: float | None
    probability_real: float | None
    responders: Estimate | None
    orders: Estimate | None
    money: Estimate | None
    net: Estimate | None
    money_spread_left: float | None
    value_uplift: float
    value_interval: tuple[float, float] | None
    value_p_value: float | None
    verdict: str


def rate(response: Response) -> float:
    """The share of a group's customers who responded."""
    return response.responders / response.customers if response.customers else 0.0


def mean_value(response: Response) -> float:
    """Money per customer of a group."""
    return response.value / response.customers if response.customers else 0.0


def compare(
    pairs: Sequence[Pair],
    inflation: Inflation = NO_INFLATION,
    *,
    is_watched: bool = False,
    is_open: bool = False,
    by_money: bool = False,
) -> Comparison:
    """A group against its control, a pair for each draw; the verdict is of this comparison alone (see adjusted).

    is_watched: more draws come and are looked at; is_open: the window is, and no verdict is given; by_money: the
    verdict is on money, else on the rate; inflation: of the variances, by customers who are in several draws.
    """
    group, control = (sum((pair[i] for pair in pairs[1:]), pairs[0][i]) for i in (0, 1))
    is_sequence = is_watched or is_open
    counted = difference(
        [Stratum(_share(own), _share(held_back)) for own, held_back in pairs], inflation.rate, is_watched=is_sequence
    )
    is_single = len(pairs) == 1 and not is_sequence
    p_value = _z_test(group, control) if is_single else counted.p_value if counted else None
    money = _of_buyers(
        pairs, [Stratum(own.money, held_back.money) for own, held_back in pairs], is_sequence, inflation.money
    )
    net = _of_buyers(pairs, [Stratum(own.net, held_back.net) for own, held_back in pairs], is_sequence, inflation.net)
    has_costs = any(side.net.customers for pair in pairs for side in pair)
    orders = _of_buyers(
        pairs, [Stratum(own.orders, held_back.orders) for own, held_back in pairs], is_sequence, inflation.orders
    )
    is_enough = least_expected(pairs, others=True) >= LEAST_EXPECTED and p_value is not None
    better = probability_better(group, control) if is_enough and is_single else None
    raw = rate(group) - rate(control)
    comparison = Comparison(
        control_customers=control.customers,
        control_responders=control.responders,
        control_rate=rate(control),
        uplift=raw if is_single or counted is None else counted.estimate,
        uplift_interval=_newcombe(group, control) if is_single or counted is None else counted.interval,
        p_value=p_value,
        p_adjusted=None,
        decided_by=("net" if has_costs else "money") if by_money else "rate",
        probability_better=better,
        probability_real=better,
        responders=_estimate(counted, group.customers) if is_enough else None,
        orders=_estimate(orders, group.customers),
        money=_estimate(money, group.customers),
        net=_estimate(net, group.customers),
        money_spread_left=money.spread_left if money else None,
        value_uplift=money.estimate if money else mean_value(group) - mean_value(control),
        value_interval=money.interval if money else None,
        value_p_value=money.p_value if money else None,
        verdict=OPEN if is_open else TOO_FEW,
    )
    return adjusted([comparison])[0]


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons as members of one family: no more than one in twenty families has a false verdict."""
    decisive = [_decisive(comparison) for comparison in comparisons]
    p_values = sorted((p_value, n) for n, (_, p_value) in enumerate(decisive) if p_value is not None)
    worst, result = 0.0, list(comparisons)
    for rank, (p_value, n) in enumerate(p_values):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_value))
        verdict = comparisons[n].verdict if comparisons[n].verdict == OPEN else _verdict(decisive[n][0], worst)
        result[n] = replace(comparisons[n], p_adjusted=worst, verdict=verdict)
    return result


def _decisive(comparison: Comparison) -> tuple[float, float | None]:
    """The difference that a verdict goes by, with its p-value, which is none where there is too little to tell."""
    if comparison.decided_by != "rate":
        amount = comparison.money if comparison.decided_by == "money" else comparison.net
        return (amount.per_customer, amount.p_value) if amount else (0.0, None)
    return comparison.uplift, comparison.p_value if comparison.responders else None


def _share(response: Response) -> Sums:
    return Sums.of_share(response.customers, response.responders)


def _estimate(difference: Difference | None, customers: int) -> Estimate | None:
    if difference is None:
        return None
    low, high = difference.interval
    return Estimate(
        per_customer=difference.estimate,
        interval=difference.interval,
        p_value=difference.p_value,
        relative=difference.relative,
        relative_interval=difference.relative_interval,
        total=difference.estimate * customers,
        total_interval=(low * customers, high * customers),
    )


def _of_buyers(
    pairs: Sequence[Pair], strata: Sequence[Stratum], is_sequence: bool, inflation: float
) -> Difference | None:
    """A difference of what buyers did; None where too few of them are to be expected in either group."""
    return difference(strata, inflation, is_watched=is_sequence) if least_expected(pairs) >= LEAST_BUYERS else None


def least_expected(pairs: Sequence[Pair], *, others: bool = False) -> float:
    """How many responders the smaller side would have if both were alike; the fewer of responders and others."""
    expected = np.zeros((2, 2))
    for group, control in pairs:
        size, hits = group.customers + control.customers, group.responders + control.responders
        if size:
            sides = np.array([group.customers, control.customers]) / size
            expected += np.outer(sides, [hits, size - hits])
    return float(expected.min() if others else expected[:, 0].min())


def _wilson(response: Response) -> tuple[float, float]:
    n, p = response.customers, rate(response)
    middle = p + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return (middle - spread) / (1 + Z95**2 / n), (middle + spread) / (1 + Z95**2 / n)


def _newcombe(group: Response, control: Response) -> tuple[float, float]:
    """Has a width even where nobody or everybody responded; none where there is nobody on a side."""
    if not (group.customers and control.customers):
        return rate(group) - rate(control), rate(group) - rate(control)
    p1, p0 = rate(group), rate(control)
    (low1, high1), (low0, high0) = _wilson(group), _wilson(control)
    below = math.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    above = math.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return p1 - p0 - below, p1 - p0 + above


def _pooled(group: Response, control: Response) -> float:
    return (group.responders + control.responders) / (group.customers + control.customers)


def _z_test(group: Response, control: Response) -> float | None:
    """The two-sided p-value; None when nobody or everybody responded."""
    pooled = _pooled(group, control)
    error = math.sqrt(pooled * (1 - pooled) * (1 / group.customers + 1 / control.customers))
    if error == 0:
        return None
    return 2 * NormalDist().cdf(-abs(rate(group) - rate(control)) / error)


def probability_better(group: Response, control: Response) -> float:
    """P(rate of the group > rate of control). The prior of both is the rate of all, worth one responder.

    Some must have responded and some not.
    """
    pooled = _pooled(group, control)
    ours, theirs = (
        (1 + side.responders, 1 / pooled - 1 + side.customers - side.responders) for side in (group, control)
    )
    levels = scipy.stats.beta.ppf(QUANTILES, *ours)
    return float(np.mean(scipy.stats.beta.cdf(levels, *theirs)))


def _verdict(difference: float, p_value: float) -> str:
    if p_value >= SIGNIFICANT:
        return UNSURE
    return BETTER if difference > 0 else WORSE
