"""Whether the groups of a run may be compared at all: sizes as drawn, and alike in what they spent before.

Sizes: a chi-square test of what was counted against the shares that were drawn (sample ratio mismatch: Fabijan et
al. 2019). Spending before: a randomization test of the mean of both groups. Both ask for strong evidence, since a
check that fails takes the result away.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy

from rapport.campaigns.randomization import Stratum, difference
from rapport.campaigns.responses import Response

MISMATCH = 0.0005
# Below this many expected customers in a group the chi-square test does not hold.
LEAST_EXPECTED = 5

SOUND = "The groups compare: their sizes are as drawn and they spent alike before."
SIZES = "Do not read this comparison: the sizes of the groups are not as drawn, so that something took customers out."
SPENDING = "Do not read this comparison: the groups spent differently before, so that they are not alike."


@dataclass(frozen=True)
class BalanceCheck:
    """Whether a comparison may be read. p-values are none where there is too little to check."""

    may_be_read: bool
    sizes_p_value: float | None
    spending_p_value: float | None
    words: str


def check(pairs: Sequence[tuple[Response, Response]], control_shares: Sequence[float]) -> BalanceCheck:
    """A group against its control over draws, with the share of both that is control in each draw."""
    sizes = _sizes_p_value(pairs, control_shares)
    before = difference([Stratum(one.money.before(), other.money.before()) for one, other in pairs])
    spending = before.p_value if before else None
    if sizes is not None and sizes < MISMATCH:
        words = SIZES
    else:
        words = SPENDING if spending is not None and spending < MISMATCH else SOUND
    return BalanceCheck(words == SOUND, sizes, spending, words)


def _sizes_p_value(pairs: Sequence[tuple[Response, Response]], control_shares: Sequence[float]) -> float | None:
    over = variance = 0.0
    least = math.inf
    for (one, other), share in zip(pairs, control_shares, strict=True):
        size = one.customers + other.customers
        over += other.customers - size * share
        variance += size * share * (1 - share)
        least = min(least, size * share, size * (1 - share)) if len(pairs) == 1 else math.inf
    if variance < LEAST_EXPECTED or least < LEAST_EXPECTED:
        return None
    return float(scipy.special.erfc(abs(over) / math.sqrt(2 * variance)))
