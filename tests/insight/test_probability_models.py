"""BG/NBD and Gamma-Gamma: formulas of the papers, gradients by differences, parameters found again."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import hyp2f1

from rapport.insight.estimation import bgnbd, fitting
from rapport.insight.estimation.bgnbd import Purchases, Spend

PAPER = Purchases(0.243, 4.414, 0.793, 2.426)


def test_expectation_is_the_papers_equation_ten() -> None:
    x, T, t = np.array([0.0, 1, 2, 7, 30]), np.array([38.86, 12, 30, 38, 20]), 39.0
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    paper = (a + b + x - 1) / (a - 1)
    paper *= 1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    assert bgnbd.expected_if_alive(PAPER, x, T, t) == pytest.approx(paper, rel=1e-9)


def test_example_of_the_paper() -> None:
    # Section 4 of the paper: x = 2, t_x = 30.43, T = 38.86 has 1.226 expected purchases in 39 weeks.
    one = np.ones(1)
    alive = bgnbd.probability_alive(PAPER, 2 * one, 30.43 * one, 38.86 * one)
    expected = alive * bgnbd.expected_if_alive(PAPER, 2 * one, 38.86 * one, 39.0)
    assert expected[0] == pytest.approx(1.226, abs=0.001)


@pytest.mark.parametrize("a", [1e-4, 1.0, 2.0, 20_000.0])
def test_expectation_is_sound_for_any_dropout(a: float) -> None:
    x, T = np.array([0.0, 3, 400]), np.array([1.0, 100, 500])
    found = bgnbd.expected_if_alive(Purchases(0.5, 5.0, a, 20_000.0), x, T, 52.0)
    at_most = (0.5 + x) / (5 + T) * 52
    assert (found > 0).all() and (found <= at_most * (1 + 1e-9)).all()


def test_gradients() -> None:
    draw = np.random.default_rng(5)
    x = draw.integers(0, 9, 60).astype(float)
    T = draw.uniform(10, 60, 60)
    t_x = np.where(x > 0, T * draw.uniform(0.1, 0.99, 60), 0)
    weight = draw.integers(1, 5, 60).astype(float)
    m = draw.gamma(3, 10, 60)
    for likelihood, point in (
        (bgnbd.purchases_likelihood(x, t_x, T, weight), [-1.2, 1.5, -0.3, 0.9]),
        (bgnbd.spend_likelihood(np.maximum(x, 1), m, weight), [1.8, 1.0, 2.7]),
    ):
        value, slopes = likelihood(np.array(point))
        by_differences = approx_fprime(np.array(point), lambda logs, f=likelihood: f(logs)[0], 1e-6)
        assert np.isfinite(value)
        assert slopes == pytest.approx(by_differences, abs=1e-5)


def simulated(model: Purchases, spend: Spend, customers: int, seed: int) -> tuple[np.ndarray, ...]:
    """x, t_x, T and m of customers who behave as the models say."""
    draw = np.random.default_rng(seed)
    rate = draw.gamma(model.r, 1 / model.alpha, customers)
    leave = draw.beta(model.a, model.b, customers)
    T = draw.uniform(40, 80, customers)
    x, t_x = np.zeros(customers), np.zeros(customers)
    alive = np.ones(customers, dtype=bool)
    now = np.zeros(customers)
    while alive.any():
        now += draw.exponential(1 / rate)
        alive &= now < T
        x[alive] += 1
        t_x[alive] = now[alive]
        alive &= draw.uniform(size=customers) > leave
    mean = spend.p * spend.gamma / draw.gamma(spend.q, 1.0, customers) / spend.p
    m = draw.gamma(spend.p * np.maximum(x, 1), mean / np.maximum(x, 1))
    return x, t_x, T, m


def test_parameters_are_found_again() -> None:
    true, spend = Purchases(0.6, 6.0, 0.9, 3.0), Spend(5.0, 4.0, 20.0)
    x, t_x, T, m = simulated(true, spend, 40_000, 11)
    found, _ = bgnbd.fit_purchases(x, t_x, T, np.ones(len(x)))
    assert [found.r, found.alpha, found.a, found.b] == pytest.approx([0.6, 6.0, 0.9, 3.0], rel=0.15)
    back = x > 0
    value = bgnbd.fit_spend(x[back], m[back], np.ones(back.sum()))
    assert [value.p, value.q, value.gamma] == pytest.approx([5.0, 4.0, 20.0], rel=0.15)
    assert value.mean == pytest.approx(5.0 * 20 / 3, rel=0.03)


def test_weights_count_as_repeated_rows() -> None:
    x, t_x, T = np.array([0.0, 1, 3]), np.array([0.0, 5, 20]), np.array([30.0, 30, 30])
    weight = np.array([5, 3, 2])
    point = np.zeros(4)
    once = bgnbd.purchases_likelihood(x, t_x, T, weight.astype(float))(point)
    rows = [np.repeat(column, weight) for column in (x, t_x, T)]
    assert once[0] == pytest.approx(bgnbd.purchases_likelihood(*rows, np.ones(10))(point)[0])


def test_wide_order_values_are_worth_what_they_are() -> None:
    draw = np.random.default_rng(3)
    mean = np.exp(3.5 + 1.5 * draw.standard_normal(8000))
    x = draw.integers(1, 7, 8000).astype(float)
    first, m = mean * draw.gamma(8, 1 / 8, 8000), mean * draw.gamma(8 * x, 1 / (8 * x))
    found, warnings = fitting.judged_spend(x, m, first)
    assert len(warnings) == 1 and "Gamma-Gamma" in warnings[0]
    assert found.p == pytest.approx(8, rel=0.15)
    for count, value in ((x + 1, (first + x * m) / (x + 1)), (np.ones(8000), first)):
        assert bgnbd.expected_spend(found, count, value).sum() == pytest.approx(mean.sum(), rel=0.05)
    like = draw.gamma(6.0, 1.0, 8000) / 6 * m / mean
    assert fitting.judged_spend(x, like, like * first / m)[1] == []


def test_purchases_at_a_bound_are_seen_and_steadied() -> None:
    """Customers of one rate who never leave: nothing says how rates and leaving differ."""
    draw = np.random.default_rng(8)
    T = draw.uniform(20, 100, 6000)
    x = draw.poisson(T / 12).astype(float)
    t_x = np.where(x > 0, T * draw.uniform(size=6000) ** (1 / np.maximum(x, 1)), 0)
    found, likelihood, warnings = fitting.judged_purchases(x, t_x, T, np.ones(6000))
    assert len(warnings) == 1 and "BG/NBD" in warnings[0] and likelihood < 0
    year = bgnbd.probability_alive(found, x, t_x, T) * bgnbd.expected_if_alive(found, x, T, 52.0)
    assert year.sum() == pytest.approx(6000 * 52 / 12, rel=0.15)
