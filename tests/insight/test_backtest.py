"""The back-test's choice and level: trees win by more than chance or not at all, and known bias does not stay."""

import numpy as np
import pytest

from rapport.insight.estimation import backtest

CUSTOMERS = 1200


def stage(told: bool, over: float) -> backtest.Stage:
    """Customers of very different means; features tell them or are noise, and the rival knows them but for a factor."""
    draw = np.random.default_rng(12)
    mean = np.exp(3 + draw.standard_normal(CUSTOMERS))
    came = np.where(draw.uniform(size=CUSTOMERS) < 0.6, mean / 0.6 * draw.gamma(4, 0.25, CUSTOMERS), 0)
    noise = draw.standard_normal((CUSTOMERS, 3))
    features = np.column_stack([mean, noise]) if told else noise
    rival = np.full(CUSTOMERS, mean.mean()) if told else mean
    return backtest.Stage(features, came, came, np.ones(CUSTOMERS), rival * over)


def test_known_bias_does_not_stay_and_noise_wins_nothing() -> None:
    factor, grown, report = backtest.compare(stage(told=False, over=1.36), grow=True)
    assert grown is None and report["chosen"] == "bg_nbd"
    assert factor == pytest.approx(1 / 1.36, rel=0.12)
    before, after = report["bg_nbd"]["bias_before"], report["bg_nbd"]["bias"]
    assert before > 0.2 * report["mean_value"] and abs(after) < 0.05 * report["mean_value"]
    assert report["trees"]["deviance"] > report["bg_nbd"]["deviance"]


def test_trees_that_know_more_score() -> None:
    factor, grown, report = backtest.compare(stage(told=True, over=1.0), grow=True)
    assert grown is not None and report["chosen"] == "trees"
    assert report["trees"]["deviance"] < report["bg_nbd"]["deviance"] * 0.98
    assert factor == pytest.approx(1, abs=0.15)
    assert backtest.compare(stage(told=True, over=1.0), grow=False)[1] is None


def test_deviance_against_its_integral() -> None:
    """Of power 1.5 it is twice the integral of (y - u) / u^1.5 from the expectation to what came."""
    value, expected = np.array([0.0, 3.0, 50.0]), np.array([2.0, 5.0, 20.0])
    for y, mu, found in zip(value, expected, backtest.deviances(expected, value), strict=True):
        u = np.linspace(mu, max(y, 1e-9), 2_000_001)
        assert found == pytest.approx(2 * np.trapezoid((y - u) / u**1.5, u), rel=1e-2)
