"""Whether the groups of a run may be compared at all: sizes as drawn, and alike in what they spent before.

Sizes: a test of what was counted against what was drawn (sample ratio mismatch: Fabijan et al. 2019). Where each
customer is drawn for itself that is chi-square; where exact numbers are drawn, only customers who went missing since
can be uneven, so those are tested (hypergeometric, with Bernstein's inequality where they are few). Spending before:
a randomization test of the mean of both groups. All ask for strong evidence, since a check that fails takes the
result away.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy

from rapport.campaigns.measurement.randomization import Stratum, difference
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.returning import NO_INFLATION, Inflation
from rapport.campaigns.runs.splits import Draw

MISMATCH = 0.0005
# Below this many expected customers in a group the chi-square test does not hold.
LEAST_EXPECTED = 5

SOUND = "The groups compare: their sizes are as drawn and they spent alike before."
SIZES = "Do not read this comparison: the sizes of the groups are not as drawn, so that something took customers out."
SPENDING = "Do not read this comparison: the groups spent differently before, so that they are not alike."


@dataclass(frozen=True)
class BalanceCheck:
    """Whether a comparison is valid. p-values are null if there are too few data to check."""

    may_be_read: bool
    sizes_p_value: float | None
    spending_p_value: float | None
    words: str


def check(
    pairs: Sequence[tuple[Response, Response]], draws: Sequence[Draw], inflation: Inflation = NO_INFLATION
) -> BalanceCheck:
    """A group against its control over draws, with how they were divided in each.

    inflation: of the variances, by customers who are in several draws.
    """
    sizes = _sizes_p_value(pairs, draws, inflation.sizes)
    strata = [Stratum(group.money.before(), control.money.before()) for group, control in pairs]
    before = difference(strata, inflation=inflation.before)
    spending = before.p_value if before else None
    if sizes is not None and sizes < MISMATCH:
        words = SIZES
    else:
        words = SPENDING if spending is not None and spending < MISMATCH else SOUND
    return BalanceCheck(words == SOUND, sizes, spending, words)


def _sizes_p_value(pairs: Sequence[tuple[Response, Response]], draws: Sequence[Draw], inflation: float) -> float | None:
    over = variance = 0.0
    least = math.inf
    for (group, control), draw in zip(pairs, draws, strict=True):
        size, part = group.customers + control.customers, draw.part
        over += control.customers - size * part
        variance += size * part * (1 - part) * _missing(size, draw)
        least = min(size * part, size * (1 - part))
    are_exact = all(draw.customers is not None for draw in draws)
    is_large = variance >= LEAST_EXPECTED and (are_exact or len(pairs) > 1 or least >= LEAST_EXPECTED)
    variance *= inflation
    if is_large:
        return float(scipy.special.erfc(abs(over) / math.sqrt(2 * variance)))
    return _of_few_missing(over, variance) if are_exact else None


def _missing(size: int, draw: Draw) -> float:
    """By which factor chance is smaller than if each customer was drawn for itself."""
    return 1.0 if draw.customers is None else max(0, draw.customers - size) / max(1, draw.customers - 1)


def _of_few_missing(over: float, variance: float) -> float:
    """At most how likely it is that control is over its share by so many, one way or the other."""
    return min(1.0, 2 * math.exp(-(over**2) / (2 * (variance + abs(over) / 3)))) if over else 1.0
