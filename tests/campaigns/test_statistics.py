"""Comparisons: against scipy, the published examples, every draw there is, and campaigns without an effect."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rapport.campaigns.measurement.between import between, with_reactions
from rapport.campaigns.measurement.checks import SIZES, SOUND, SPENDING, check
from rapport.campaigns.measurement.power import Spread, estimated, plain
from rapport.campaigns.measurement.randomization import POWERS, Stratum, Sums, difference
from rapport.campaigns.measurement.responses import Response
from rapport.campaigns.measurement.statistics import (
    BETTER,
    OPEN,
    TOO_FEW,
    UNSURE,
    WORSE,
    adjusted,
    compare,
    probability_better,
)
from rapport.campaigns.runs.splits import Draw

Values = np.ndarray[tuple[int], np.dtype[np.float64]]


def sums(y: Values, x: Values | None = None) -> Sums:
    before = np.zeros(len(y)) if x is None else x
    return Sums.of([float((y**a * before**b).sum()) for a, b in POWERS])


def of_values(y: Values, x: Values | None = None) -> Response:
    return Response(len(y), int((y > 0).sum()), float(y.sum()), sums((y > 0) * 1.0), sums(y, x))


def test_rates_against_scipy() -> None:
    generator = random.Random(5)
    ours, theirs = ([generator.choice([0, 0, 0, 9.0]) for _ in range(size)] for size in (800, 400))
    found = compare([(of_values(np.array(ours)), of_values(np.array(theirs)))])
    hits = [sum(v > 0 for v in values) for values in (ours, theirs)]
    table = [[hits[0], 800 - hits[0]], [hits[1], 400 - hits[1]]]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    low, high = found.uplift_interval
    assert low < found.uplift < high
    assert found.responders is not None and found.responders.total == pytest.approx(800 * found.uplift)


def test_newcombe_interval_of_the_paper() -> None:
    """Newcombe 1998, table II, example a, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    found = compare([(Response(70, 56), Response(80, 48))])
    assert found.uplift_interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("responders", [(0, 0), (90, 45)])
