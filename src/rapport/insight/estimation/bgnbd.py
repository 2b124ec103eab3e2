"""BG/NBD purchases and Gamma-Gamma spend: maximum likelihood on histograms, and the expectations that score.

BG/NBD: Fader, Hardie and Lee, "Counting Your Customers the Easy Way", Marketing Science 24 (2005).
Gamma-Gamma: Fader and Hardie, "The Gamma-Gamma Model of Monetary Value" (2013). x is the number of
days with a repeat purchase, t_x the time from the first purchase to the last, T the time from the
first purchase to the end of the data; times are in weeks. m is the mean value of a repeat day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are used: together they take a third of the time of a start
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Likelihood = Callable[[Floats], tuple[float, Floats]]

LOG_BOUNDS = (-8.0, 10.0)
LOG_SOUND = (-6.0, 7.0)  # beyond, a likelihood is flat and the search ends where it tires, or at its bound
PRIOR_SPREAD = 1.5  # of the logarithms of the parameters of purchases
LEAST_SPREAD = 0.01  # of the squared coefficient of variation of mean values among customers
NODES = 48


@dataclass(frozen=True)
class Purchases:
    """Parameters of BG/NBD: rates are Gamma(r, alpha), drop-out chances Beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True)
class Spend:
    """Parameters of Gamma-Gamma: the mean value of a purchase varies among customers with shape q and scale gamma."""

    p: float
    q: float
    gamma: float

    @property
    def mean(self) -> float:
        """The mean value of a purchase of a customer of whom nothing is known."""
        return self.p * self.gamma / (self.q - 1)


def at_bound(*parameters: float) -> bool:
    """Whether one of the parameters runs to the bounds of the search, so that the likelihood names no value for it."""
    low, high = LOG_SOUND
    return any(not low < np.log(parameter) < high for parameter in parameters)


def purchases_likelihood(x: Floats, t_x: Floats, T: Floats, weight: Floats) -> Likelihood:
    """The negative mean log-likelihood of BG/NBD and its gradient by the logarithms of (r, alpha, a, b).

    Equation (6) of the paper with both terms in logarithms, so that no power underflows.
    """
    gammaln, betaln, psi = scipy.special.gammaln, scipy.special.betaln, scipy.special.psi
    total, repeat = weight.sum(), x > 0
    counted = np.where(repeat, x, 1.0)  # any number where x = 0, whose second term is left out

    def negative(logs: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(logs)
        alive = -(r + x) * np.log(alpha + T)
        dropped = np.where(repeat, np.log(a) - np.log(b + counted - 1) - (r + x) * np.log(alpha + t_x), -np.inf)
        both = np.logaddexp(alive, dropped)
        lost = np.exp(dropped - both)  # the chance of having dropped out at t_x
        value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b) + both
        by_both = (1 - lost) * np.log(alpha + T) + lost * np.log(alpha + t_x)
        ab, abx = psi(a + b), psi(a + b + x)
        slopes = (
            r * (psi(r + x) - psi(r) + np.log(alpha) - by_both),
            alpha * (r / alpha - (r + x) * ((1 - lost) / (alpha + T) + lost / (alpha + t_x))),
            a * (ab - abx + lost / a),
            b * (psi(b + x) - abx - psi(b) + ab - lost / (b + counted - 1)),
        )
        return -float(weight @ value) / total, np.array([-float(weight @ slope) / total for slope in slopes])

    return negative


def spend_likelihood(x: Floats, m: Floats, weight: Floats) -> Likelihood:
    """The negative mean log-likelihood of Gamma-Gamma and its gradient by the logarithms of (p, q - 1, gamma)."""
    gammaln, psi = scipy.special.gammaln, scipy.special.psi
    total, log_m, log_x = weight.sum(), np.log(m), np.log(x)

    def negative(logs: Floats) -> tuple[float, Floats]:
        p, q1, gamma = np.exp(logs)
        q, px = 1 + q1, p * x
        scale = np.log(gamma + x * m)
        value = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(gamma)
        value += (px - 1) * log_m + px * log_x - (px + q) * scale
        pxq = psi(px + q)
        slopes = (
            px * (pxq - psi(px) + log_m + log_x - scale),
            q1 * (pxq - psi(q) + np.log(gamma) - scale),
            gamma * (q / gamma - (px + q) / (gamma + x * m)),
        )
        return -float(weight @ value) / total, np.array([-float(weight @ slope) / total for slope in slopes])

    return negative


def _minimum(likelihood: Likelihood, starts: list[list[float]]) -> Floats:
    bounds = [LOG_BOUNDS] * len(starts[0])
    options: Any = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
    call: Any = scipy.optimize.minimize  # its stubs do not know objectives that answer their gradient too
    minima = [call(likelihood, np.log(s), jac=True, method="L-BFGS-B", bounds=bounds, options=options) for s in starts]
    best: Floats = np.exp(min(minima, key=lambda result: float(result.fun)).x)
    return best


def fit_purchases(x: Floats, t_x: Floats, T: Floats, weight: Floats) -> tuple[Purchases, float]:
    """The BG/NBD parameters of most likelihood for a histogram, and the log-likelihood there."""
    likelihood = purchases_likelihood(x, t_x, T, weight)
    weeks = max(float(weight @ T / weight.sum()), 1.0)
    best = _minimum(likelihood, [[0.5, weeks / 8, 1.0, 2.0], [1.0, weeks, 0.5, 5.0]])
    return Purchases(*map(float, best)), -likelihood(np.log(best))[0] * float(weight.sum())


