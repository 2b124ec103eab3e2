"""What a random split says of a difference of means: estimate, interval and p-value, from sums of powers alone.

Who fell into which cell was drawn, so under no effect every other draw was as likely. The mean, variance and
skewness of the difference over all draws follow from sums over both cells together (sampling from a finite
population: Cochran 1977, section 2; Fisher's k-statistics), and a Pearson curve of type III through them gives
its tails (Mielke and Berry 2007, chapter 2). The error is not taken from the small cell, so a control group that
by chance has no large order does not look certain, as it does in Welch's t.

Strata (runs of a series) are drawn each by itself: their scores, variances and third moments add up, which for a
share is the test of Mantel and Haenszel (1959). What customers did before (CUPED: Deng et al. 2013) takes spread
away. Relative intervals hold the factors by which control, if it ordered so much more often, would not be told apart.

A number that is watched while it grows is tested by the mixture of Robbins (1970), as Johari et al. (2017) do:
its p-value may be looked at as often as one likes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import scipy
from numpy.typing import NDArray

ALPHA = 0.05
# Watched numbers are tuned to effects of this part of the mean; others are found later, none falsely.
USUAL_EFFECT = 0.2
# Beyond these a relative effect is as good as none known.
LEAST_LIFT, MOST_LIFT = -0.9999, 1000.0
# A curve with less skewness is as good as normal.
LEAST_SKEW = 1e-3
# A tail that is nothing for a float.
LEAST_TAIL = 1e-300
POWERS = [(a, b) for k in range(4) for a, b in zip(range(k, -1, -1), range(k + 1), strict=True)]

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the customers of a cell of y^a x^b at [a, b], a + b at most 3.

    y is what they did in the window, x what they did before it; [0, 0] counts them.
    """

    powers: Numbers

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Sums":
        """From a number for each of POWERS, in their order."""
        powers = np.zeros((4, 4))
        for (a, b), number in zip(POWERS, numbers, strict=True):
            powers[a, b] = number
        return cls(powers)

    @classmethod
    def of_share(cls, customers: int, responders: int) -> "Sums":
        """Of customers of whom some did something: y is 1 or 0."""
        powers = np.zeros((4, 4))
        powers[:, 0] = [customers, responders, responders, responders]
        return cls(powers)

    @property
    def customers(self) -> float:
        """How many customers the cell has."""
        return float(self.powers[0, 0])

    def before(self) -> "Sums":
        """What the cell did before the window, in the place of what it did in it."""
        powers = np.zeros((4, 4))
        powers[:, 0] = self.powers[0]
        return Sums(powers)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.powers + other.powers)


NOTHING = Sums(np.zeros((4, 4)))


@dataclass(frozen=True)
class Stratum:
    """A group and its control, divided by one draw."""

    group: Sums
    control: Sums


@dataclass(frozen=True)
class Difference:
    """Of means a customer. relative is a part of control's mean (0.2: a fifth more); none where control has nothing.

    An interval without an end is open there. spread_left is the variance that the past did not explain, a share.
    """

    estimate: float
    interval: tuple[float, float]
    p_value: float
    relative: float | None
    relative_interval: tuple[float | None, float | None] | None
    spread_left: float


@dataclass(frozen=True)
class _Score:
    """The sum of group's y over what control's would let expect, with its variance and third moment over draws."""

    score: float
    weight: float
    variance: float
    third: float
    mean: float

    @property
    def z(self) -> float:
        """In standard deviations over draws."""
        return self.score / math.sqrt(self.variance)

    @property
    def skew(self) -> float:
        """The skewness over draws."""
        return self.third / math.pow(self.variance, 1.5)


def difference(strata: Sequence[Stratum], inflation: float = 1.0, *, is_watched: bool = False) -> Difference | None:
    """Groups against their controls over strata; None where nobody differs from anybody.

    is_watched: the numbers still grow, and interval and p-value hold however often they are looked at. inflation: by
    what the variance is multiplied where strata have customers in common whose draws go together.
    """
    used = _used(strata)
    if used is None:
        return None
    group, control = used
    theta, left = _of_the_past(group, control)
    score = _score(group, control, theta, inflation=inflation)
    if score.variance <= 0:
        return None
    tail = _tail(score, ALPHA) if is_watched else ALPHA / 2
    base = float((_parts(group, control) * control[:, 1, 0] / control[:, 0, 0]).sum()) / score.weight
    estimate = score.score / score.weight
    return Difference(
        estimate=estimate,
        interval=_interval(score, tail),
        p_value=_p_value(score, is_watched),
        relative=estimate / base if base > 0 else None,
        relative_interval=_relative(group, control, theta, tail, inflation) if base > 0 else None,
        spread_left=left,
    )


