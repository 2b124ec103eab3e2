"""Which variant is best: false answers of those who look all the time, and true ones, against a numeric mixture."""

import math

import numpy as np
import pytest
from scipy import integrate

from rapport.campaigns.measurement.randomization import POWERS, Stratum, Sums, watched_interval
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.variants import Standings, standings

LOOKS = 1200
# A look without a difference of so many standard deviations between any two variants knows nothing, whatever was seen.
NOT_YET = 2.35


def rates(*counts: tuple[int, int]) -> Standings:
    return standings([Response(customers, responders) for customers, responders in counts], by_money=False)


def spenders(spent: np.ndarray[tuple[int], np.dtype[np.float64]], cap: float = math.inf) -> Response:
    counted = np.minimum(spent, cap)
    powers = [float((counted**a * 0.0**b).sum()) for a, b in POWERS]
    return Response(len(spent), int((spent > 0).sum()), float(spent.sum()), money=Sums.of(powers))


def way(generator: np.random.Generator, chances: list[float]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """The customers and responders of each variant after each of LOOKS batches of customers who come in one by one."""
    variants = len(chances)
    arrived = generator.multinomial(2 * variants, [1 / variants] * variants, LOOKS)
    responded = generator.binomial(arrived, chances)
    return arrived.cumsum(axis=0), responded.cumsum(axis=0)


def looks(arrived: np.ndarray, responded: np.ndarray) -> list[int]:  # type: ignore[type-arg]
    """The looks at which two variants differ enough for anything to be known, by a plain z of their rates."""
    shares = responded / np.maximum(arrived, 1)
    pooled = responded.sum(axis=1) / arrived.sum(axis=1)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * 2 / np.maximum(arrived.min(axis=1), 1))
    return [int(look) for look in np.flatnonzero((shares.max(axis=1) - shares.min(axis=1)) / error > NOT_YET)]


def known_at(arrived: np.ndarray, responded: np.ndarray) -> tuple[int, int] | None:  # type: ignore[type-arg]
    """The first look at which the best variant is known, and which it is then."""
    for look in looks(arrived, responded):
        found = rates(*zip(map(int, arrived[look]), map(int, responded[look]), strict=True))
        if found.is_known:
            return look, found.best[0]
    return None


@pytest.mark.parametrize(("chances", "ways"), [([0.5, 0.5], 120), ([0.2, 0.2, 0.2], 60)])
def test_looks_without_end_at_variants_that_are_alike(chances: list[float], ways: int) -> None:
    """At most 5% of the ways are ever called known, up to chance; more customers come in than a usual test has."""
    generator = np.random.default_rng(len(chances))
    false = sum(known_at(*way(generator, chances)) is not None for _ in range(ways))
    assert false <= ways * 0.1


def test_a_difference_becomes_known_and_the_better_one_wins() -> None:
    generator = np.random.default_rng(3)
    known = [known_at(*way(generator, [0.3, 0.2, 0.2])) for _ in range(10)]
    assert sum(each is not None for each in known) >= 9
    assert all(each is None or each[1] == 0 for each in known)


def test_the_interval_ends_where_the_mixture_is_one_in_alpha() -> None:
    """Between cells of one size nothing is skewed: the mixture over effects is then an integral of normal densities."""
    for alpha in (0.05, 0.05 / 3):
        found = watched_interval(Stratum(Sums.of_share(1000, 120), Sums.of_share(1000, 100)), alpha)
        assert found is not None
        estimate, (low, high) = found
        assert estimate == pytest.approx(0.02) and high - estimate == pytest.approx(estimate - low)
        share, variance = 0.11, 0.11 * 0.89 * 2000 / 1999 * (2 / 1000)
        usual, z = 0.2 * share / math.sqrt(variance), (high - estimate) / math.sqrt(variance)

        def likelihood(effect: float, usual: float = usual, z: float = z) -> float:
            density = math.exp(-(effect**2) / 2) / math.sqrt(2 * math.pi)
            return density * math.exp(effect * usual * z - (effect * usual) ** 2 / 2)

        assert integrate.quad(likelihood, -12, 12)[0] == pytest.approx(1 / alpha, rel=1e-6)


def test_more_variants_need_more() -> None:
    two, three = rates((2000, 150), (2000, 100)), rates((2000, 150), (2000, 100), (2000, 100))
    assert two.variants[1].interval is not None and three.variants[1].interval is not None
    assert three.variants[1].interval[1] > two.variants[1].interval[1]
    assert two.variants[0].interval is None and two.variants[1].difference == pytest.approx(-0.025)


def test_ties_and_few_responses_are_not_known() -> None:
    assert rates((1000, 300), (1000, 300)).best == (0, 1)
    assert not rates((1000, 300), (1000, 300)).is_known
    few = rates((1000, 4), (1000, 0))
    assert few.best == (0,) and not few.is_known and few.variants[1].interval is None
    assert rates((0, 0), (0, 0)).variants[0].mean == 0.0
    assert not rates((1000, 300)).is_known


def test_money() -> None:
    """What the best spend is known once enough of them bought, and the intervals hold the truth."""
    generator = np.random.default_rng(8)
    held = known = 0
    for _ in range(20):
        buys = generator.random((2, 20_000)) < 0.05
        spent = buys * generator.lognormal(3.0, 0.5, buys.shape) * np.array([[1.5], [1.0]])
        truth = -0.05 * math.exp(3.0 + 0.125) * 0.5
        found = standings([spenders(spent[0]), spenders(spent[1])], by_money=True)
        known += found.is_known and found.best == (0,)
        interval = found.variants[1].interval
        held += interval is not None and interval[0] < truth < interval[1]
    assert known >= 19 and held >= 19
    assert not standings([spenders(spent[0][:100]), spenders(spent[1][:100])], by_money=True).is_known
