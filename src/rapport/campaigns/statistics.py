"""Comparing a recipient group with control: differences, intervals, and how sure they are.

Rates: Newcombe's hybrid score interval (Newcombe 1998, method 10) and the pooled two-proportion z
test. Values: Welch's t. The probability that a difference is real is that of the Beta(1, 1)
posteriors: P(rate of the group > rate of control).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import scipy

from rapport.campaigns.responses import Response

Z95 = NormalDist().inv_cdf(0.975)
QUANTILES = (np.arange(2000) + 0.5) / 2000
# Below this many expected responders or others in a group the z test does not hold (Cochran 1954).
LEAST_EXPECTED = 5
SIGNIFICANT = 0.05

TOO_FEW = "Too few customers or responses to tell."
NO_CONTROL = "There is no control group to compare with."
UNSURE = "No difference from control can be shown."
BETTER, WORSE = "Better than control.", "Worse than control."


@dataclass(frozen=True)
class Comparison:
    """A group against control. Intervals are 95%; rates are shares of customers, values money per customer."""

    uplift: float
    uplift_interval: tuple[float, float]
    p_value: float | None
    probability_real: float
    value_uplift: float
    value_interval: tuple[float, float] | None
    value_p_value: float | None
    verdict: str


def rate(one: Response) -> float:
    """The share of a group's customers who responded."""
    return one.responders / one.customers if one.customers else 0.0


def mean_value(one: Response) -> float:
    """Money per customer of a group."""
    return one.value / one.customers if one.customers else 0.0


def compare(group: Response, control: Response) -> Comparison:
    """A group against control; both must have customers."""
    p_value = _z_test(group, control)
    value_interval, value_p = _welch(group, control)
    return Comparison(
        uplift=rate(group) - rate(control),
        uplift_interval=_newcombe(group, control),
        p_value=p_value,
        probability_real=probability_better(group, control),
        value_uplift=mean_value(group) - mean_value(control),
        value_interval=value_interval,
        value_p_value=value_p,
        verdict=_verdict(group, control, p_value),
    )


def _wilson(one: Response) -> tuple[float, float]:
    n, p = one.customers, rate(one)
    middle = p + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return (middle - spread) / (1 + Z95**2 / n), (middle + spread) / (1 + Z95**2 / n)


def _newcombe(group: Response, control: Response) -> tuple[float, float]:
    p1, p0 = rate(group), rate(control)
    (low1, high1), (low0, high0) = _wilson(group), _wilson(control)
    below = math.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    above = math.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return p1 - p0 - below, p1 - p0 + above


def _z_test(group: Response, control: Response) -> float | None:
    """The two-sided p-value; None when nobody or everybody responded."""
    pooled = (group.responders + control.responders) / (group.customers + control.customers)
    error = math.sqrt(pooled * (1 - pooled) * (1 / group.customers + 1 / control.customers))
    if error == 0:
        return None
    return float(2 * scipy.stats.norm.sf(abs(rate(group) - rate(control)) / error))


def probability_better(group: Response, control: Response) -> float:
    """P(rate of the group > rate of control) under uniform priors."""
    ours = scipy.stats.beta.ppf(QUANTILES, 1 + group.responders, 1 + group.customers - group.responders)
    theirs = scipy.stats.beta.cdf(ours, 1 + control.responders, 1 + control.customers - control.responders)
    return float(np.mean(theirs))


def _variance(one: Response) -> float:
    n = one.customers
    return max(0.0, (one.squares - n * mean_value(one) ** 2) / (n - 1))


def _welch(group: Response, control: Response) -> tuple[tuple[float, float] | None, float | None]:
    """The 95% interval of the difference of mean values and its p-value; none without spread or with one customer."""
    if min(group.customers, control.customers) <= 1:
        return None, None
    a, b = _variance(group) / group.customers, _variance(control) / control.customers
    if a + b == 0:
        return None, None
    freedom = (a + b) ** 2 / (a**2 / (group.customers - 1) + b**2 / (control.customers - 1))
    error, difference = math.sqrt(a + b), mean_value(group) - mean_value(control)
    half = float(scipy.stats.t.ppf(0.975, freedom)) * error
    return (difference - half, difference + half), float(2 * scipy.stats.t.sf(abs(difference) / error, freedom))


def _verdict(group: Response, control: Response, p_value: float | None) -> str:
    pooled = (group.responders + control.responders) / (group.customers + control.customers)
    if min(group.customers, control.customers) * min(pooled, 1 - pooled) < LEAST_EXPECTED or p_value is None:
        return TOO_FEW
    if p_value >= SIGNIFICANT:
        return UNSURE
    return BETTER if rate(group) > rate(control) else WORSE