def watched_interval(stratum: Stratum, alpha: float) -> tuple[float, tuple[float, float]] | None:
    """The difference of the means of two cells and its interval, which holds at all times together but for alpha.

    None where nobody differs from anybody.
    """
    used = _used([stratum])
    if used is None:
        return None
    score = _score(*used, _of_the_past(*used)[0])
    return (score.score / score.weight, _interval(score, _tail(score, alpha))) if score.variance > 0 else None


def slope_of_the_past(strata: Sequence[Stratum]) -> float:
    """How much more a customer did within strata for a unit of what it had done before."""
    used = _used(strata)
    return _of_the_past(*used)[0] if used else 0.0


def _used(strata: Sequence[Stratum]) -> tuple[Numbers, Numbers] | None:
    """The powers of groups and controls of the strata that compare anything."""
    sizes = [(stratum.group.customers, stratum.control.customers) for stratum in strata]
    used = [
        stratum
        for stratum, (own, held_back) in zip(strata, sizes, strict=True)
        if own and held_back and own + held_back > 2
    ]
    if not used:
        return None
    group, control = (np.stack([getattr(stratum, side).powers for stratum in used]) for side in ("group", "control"))
    return group, control


def _parts(group: Numbers, control: Numbers) -> Numbers:
    """The weights of strata: of Mantel and Haenszel."""
    own, held_back = group[:, 0, 0], control[:, 0, 0]
    return own * held_back / (own + held_back)


def _of_the_past(group: Numbers, control: Numbers) -> tuple[float, float]:
    """How much of y goes with a unit of x, within strata, and the share of the variance of y that is left then."""
    whole = group + control
    size = whole[:, 0, 0]
    parts = _parts(group, control) / size
    xx = float((parts * (whole[:, 0, 2] - whole[:, 0, 1] ** 2 / size)).sum())
    xy = float((parts * (whole[:, 1, 1] - whole[:, 1, 0] * whole[:, 0, 1] / size)).sum())
    yy = float((parts * (whole[:, 2, 0] - whole[:, 1, 0] ** 2 / size)).sum())
    if xx <= 0 or yy <= 0:
        return 0.0, 1.0
    return xy / xx, 1 - xy**2 / (xx * yy)


