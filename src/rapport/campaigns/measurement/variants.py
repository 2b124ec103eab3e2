"""Which of several variants is best, and whether that is known, however often somebody looks while the numbers grow.

Each pair of variants is compared by the always-valid interval of the module randomization: the mixture of Robbins
(1970), as Johari et al. (2017) use it for A/B tests. The pairs share the error evenly (Bonferroni), so that with a
probability of at least 95% the intervals of all pairs hold at all times together. The best is known once its interval
against every other variant lies above zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rapport.campaigns.measurement.randomization import ALPHA, Stratum, Sums, watched_interval
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.statistics import LEAST_BUYERS, LEAST_EXPECTED, Pair, least_expected


@dataclass(frozen=True)
class Standing:
    """A variant: its mean per customer, by how much it lies above the best one (a negative number), and the interval.

    The mean is the share of customers who responded, or money. Both others are None for the best itself, and while
    there is too little to tell.
    """

    mean: float
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Standings:
    """Variants in their order. best are the places of those with the highest mean; is_known says that it is one, and
    that it is better than all others.
    """

    best: tuple[int, ...]
    is_known: bool
    variants: tuple[Standing, ...]


def standings(variants: Sequence[Response], *, by_money: bool) -> Standings:
    """Compare variants whose customers were divided by chance, by who responded or by money (up to its cap).

    There must be at least one variant.
    """
    sums = [_sums(variant, by_money) for variant in variants]
    means = [float(own.powers[1, 0] / own.customers) if own.customers else 0.0 for own in sums]
    best = tuple(place for place, mean in enumerate(means) if mean == max(means))
    alpha = ALPHA / max(1.0, len(variants) * (len(variants) - 1) / 2)
    differences = [
        watched_interval(Stratum(own, sums[best[0]]), alpha)
        if place != best[0] and _is_enough((variants[place], variants[best[0]]), by_money)
        else None
        for place, own in enumerate(sums)
    ]
    return Standings(
        best=best,
        is_known=len(variants) > 1
        and all(
            difference is not None and difference[1][1] < 0
            for place, difference in enumerate(differences)
            if place != best[0]
        ),
        variants=tuple(
            Standing(mean, *(difference or (None, None))) for mean, difference in zip(means, differences, strict=True)
        ),
    )


def _sums(variant: Response, by_money: bool) -> Sums:
    return variant.money if by_money else Sums.of_share(variant.customers, variant.responders)


def _is_enough(pair: Pair, by_money: bool) -> bool:
    """Whether two variants have enough responders to compare them."""
    if not all(variant.customers for variant in pair):
        return False
    return least_expected([pair]) >= LEAST_BUYERS if by_money else least_expected([pair], others=True) >= LEAST_EXPECTED
