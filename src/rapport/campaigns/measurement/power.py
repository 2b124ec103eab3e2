"""What a series can tell, and when: the usual sample size of two means (Fleiss 1981, chapter 3, for shares)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.returning import Inflation
from rapport.campaigns.measurement.statistics import Pair

# An effect of the detectable size is found in this share of series; one is seen in ALPHA where there is none.
POWER, ALPHA = 0.8, 0.05
BOTH = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(POWER)
# As a part of control's rate or mean.
A_TENTH = 0.1
A_YEAR = 365
LONGEST = 100 * A_YEAR


@dataclass(frozen=True)
class Detectable:
    """The difference in the goal (a rate, or money per customer) that a single test of a series detects in four of five
    cases.

    so_far is for the runs until now, or for one run of a series that is only planned; after_a_year is for a year at the
    same pace; days_until_a_tenth is the number of days until a change by a tenth is detected, null for more than a
    century. All are null if nobody responded.
    """

    so_far: float | None
    after_a_year: float | None
    days_until_a_tenth: int | None
    words: str


@dataclass(frozen=True)
class Spread:
    """What customers do for a goal: the mean of each, and the variance between them."""

    mean: float
    variance: float
    is_money: bool


def spread_of(response: Response, *, is_money: bool) -> Spread:
    """Of what some customers did, money up to the cap."""
    if not response.customers:
        return Spread(0.0, 0.0, is_money)
    if not is_money:
        mean = response.responders / response.customers
        return Spread(mean, mean * (1 - mean), is_money)
    mean = float(response.money.powers[1, 0]) / response.customers
    return Spread(mean, float(response.money.powers[2, 0]) / response.customers - mean**2, is_money)


def detectable(
    by_group: Sequence[tuple[Sequence[Pair], Inflation]], days: Sequence[date], *, is_money: bool = False
) -> Detectable:
    """Of the group of a series that is compared best, with the days of its complete runs.

    Each with by what its variances are multiplied, as customers come back.
    """
    comparisons = [_size_and_responses(pairs, ratio.money if is_money else ratio.rate) for pairs, ratio in by_group]
    size, whole = max(comparisons, key=lambda comparison: comparison[0], default=(0.0, Response()))
    spread = spread_of(whole, is_money=is_money)
    if not size or spread.mean <= 0 or spread.variance <= 0:
        return Detectable(None, None, None, "What this series can show cannot be estimated yet.")
    return estimated("So far the series", size, spread, (max(days) - min(days)).days + 1)


def estimated(subject: str, size: float, spread: Spread, lasted: int | None) -> Detectable:
    """By a size (see size_of) that came together in so many days; none when there will be no more."""
    so_far = BOTH * math.sqrt(spread.variance / size)
    difference, base, kind = f"{plain(100 * so_far, 2)} points", f"a rate of {plain(100 * spread.mean, 2)}%", "rate"
    if spread.is_money:
        difference, base, kind = plain(so_far, 2), f"{plain(spread.mean, 3)} per customer", "amount"
    words = f"{subject} can show a difference of {difference} from {base}"
    if lasted is None:
        return Detectable(so_far, so_far, None, f"{words}.")
    a_year, a_tenth = so_far * math.sqrt(lasted / A_YEAR), f"a change by a tenth of this {kind}"
    until = math.ceil(lasted * (so_far / (A_TENTH * spread.mean)) ** 2)
    if until > LONGEST:
        return Detectable(so_far, a_year, None, f"{words}; at this pace it never shows {a_tenth}.")
    return Detectable(so_far, a_year, until, f"{words}; {a_tenth} shows after {until} days of runs.")


def plain(number: float, digits: int) -> str:
    """A number above 0 in plain digits, whole ones all and of a fraction so many as make up digits that count."""
    decimals = max(0, digits - 1 - math.floor(math.log10(number)))
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def size_of(own: float, other: float) -> float:
    """Customers by which a comparison is known, one side for both."""
    return own * other / (own + other) if own and other else 0.0


def _size_and_responses(pairs: Sequence[Pair], inflation: float) -> tuple[float, Response]:
    """The size of a comparison, and what all in it did."""
    size = sum(size_of(group.customers, control.customers) for group, control in pairs)
    return size / inflation, sum((side for pair in pairs for side in pair), Response())
