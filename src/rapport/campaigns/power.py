"""What a series can tell, and when: the usual sample size of two shares (Fleiss 1981, chapter 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

from rapport.campaigns.statistics import Pair

# An effect of the detectable size is found in this share of series; one is seen in ALPHA where there is none.
POWER, ALPHA = 0.8, 0.05
# As a part of control's rate.
A_TENTH = 0.1
A_YEAR = 365
LONGEST = 100 * A_YEAR


@dataclass(frozen=True)
class Detectable:
    """Which difference of the response rate a series shows in four of five cases, tested once.

    so_far is that of its runs until now, after_a_year of a year at the same pace; days_until_a_tenth is how long
    until a change of a tenth of the rate shows, none for more than a century. None where nobody responded.
    """

    so_far: float | None
    after_a_year: float | None
    days_until_a_tenth: int | None
    words: str


def detectable(by_group: Sequence[Sequence[Pair]], days: Sequence[date]) -> Detectable:
    """Of the group of a series that is compared best, with the days of its complete runs."""
    known = [_known(pairs) for pairs in by_group]
    size, rate = max(known, default=(0.0, 0.0))
    if not size or not 0 < rate < 1:
        return Detectable(None, None, None, "It cannot be told yet what this series can show.")
    lasted = (max(days) - min(days)).days + 1
    both = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(POWER)
    so_far = both * math.sqrt(rate * (1 - rate) / size)
    a_year = so_far * math.sqrt(lasted / A_YEAR)
    until = math.ceil(lasted * (so_far / (A_TENTH * rate)) ** 2)
    words = f"So far the series can show a difference of {100 * so_far:.2g} points from a rate of {100 * rate:.2g}%"
    if until > LONGEST:
        return Detectable(
            so_far, a_year, None, f"{words}; a change of a tenth of that it will never show at this pace."
        )
    return Detectable(so_far, a_year, until, f"{words}; a change of a tenth of that shows after {until} days of runs.")


def _known(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Customers by which a comparison is known, one side for both, and the rate of all."""
    sizes = [(one.customers, other.customers) for one, other in pairs]
    customers = sum(map(sum, sizes))
    hits = sum(one.responders + other.responders for one, other in pairs)
    size = sum(own * held_back / (own + held_back) for own, held_back in sizes if own and held_back)
    return size, hits / customers if customers else 0.0
