"""The models of the future value in worlds whose future is known: figure, limit, and whether it is kept.

Worlds are simulated with fixed seeds: BG/NBD's own with order values that differ ever more widely; customers
who never leave, whose drop-out no data can name; a trade with lifetimes, seasons, heavy tails and value that goes
with the rate, in which the back-test of one year chooses, and the next year says whether it chose well.
Takes about half a minute.
"""

import argparse
import json
import sys
from dataclasses import dataclass

import numpy as np

from rapport.insight.estimation import backtest, bgnbd
from rapport.insight.estimation.fitting import Models, judged_purchases, judged_spend

YEAR = 365.0
Array = np.ndarray


@dataclass
class Shop:
    """Orders of customers: whose, on which day, of what value; and the day of each customer's first."""

    customer: Array
    day: Array
    value: Array
    start: Array

    def seen(self, until: float) -> dict[str, Array]:
        """What the models know of the customers who came before a day."""
        n = len(self.start)
        here = self.day < until
        count = np.bincount(self.customer[here], minlength=n).astype(float)
        amount = np.bincount(self.customer[here], self.value[here], minlength=n)
        last = self.start.copy()
        np.maximum.at(last, self.customer[here], self.day[here])
        first = np.zeros(n)
        opening = self.day == self.start[self.customer]
        first[self.customer[opening]] = self.value[opening]
        recent = here & (self.day >= until - YEAR)
        year = np.bincount(self.customer[recent], self.value[recent], minlength=n)
        known = self.start < until
        found = {"x": count - 1, "t_x": (last - self.start) / 7, "T": (until - self.start) / 7}
        found |= {"amount": amount, "first": first, "year": year, "since": until - last}
        return {name: column[known] for name, column in found.items()}

    def came(self, since: float, until: float, known_at: float) -> Array:
        """The value of the days from since to until, of those who came before known_at."""
        here = (self.day >= since) & (self.day < until)
        return np.bincount(self.customer[here], self.value[here], minlength=len(self.start))[self.start < known_at]


def shop(seed: int, n: int, sigma: float, lifetime: float, correlation: float, season: float, days: float) -> Shop:
    """Gamma rates, exponential lifetimes that differ (lifetime 0: for ever), lognormal values that go with the rate."""
    draw = np.random.default_rng(seed)
    start = draw.uniform(0, days - YEAR, n)
    rate = draw.gamma(0.7, 1 / 45.0, n)
    ends = start + draw.exponential(1, n) * draw.gamma(2.0, lifetime or 1.0, n) if lifetime else np.full(n, days)
    tilt = correlation * (np.log(rate) - np.log(rate).mean()) / np.log(rate).std()
    mean = np.exp(3.5 + sigma * (tilt + np.sqrt(1 - correlation**2) * draw.standard_normal(n)))
    customer = np.repeat(np.arange(n), draw.poisson(rate * (1 + season) * (days - start)))
    day = start[customer] + draw.uniform(size=len(customer)) * (days - start[customer])
    wave = (1 + season * np.sin(2 * np.pi * day / YEAR)) / (1 + season)
    kept = (day < ends[customer]) & (draw.uniform(size=len(customer)) < wave)
    customer = np.concatenate([np.arange(n), customer[kept]])
    value = mean[customer] * np.exp(0.4 * draw.standard_normal(len(customer)) - 0.08)
    return Shop(customer, np.concatenate([start, day[kept]]), value, start)


def fitted(seen: dict[str, Array]) -> Models:
    """The models by the rules of the daily model."""
    x, back = seen["x"], seen["x"] > 0
    purchases, _, _ = judged_purchases(x, seen["t_x"], seen["T"], np.ones(len(x)))
    repeat = (seen["amount"] - seen["first"])[back] / x[back]
    spend, _ = judged_spend(x[back], repeat, seen["first"][back])
    return Models(purchases, spend)


def expected(models: Models, seen: dict[str, Array]) -> Array:
    """The value of the next year of each customer."""
    return models.year_value(seen["x"], seen["t_x"], seen["T"], seen["amount"], np.zeros(len(seen["x"])))


def bg_nbd_world(seed: int, sigma: float) -> tuple[Shop, Array]:
    """Customers as BG/NBD has them, with order values as widely spread as asked; and the true mean value of each."""
    draw = np.random.default_rng(seed)
    n, days = 4000, 3 * YEAR
    start, rate, leave = draw.uniform(0, 2 * YEAR - 60, n), draw.gamma(0.6, 1 / 42.0, n), draw.beta(0.9, 3.0, n)
    mean, rows, alive, now = np.exp(3.5 + sigma * draw.standard_normal(n)), [], np.ones(n, dtype=bool), start.copy()
    while alive.any():
        rows.append((np.flatnonzero(alive), now[alive]))
        alive &= (draw.uniform(size=n) > leave) | (now == start)
        now = now + draw.exponential(1 / rate)
        alive &= now < days
    customer, day = (np.concatenate(part) for part in zip(*rows, strict=True))
    value = mean[customer] * np.exp(0.4 * draw.standard_normal(len(customer)) - 0.08)
    return Shop(customer, day, value, start), mean[start < 2 * YEAR]