@pytest.mark.parametrize(
    ("draws", "more"), [(1, {"is_open": True}), (1, {"is_watched": True}), (2, {"is_watched": True}), (2, {})]
)
def test_where_nobody_or_everybody_responded_the_interval_is_that_of_a_closed_campaign(
    responders: tuple[int, int], draws: int, more: dict[str, bool]
) -> None:
    """The rule of three: that none of 90 responded does not say that none of all would."""
    sizes = [(Response(90 // draws, responders[0] // draws), Response(45 // draws, responders[1] // draws))] * draws
    closed = compare([(sum((pair[0] for pair in sizes), Response()), sum((pair[1] for pair in sizes), Response()))])
    found = compare(sizes, **more)
    assert found.uplift_interval == pytest.approx(closed.uplift_interval)
    low, high = found.uplift_interval
    assert low < -3 / 90 < 0 < 3 / 90 < high and found.p_value is None


@pytest.mark.parametrize(
    ("group", "control", "verdict"),
    [
        ((10, 3), (10, 1), TOO_FEW),
        ((1000, 0), (1000, 0), TOO_FEW),
        ((1000, 100), (1000, 98), UNSURE),
        ((1000, 150), (1000, 98), BETTER),
        ((1000, 50), (1000, 98), WORSE),
    ],
)
def test_plain_words(group: tuple[int, int], control: tuple[int, int], verdict: str) -> None:
    pair = [(Response(*group), Response(*control))]
    assert compare(pair).verdict == verdict
    assert compare(pair, is_open=True).verdict == OPEN
    assert (compare(pair).probability_better is None) == (verdict == TOO_FEW)


def test_moments_are_those_of_every_draw() -> None:
    """Two strata of 7 and 6 customers, 2 and 3 of them control: all 21 x 20 draws, with the past taken off."""
    chance = np.random.default_rng(3)
    strata = [(chance.lognormal(size=n), chance.lognormal(size=n), control) for n, control in ((7, 2), (6, 3))]
    made = [Stratum(sums(y[k:], x[k:]), sums(y[:k], x[:k])) for y, x, k in strata]
    found = difference(made)
    assert found is not None
    xx = xy = 0.0
    for y, x, k in strata:
        part = k * (len(y) - k) / len(y) ** 2
        xx, xy = xx + part * ((x - x.mean()) ** 2).sum(), xy + part * ((x - x.mean()) * (y - y.mean())).sum()
    draws = []
    for chosen in itertools.product(*(itertools.combinations(range(len(y)), k) for y, _, k in strata)):
        score = 0.0
        for (y, x, _), held_back in zip(strata, chosen, strict=True):
            rest = y - xy / xx * x
            score += sum(rest[i] - rest.mean() for i in range(len(y)) if i not in held_back)
        draws.append(score)
    curve = stats.pearson3(stats.skew(draws), 0, np.std(draws))
    weight = 2 * 5 / 7 + 3 * 3 / 6
    high, low = curve.ppf(0.975) / weight, curve.ppf(0.025) / weight
    assert np.mean(draws) == pytest.approx(0, abs=1e-12)
    assert found.interval == pytest.approx((found.estimate - high, found.estimate - low))
    assert found.p_value == pytest.approx(2 * min(curve.cdf(draws[0]), curve.sf(draws[0])))
    assert found.estimate == pytest.approx(draws[0] / weight)


def test_a_series_of_shares_is_the_test_of_mantel_and_haenszel() -> None:
    """Without skewness (halves) it is their statistic (Agresti 2013, section 6.4), whatever the level of each run."""
    runs = [((400, 80), (400, 60)), ((300, 15), (300, 9)), ((500, 250), (500, 230))]
    found = compare([(Response(*one), Response(*other)) for one, other in runs], is_watched=False)
    over = variance = 0.0
    for (n, hits), (m, others) in runs:
        size, all_hits = n + m, hits + others
        over += hits - n * all_hits / size
        variance += n * m * all_hits * (size - all_hits) / (size**2 * (size - 1))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(over / variance**0.5))
    watched = compare([(Response(*one), Response(*other)) for one, other in runs], is_watched=True)
    assert watched.p_value is not None and found.p_value is not None and watched.p_value > found.p_value
    assert watched.uplift_interval[0] < found.uplift_interval[0]


def test_a_relative_interval_ends_where_so_many_more_orders_are_just_told_apart() -> None:
    """Orders that are more frequent by a factor have a variance larger by it, not by its square as larger ones have."""
    chance = np.random.default_rng(4)
    y, z = ((chance.random(n) < 0.1) * chance.lognormal(3, 1, n) for n in (3000, 600))
    found = difference([Stratum(sums(y), sums(z))])
    assert found is not None and found.relative == pytest.approx(y.mean() / z.mean() - 1)
    assert found.relative_interval is not None
    for end in found.relative_interval:
        assert end is not None
        lift = 1 + end
        whole = np.concatenate([y, lift * z])
        size, mean = len(whole), whole.mean()
        # Of control as it would be multiplied, the group counted up to it.
        variance = (lift * ((y - mean) ** 2).sum() + ((lift * z - mean) ** 2).sum()) / (size - 1)
        third = (lift**2 * ((y - mean) ** 3).sum() + ((lift * z - mean) ** 3).sum()) * size / ((size - 1) * (size - 2))
        error = (variance * (1 / (lift * len(y)) + 1 / len(z))) ** 0.5
        skew = third * (1 / (lift * len(y)) ** 2 - 1 / len(z) ** 2) / error**3
        over = (y.mean() - lift * z.mean()) / error
        tails = stats.pearson3.cdf(over, skew), stats.pearson3.sf(over, skew)
        assert min(tails) == pytest.approx(0.025, abs=1e-6)


def test_a_relative_interval_holds_a_true_lift_in_95_of_100_campaigns() -> None:
    chance, size, misses = np.random.default_rng(6), 400, 0
    for _ in range(size):
        y, z = (chance.poisson(rate, n) * 10.0 for rate, n in ((0.2, 900), (0.1, 100)))
        found = difference([Stratum(sums(y), sums(z))])
        assert found is not None and found.relative_interval is not None
        low, high = found.relative_interval
        misses += (low is not None and low > 1) or (high is not None and high < 1)
    # With the square of the factor it is 12%.
    assert 0.02 * size < misses < 0.075 * size


def test_money_of_a_small_control_is_not_called_up() -> None:
    """No effect, 900 against 100 whose orders spread widely: Welch's t calls more than a tenth of campaigns better."""
    chance = np.random.default_rng(11)
    ours = welch = 0
    for _ in range(300):
        y = (chance.random(1000) < 0.25) * chance.lognormal(3, 1.5, 1000)
        found = compare([(of_values(y[100:]), of_values(y[:100]))])
        ours += found.value_interval is not None and found.value_interval[0] > 0
        welch += stats.ttest_ind(y[100:], y[:100], equal_var=False).confidence_interval().low > 0
    assert ours <= 12 and welch >= 25
    few = (chance.random(1000) < 0.1) * chance.lognormal(3, 1.5, 1000)
    assert compare([(of_values(few[100:]), of_values(few[:100]))]).money is None  # ten buyers are too few


def test_several_groups_are_judged_together() -> None:
    control = Response(2000, 200)
    found = [compare([(Response(2000, hits), control)]) for hits in (235, 250, 262, 100)]
    together = adjusted([*found, compare([(Response(10, 1), control)])])
    p = [one.p_value or 0 for one in found]
    by_hand = [max(2 * p[1], p[0]), 2 * p[1], 3 * p[2], 4 * p[3]]
    assert [one.p_adjusted for one in together[:4]] == pytest.approx(by_hand)
    assert [one.verdict for one in together] == [UNSURE, BETTER, BETTER, WORSE, TOO_FEW]


@pytest.mark.parametrize(
    ("group", "control", "expected"),
    [((20_000, 400), (400, 8), 0.5), ((1000, 10), (10, 0), 0.6), ((1000, 50), (1000, 90), 0.0003)],
)
def test_a_probability_leans_to_neither_size(group: tuple[int, int], control: tuple[int, int], expected: float) -> None:
    found = probability_better(Response(*group), Response(*control))
    assert found == pytest.approx(expected, abs=0.07 if expected > 0.1 else 0.0005)


def test_a_comparison_that_must_not_be_read_says_so() -> None:
    chance = np.random.default_rng(6)
    y, x = chance.lognormal(size=5000), chance.lognormal(3, 1, size=5000)
    group, control = of_values(y[:4000], x[:4000]), of_values(y[4000:], x[4000:])
    assert check([(group, control)], [Draw(0.2)]).may_be_read
    assert check([(group, control)], [Draw(0.25)]).words == SIZES
    richer = replace(control, money=sums(y[4000:], x[4000:] * 1.3))
    assert check([(group, richer)], [Draw(0.2)]).words == SPENDING
    tiny = check([(of_values(y[:9]), of_values(y[9:10]))], [Draw(0.1)])
    assert tiny.may_be_read and tiny.sizes_p_value is None


def test_sizes_of_exact_draws_may_differ_by_who_went_missing_alone() -> None:
    """Of 10,000, 1,000 of them control: nobody missing, some on both sides, some of control alone."""
    nobody, some, few, many = (
        check([(Response(9000 - lost, 0), Response(1000 - held_back, 0))], [Draw(0.1, 10_000)])
        for lost, held_back in ((0, 0), (890, 110), (0, 3), (0, 20))
    )
    assert nobody.sizes_p_value == 1
    drawn = stats.hypergeom(10_000, 1000, 1000)
    assert some.sizes_p_value == pytest.approx(drawn.sf(109) + drawn.sf(110), rel=0.05)
    # Of three missing all are control once in a thousand times: the bound is above that.
    assert few.sizes_p_value is not None and 2 * stats.hypergeom(10_000, 1000, 3).pmf(3) < few.sizes_p_value < 0.2
    assert many.words == SIZES and (nobody.words, some.words, few.words) == (SOUND,) * 3
    older = check([(Response(9000, 0), Response(1010, 0))] * 2, [Draw(0.1, 10_010), Draw(0.1)])
    assert older.sizes_p_value is not None and older.sizes_p_value > 0.5


def test_groups_on_the_same_channels_compare_without_control() -> None:
    sent = {1: Response(4000, 200), 2: Response(4000, 300), 3: Response(4000, 300)}
    found = with_reactions(between([sent], [[1, 2], [1, 2], [3]]), [sent], [{(1, 3): 400, (2, 3): 300}])
    (pair,) = found
    assert (pair.recipient_group_id, pair.other_group_id) == (2, 1)
    assert pair.verdict == pair.comparison.verdict == "Group 2 does better than group 1."
    assert pair.comparison.uplift == pytest.approx(0.025)
    clicked = pair.interactions["clicked"]
    assert (clicked.rate, clicked.other_rate) == (0.075, 0.1)
    assert clicked.verdict == "Group 1 does better than group 2."
    many = {n: Response(100, 50) for n in range(1, 27)}
    assert len(between([many], [list(many)] * 26)) == 25


@pytest.mark.parametrize(
    ("number", "digits", "words"),
    [
        (1_234_567_890_123.4, 2, "1234567890123"),
        (1234.5, 3, "1234"),
        (99.97, 2, "100"),
        (12.345, 3, "12.3"),
        (0.5, 2, "0.5"),
        (0.00001234, 2, "0.000012"),
    ],
)
def test_amounts_are_told_in_plain_digits(number: float, digits: int, words: str) -> None:
    assert plain(number, digits) == words


def test_what_a_series_can_show_of_large_amounts_is_told_in_plain_digits() -> None:
    words = estimated("It", 100.0, Spread(1_234_567_890_123.0, 1e25, True), None).words
    assert "1234567890123 per customer" in words and "e+" not in words