def _rest(powers: Numbers, theta: float) -> list[Numbers]:
    """Sums of the powers 0 to 3 of y - theta x, by stratum."""
    ones, y, yy, yyy = (powers[:, a, 0] for a in range(4))
    x, xx, xxx, yx, yyx, yxx = (powers[:, a, b] for a, b in ((0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (1, 2)))
    return [
        ones,
        y - theta * x,
        yy - 2 * theta * yx + theta**2 * xx,
        yyy - 3 * theta * yyx + 3 * theta**2 * yxx - theta**3 * xxx,
    ]


def _score(group: Numbers, control: Numbers, theta: float, factor: float = 1.0, inflation: float = 1.0) -> _Score:
    """Over strata, with control multiplied by a factor, and the variance by its inflation.

    Who is moved by a factor orders more often rather than more at a time, so that the group varies by the factor more
    than control does before it is multiplied, and less by the factor after that.
    """
    ours = _rest(group, theta)
    theirs = _rest(control * (factor ** np.arange(4))[:, None], theta)
    own, held_back, size = ours[0], theirs[0], ours[0] + theirs[0]
    mean = (ours[1] + theirs[1]) / size
    (squares, cubes), (of_control, cubes_of_control) = _around(ours, mean), _around(theirs, mean)
    squares, cubes = factor * squares + of_control, factor**2 * cubes + cubes_of_control
    parts = own * held_back / size
    # Of all customers, each as control is; the group's vary less by the factor. 1 for 1 it is sampling without return.
    variance = parts**2 * (1 / (factor * own) + 1 / held_back) / (size - 1) * squares
    third = parts**3 * (1 / (factor * own) ** 2 - 1 / held_back**2) * size / ((size - 1) * (size - 2)) * cubes
    return _Score(
        score=float((ours[1] - own * mean).sum()),
        weight=float(parts.sum()),
        variance=inflation * float(variance.sum()),
        third=float(third.sum()),
        mean=float((parts * (group + control)[:, 1, 0] / size).sum() / parts.sum()),
    )


def _around(sums: Sequence[Numbers], mean: Numbers) -> tuple[Numbers, Numbers]:
    """Sums of squares and of cubes around a mean, from sums of powers."""
    count, first, second, cubes = sums
    squares = np.maximum(0.0, second - 2 * mean * first + count * mean**2)
    return squares, cubes - 3 * mean * second + 3 * mean**2 * first - count * mean**3


def _lower(z: float, skew: float) -> float:
    """P(Z <= z) of a standardised Pearson curve of type III."""
    if abs(skew) < LEAST_SKEW:
        return float(scipy.special.ndtr(z))
    shape = 4 / skew**2
    upper = scipy.special.gammaincc if skew < 0 else scipy.special.gammainc
    return float(upper(shape, max(0.0, shape + math.copysign(1, skew) * z * math.sqrt(shape))))


def _quantile(skew: float, level: float) -> float:
    """Of the same curve, for a small level."""
    if abs(skew) < LEAST_SKEW:
        return float(scipy.special.ndtri(level))
    shape = 4 / skew**2
    upper = scipy.special.gammainccinv if skew < 0 else scipy.special.gammaincinv
    return math.copysign(1, skew) * float(upper(shape, level) - shape) / math.sqrt(shape)


def _p_value(score: _Score, is_watched: bool) -> float:
    """Two-sided, each side counted for half."""
    side = max(min(_lower(score.z, score.skew), _lower(-score.z, -score.skew)), LEAST_TAIL)
    if not is_watched:
        return min(1.0, 2 * side)
    information = _information(score)
    z = float(scipy.special.ndtri(side))
    return min(1.0, math.sqrt(1 + information) * math.exp(-(z**2) * information / (2 * (1 + information))))


def _information(score: _Score) -> float:
    """How much is known of an effect of the usual size: its square over the variance of the estimate."""
    return (USUAL_EFFECT * score.mean * score.weight) ** 2 / score.variance


def _interval(score: _Score, tail: float) -> tuple[float, float]:
    """Around the estimate, by the tail on each side."""
    estimate, error = score.score / score.weight, math.sqrt(score.variance) / score.weight
    return estimate + error * _quantile(-score.skew, tail), estimate - error * _quantile(score.skew, tail)


def _tail(score: _Score, alpha: float) -> float:
    """The tail on each side of an interval that holds at all times together but for alpha."""
    information = _information(score)
    if information <= 0:
        return LEAST_TAIL
    z = math.sqrt((1 + information) / information * (math.log(1 + information) - 2 * math.log(alpha)))
    return max(NormalDist().cdf(-z), LEAST_TAIL)


def _relative(
    group: Numbers, control: Numbers, theta: float, tail: float, inflation: float
) -> tuple[float | None, float | None]:
    """Between which multiples of control the group lies, as parts more or less."""

    def tail_of(lift: float, side: int) -> float:
        score = _score(group, control, theta, 1 + lift, inflation)
        return _lower(side * score.z, side * score.skew) if score.variance > 0 else 0.5

    # Both fall: by how much more control is multiplied, by so much less the group lies above it.
    return _crossing(lambda lift: -tail_of(lift, -1), -tail), _crossing(lambda lift: tail_of(lift, 1), tail)


def _crossing(falling: Callable[[float], float], level: float) -> float | None:
    """Where a falling function has a level, sought in the logarithm; None when that is out of reach."""
    low, high = math.log1p(LEAST_LIFT), math.log1p(MOST_LIFT)
    if falling(LEAST_LIFT) < level or falling(MOST_LIFT) > level:
        return None
    logarithm = scipy.optimize.brentq(lambda lift: falling(math.expm1(lift)) - level, low, high, xtol=1e-9)
    return math.expm1(float(logarithm))