def wide_values(sigma: float) -> tuple[float, float, float]:
    """Five worlds: the mean of the forecast in what came; of one-time buyers in the best tenth; and the spend's fault.

    The last is how far the forecast is, at worst, from that of one who knows each customer's true mean: what
    came hangs, where values differ so widely, on how often a handful of customers bought.
    """
    ratios, ones, faults = [], [], []
    for seed in range(1, 6):
        world, mean = bg_nbd_world(seed, sigma)
        seen = world.seen(2 * YEAR)
        models = fitted(seen)
        value = expected(models, seen)
        spend = bgnbd.expected_spend(models.spend, seen["x"] + 1, seen["amount"] / (seen["x"] + 1))
        ratios.append(value.sum() / world.came(2 * YEAR, 3 * YEAR, 2 * YEAR).sum())
        ones.append((seen["x"][np.argsort(-value)[: len(value) // 10]] == 0).mean())
        faults.append(abs(value.sum() / (value / spend * mean).sum() - 1))
    return float(np.mean(ratios)), float(np.mean(ones)), max(faults)


def nobody_leaves() -> float:
    """The forecast in what came where nobody leaves: the likelihood runs to its bound."""
    world = shop(4, 4000, 0.7, 0.0, 0.0, 0.0, 3 * YEAR)
    seen = world.seen(2 * YEAR)
    return float(expected(fitted(seen), seen).sum() / world.came(2 * YEAR, 3 * YEAR, 2 * YEAR).sum())


def choices() -> dict[str, float]:
    """Five trades: what the back-test of one year chose, held against the other model in the year after."""
    wrong, biases, untouched = [], [], []
    for seed in range(5):
        world = shop(20 + seed, 6000, 1.0, 220.0, 0.4, 0.4, 4 * YEAR)
        past, now = world.seen(2 * YEAR), world.seen(3 * YEAR)
        came, later = world.came(2 * YEAR, 3 * YEAR, 2 * YEAR), world.came(3 * YEAR, 4 * YEAR, 3 * YEAR)
        columns, today = (np.column_stack(list(seen.values())) for seen in (past, now))
        rival = expected(fitted(past), past)
        stage = backtest.Stage(columns, came, came, np.ones(len(came)), rival)
        factor, grown, _ = backtest.compare(stage, grow=True)
        plain = expected(fitted(now), now)
        by_trees = backtest.trees.predict(grown or backtest.trees.fitted(columns, came), today)
        scored, other = (by_trees, plain) if grown is not None else (plain, by_trees)
        errors = [backtest.deviances(value * scale, later).mean() for value, scale in ((scored, factor), (other, 1.0))]
        wrong.append(errors[0] / errors[1])
        biases.append(abs((scored * factor).sum() / later.sum() - 1))
        untouched.append(abs(plain.sum() / later.sum() - 1))
    return {"error": float(np.mean(wrong)), "bias": float(np.mean(biases)), "untouched": float(np.mean(untouched))}


def report() -> bool:
    """Print every figure with its limit; answers whether all are kept."""
    figures: list[tuple[str, float, float, float]] = []
    for sigma in (0.5, 1.0, 1.2, 1.3, 1.5):
        ratio, ones, fault = wide_values(sigma)
        figures.append((f"forecast off one that knows the means by, log-spread {sigma}", fault, 0.0, 0.15))
        figures.append((f"forecast in what came, values of log-spread {sigma}", ratio, 0.85, 1.15))
        figures.append((f"one-time buyers in the best tenth, log-spread {sigma}", ones, 0.0, 0.25))
    figures.append(("forecast in what came, where nobody leaves", nobody_leaves(), 0.85, 1.15))
    found = choices()
    figures.append(("next year's deviance, chosen in the other", found["error"], 0.0, 1.02))
    figures.append(("next year's total off by, at its level", found["bias"], 0.0, max(0.15, found["untouched"])))
    good = True
    for name, value, low, high in figures:
        good &= low <= value <= high
        print(json.dumps({"name": name, "figure": round(value, 4), "least": low, "most": round(high, 4)}), flush=True)
    return good


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    if not report():
        sys.exit("a figure is outside its limit")