def steadied_purchases(x: Floats, t_x: Floats, T: Floats, weight: Floats) -> Purchases:
    """The BG/NBD parameters of most likelihood times a wide prior, for data whose likelihood alone runs to a bound.

    The prior is normal in the logarithms, around the data's mean rate and a usual drop-out. It counts as little as
    a few customers do, and decides only what the data leave open.
    """
    total, likelihood = float(weight.sum()), purchases_likelihood(x, t_x, T, weight)
    rate = float(weight @ x + 1) / float(weight @ T + 52)
    centre = np.log([0.5, 0.5 / rate, 1.0, 4.0])

    def negative(logs: Floats) -> tuple[float, Floats]:
        value, slopes = likelihood(logs)
        away = (logs - centre) / PRIOR_SPREAD
        return value + float(away @ away) / 2 / total, slopes + away / PRIOR_SPREAD / total

    return Purchases(*map(float, _minimum(negative, [list(np.exp(centre))])))


def steadied_spend(x: Floats, m: Floats, p: float) -> Spend:
    """The Gamma-Gamma parameters that have the data's mean and spread, for data whose tail is wider than the model's.

    By moments: with q = 2 + 1 / c^2 the mean values of customers vary with the coefficient of variation c, which is
    that of m without what purchases of the same customer vary by themselves (1 / p). An expectation is then the
    credibility estimate of Buehlmann (1967), between the own mean and everybody's. m may be of any unit.
    """
    mean = float(m.mean())
    within = float((1 / x).mean()) / p
    between = max((float(m.var()) / mean**2 - within) / (1 + within), LEAST_SPREAD)
    q = 2 + 1 / between
    return Spend(p, q, mean * (q - 1) / p)


def own_variation(x: Floats, m: Floats, first: Floats) -> float:
    """The shape p of a customer's own purchases: how far the first and the mean of the x others are apart.

    By the variance of the difference of their logarithms, which knows nothing of how customers differ; that of a
    purchase is the part 1 / (1 + 1 / x) of it, and 1 / p the squared coefficient of variation that goes with it.
    """
    apart = np.log(first) - np.log(m)
    variance = float(((apart - np.median(apart)) ** 2 / (1 + 1 / x)).mean())
    return 1 / max(float(np.expm1(min(variance, 5.0))), LEAST_SPREAD)


def fit_spend(x: Floats, m: Floats, weight: Floats) -> Spend:
    """The Gamma-Gamma parameters of most likelihood for customers with x > 0 and m > 0.

    Values are scaled by their mean while fitting: gamma has the unit of m. q stays above 1, so that a mean exists.
    """
    unit = float(weight @ m / weight.sum())
    best = _minimum(spend_likelihood(x, m / unit, weight), [[2.0, 2.0, 1.0], [6.0, 3.0, 0.4]])
    return Spend(float(best[0]), float(1 + best[1]), float(best[2] * unit))


def beta_quadrature(a: float, b: float) -> tuple[Floats, Floats]:
    """Points and weights that integrate over a Beta(a, b) variable: Gauss-Jacobi by Golub and Welsch (1969).

    Weights add up to 1, so parameters of any size neither overflow nor vanish.
    """
    n, total = np.arange(1, NODES), a + b - 2  # the recurrence of Jacobi polynomials with exponents b - 1 and a - 1
    step = 2 * n + total
    diagonal = np.concatenate([[(a - b) / (total + 2)], (a - b) * total / (step * (step + 2))])
    # At n = 1 the factors n + total and step - 1 are the same and cancel.
    ratio = np.concatenate([[1.0], (n[1:] + total) / (step[1:] - 1)])
    off = 4 * n * (n + b - 1) * (n + a - 1) * ratio / (step**2 * (step + 1))
    nodes, vectors = scipy.linalg.eigh_tridiagonal(diagonal, np.sqrt(off))
    return np.clip((nodes + 1) / 2, 1e-12, 1.0), vectors[0] ** 2


def expected_if_alive(model: Purchases, x: Floats, T: Floats, weeks: float) -> Floats:
    """Purchases expected in the weeks after T of customers who are still active at T.

    Of those the rate is Gamma(r + x, alpha + T) and the drop-out chance p is Beta(a, b + x); given both
    the expectation is (1 - exp(-rate p t)) / p. The rate integrates in closed form, p by Gauss-Jacobi
    quadrature - the same number as the paper's equation (10) without its 2F1 or its poles at a = 1.
    """
    expected = np.empty(len(x))
    for count in np.unique(x):
        p, weights = beta_quadrature(model.a, model.b + count)
        has_count = x == count
        reach = np.log1p(np.outer(weeks / (model.alpha + T[has_count]), p))
        expected[has_count] = (-np.expm1(-(model.r + count) * reach) / p) @ weights
    return expected


def probability_alive(model: Purchases, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """The chance that a customer is still active at T; 1 without a repeat purchase, as the model has it."""
    counted = np.maximum(x, 1)
    logs = np.log(model.a) - np.log(model.b + counted - 1)
    logs += (model.r + x) * (np.log(model.alpha + T) - np.log(model.alpha + t_x))
    return np.where(x > 0, 1 / (1 + np.exp(np.minimum(logs, 700))), 1.0)


def expected_spend(model: Spend, count: Floats, m: Floats) -> Floats:
    """The mean value of a purchase to expect of a customer with count purchases of mean value m.

    It lies between the own mean and everybody's. The first purchase counts as every other one.
    """
    return model.p * (model.gamma + count * m) / (model.p * count + model.q - 1)
