"""False answers of campaigns without an effect: money, watched and several groups; the self-optimising split.

Simulations with fixed seeds, through the functions that make results. With --data (or RAPPORT_CDNOW) the money of
real CDNOW customers too: CDNOW_master.txt, split by chance, with what they bought in the days after. --size is the
number of campaigns of each row, of money five times as many: each world is divided so often. Every share has its 95%
interval (Clopper and Pearson 1934); the limits allow for chance by three standard errors.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from rapport.campaigns.measurement.randomization import POWERS, Difference, Stratum, Sums, difference
from rapport.campaigns.measurement.responses import CAPPED_SHARE, PAST_DAYS, REMEMBERED_SMALL_RUNS, Response
from rapport.campaigns.measurement.statistics import BETTER, LEAST_BUYERS, SIGNIFICANT, WORSE, adjusted, compare
from rapport.campaigns.runs.splits import Tally, thompson_shares

Numbers = Any
MOST_FALSE, MOST_ON_A_SIDE = 0.06, 0.035
DRAWS = 5  # of each world
LAST_DAYS = 20  # campaigns whose last day alone is looked at, for each that is looked at daily
LEARNING_RUNS, LEARNING_CUSTOMERS = 60, 3000


def capped(values: Numbers) -> Numbers:
    """Money up to what the few buyers spent at least who spent most, as results count it."""
    bought = values[values > 0]
    return np.minimum(values, np.quantile(bought, 1 - CAPPED_SHARE)) if len(bought) else values


def sums(money: Numbers, past: Numbers, who: Numbers) -> Sums:
    """Of those customers, as the warehouse adds them up."""
    y, x = money[who], past[who]
    return Sums.of([float((y**a * x**b).sum()) for a, b in POWERS])


def compared(money: Numbers, past: Numbers, held_back: Numbers) -> Difference | None:
    """Money of the others against that of control, where enough of the smaller side are to be expected to buy."""
    part = float(held_back.mean())
    if (money > 0).sum() * min(part, 1 - part) < LEAST_BUYERS:
        return None
    y, x = capped(money), capped(past)
    return difference([Stratum(sums(y, x, ~held_back), sums(y, x, held_back))])


def simulated(size: int) -> Iterator[tuple[str, int, float, int, Any]]:
    """Worlds of customers who differ in how often and for how much they buy."""
    for spread in (0.5, 1.0, 2.0):
        for customers, control, days, a_day in (
            (500, 0.2, 30, 0.012),
            (1000, 0.1, 30, 0.012),
            (2000, 0.05, 30, 0.012),
            (5000, 0.1, 7, 0.01),
            (20_000, 0.05, 7, 0.005),
            (20_000, 0.1, 3, 0.005),
            (20_000, 0.2, 7, 0.002),
        ):
            generator = np.random.default_rng([int(10 * spread), customers, days])
            name = f"lognormal {spread}, {customers} customers, control {control:.0%}, {days} days"
            made = (world(generator, customers, a_day * days, a_day * PAST_DAYS, spread) for _ in range(size))
            yield name, customers, control, days, made


def world(generator: Any, customers: int, rate: float, rate_before: float, spread: float) -> tuple[Numbers, Numbers]:
    """Money in the window and before it: rates are gamma, levels of customers and orders lognormal (spread in all)."""
    often, level = generator.gamma(1.0, 1.0, customers), generator.normal(3.5, spread * 0.7, customers)
    found = []
    for mean in (rate, rate_before):
        orders = generator.poisson(np.minimum(mean * often, 30))
        whose = np.repeat(np.arange(customers), orders)
        amounts = np.exp(level[whose] + generator.normal(0, spread * (1 - 0.49) ** 0.5, len(whose)))
        found.append(np.bincount(whose, amounts, customers))
    return found[0], found[1]


def cdnow(data: Path, size: int) -> Iterator[tuple[str, int, float, int, Any]]:
    """Customers of CDNOW who had bought by a day, drawn by chance, and what they spent around it."""
    rows = [line.split() for line in (data / "CDNOW_master.txt").read_text().splitlines()]
    bought = [
        (row[0], datetime.strptime(row[1], "%Y%m%d").date(), float(row[3]))
        for row in rows
        if len(row) == 4 and row[1].isdigit()
    ]
    numbers = {name: n for n, name in enumerate(sorted({name for name, _, _ in bought}))}
    whose = np.array([numbers[name] for name, _, _ in bought])
    day = np.array([(at - date(1997, 1, 1)).days for _, at, _ in bought])
    amount = np.array([value for _, _, value in bought])
    for customers, control, days in (
        (1000, 0.2, 30),
        (2000, 0.2, 30),
        (5000, 0.1, 30),
        (10_000, 0.1, 7),
        (20_000, 0.05, 7),
        (20_000, 0.1, 3),
        (20_000, 0.1, 30),
    ):
        generator = np.random.default_rng([customers, days])
        made = (
            _of_cdnow(generator, whose, day, amount, len(numbers), customers, days)
            for _ in range(size if customers <= 5000 else size // 2)
        )
        yield f"CDNOW, {customers} customers, control {control:.0%}, {days} days", customers, control, days, made


def _of_cdnow(
    generator: Any, whose: Numbers, day: Numbers, amount: Numbers, people: int, customers: int, days: int
) -> tuple[Numbers, Numbers]:
    begin = int(generator.integers(90, 480 - days))
    within, before = (day >= begin) & (day < begin + days), (day < begin) & (day >= begin - PAST_DAYS)
    some = generator.choice(people, customers, replace=False)
    money, past = (np.bincount(whose[rows], amount[rows], people)[some] for rows in (within, before))
    return money, past


def money_rows(worlds: Iterator[tuple[str, int, float, int, Any]]) -> Iterator[tuple[str, float, float, int]]:
    """Name, share of campaigns called better and called worse by their money, campaigns that said something."""
    for name, customers, control, days, made in worlds:
        generator = np.random.default_rng([customers, days, 1])
        up = down = told = 0
        for money, past in made:
            for _ in range(DRAWS):
                found = compared(money, past, generator.permutation(customers) < round(control * customers))
                if found is not None:
                    told, up, down = told + 1, up + (found.interval[0] > 0), down + (found.interval[1] < 0)
        yield name, up / max(told, 1), down / max(told, 1), told


def missed_effects(size: int, spread: float, effect: float = 0.2) -> float:
    """How often the relative interval of money does not hold an effect: so many more orders, of the same kind."""
    generator = np.random.default_rng([int(10 * spread), 20])
    missed = told = 0
    for _ in range(size):
        held_back = generator.random(5000) < 0.15
        money, past = world(generator, 5000, 0.1, 0.6, spread)
        more, _ = world(generator, 5000, 0.1 * effect, 0.0, spread)
        found = compared(np.where(held_back, money, money + more), past, held_back)
        if found is not None and found.relative_interval is not None:
            low, high = found.relative_interval
            told += 1
            missed += (low is not None and low > effect) or (high is not None and high < effect)
    return missed / max(told, 1)


def several_groups(size: int, groups: int = 26) -> float:
    """How often some group of many without an effect has a verdict."""
    generator = np.random.default_rng(26)
    false = 0
    for _ in range(size):
        control = Response(2000, int(generator.binomial(2000, 0.05)))
        found = [compare([(Response(1500, int(generator.binomial(1500, 0.05))), control)]) for _ in range(groups)]
        false += any(one.verdict in (BETTER, WORSE) for one in adjusted(found))
    return false / size


def watched_daily(size: int, days: int = 30) -> tuple[float, float]:
    """How often somebody who looks every day sees a verdict, or an interval without zero, at some time.

    Verdicts are given when the window is complete, so of more campaigns the last day alone is looked at.
    """
    generator = np.random.default_rng(30)
    verdicts = intervals = 0
    for _ in range(LAST_DAYS * size - size):
        pair = [(Response(n, int(generator.binomial(n, 0.004 * days)))) for n in (4500, 500)]
        verdicts += compare([(pair[0], pair[1])]).verdict in (BETTER, WORSE)
    for _ in range(size):
        hits = [np.cumsum(generator.multinomial(n, [0.004] * days + [1 - 0.004 * days])[:days]) for n in (4500, 500)]
        seen = []
        for day in range(days):
            pair = [(Response(4500, int(hits[0][day])), Response(500, int(hits[1][day])))]
            seen.append(compare(pair, is_open=day < days - 1))
        verdicts += any(one.verdict in (BETTER, WORSE) for one in seen)
        intervals += any(one.uplift_interval[0] > 0 or one.uplift_interval[1] < 0 for one in seen[:-1])
    return verdicts / (LAST_DAYS * size), intervals / size


def watched_series(size: int, runs: int = 60) -> float:
    """How often the result of a series without an effect, looked at after each run, has a verdict at some time."""
    generator = np.random.default_rng(60)
    false = 0
    for _ in range(size):
        pairs = []
        for run in range(runs):
            rate = 0.05 * (1 + 0.5 * np.sin(run / 5))
            pairs.append(
                (Response(180, int(generator.binomial(180, rate))), Response(20, int(generator.binomial(20, rate))))
            )
            if compare(pairs, is_watched=True).verdict in (BETTER, WORSE):
                false += 1
                break
    return false / size


def returning(size: int, keeps_groups: bool, is_money: bool, runs: int = 12) -> tuple[float, float]:
    """How often a series without an effect is called better, and worse, when the same people come back.

    They keep their levels, and each run divides them anew or leaves them where they are.
    """
    generator = np.random.default_rng([12, keeps_groups, is_money])
    up = down = 0
    for _ in range(size):
        often, level = generator.gamma(0.5, 2.0, 1000), generator.normal(3.5, 1.0, 1000)
        strata, sides, off = [], [], []
        held_back = generator.permutation(1000) < 100
        for _ in range(runs):
            orders = generator.poisson(0.03 * often)
            done = capped(orders * np.exp(level)) if is_money else (orders > 0).astype(float)
            held_back = held_back if keeps_groups else generator.permutation(1000) < 100
            strata.append(Stratum(sums(done, np.zeros(1000), ~held_back), sums(done, np.zeros(1000), held_back)))
            sides.append(~held_back - 0.9)
            off.append(done - done.mean())
        found = difference(strata, inflation=clustered(np.array(sides), np.array(off)))
        up += found is not None and found.interval[0] > 0
        down += found is not None and found.interval[1] < 0
    return up / size, down / size


def clustered(sides: Numbers, off: Numbers) -> float:
    """By what the variance is multiplied, as campaigns.returning has the warehouse find it; rows are runs as large."""
    together, apart = (float((one.sum(axis=0) ** 2).sum() - (one**2).sum()) for one in (sides, sides * 0 + 0.3))
    squares = float((off**2).sum())
    return 1 + min(1.0, max(0.0, together / apart)) * (float((off.sum(axis=0) ** 2).sum()) - squares) / squares


def power(size: int, spread: float, effect: float) -> float:
    """How often money shows that so many more orders came, of 20,000 customers with a tenth held back."""
    generator = np.random.default_rng([int(10 * spread), 21])
    seen = 0
    for _ in range(size):
        held_back = generator.permutation(20_000) < 2000
        money, past = world(generator, 20_000, 0.1, 0.6, spread)
        more, _ = world(generator, 20_000, 0.1 * effect, 0.0, spread)
        found = compared(np.where(held_back, money, money + more), past, held_back)
        seen += found is not None and found.interval[0] > 0
    return seen / size


def wrong_leaders(size: int, swing: float) -> float:
    """How often the group that leads after 60 runs is not the best: 5, 5.5 and 6%, with a swing of each month."""
    arms, wrong = (0.05, 0.055, 0.06), 0
    for repetition in range(size):
        generator = np.random.default_rng([repetition, int(100 * swing)])
        runs: list[dict[tuple[int, int], Tally]] = []
        shares = [1 / 3] * 3
        for run in range(LEARNING_RUNS):
            shares = thompson_shares(run, runs[-REMEMBERED_SMALL_RUNS:], 3, 0.05)
            season = 1 + swing * np.sin(2 * np.pi * run / 30)
            sizes = [int(LEARNING_CUSTOMERS * share) for share in shares]
            counts = {
                (1, n): Tally.of_share(int(generator.binomial(size, arm * season)), size)
                for n, (size, arm) in enumerate(zip(sizes, arms, strict=True), 1)
            }
            runs.append(counts)
        wrong += int(np.argmax(thompson_shares(LEARNING_RUNS, runs[-REMEMBERED_SMALL_RUNS:], 3, 0.05))) != 2
    return wrong / size


def figures(size: int, data: Path | None) -> Iterator[tuple[str, float, float, int]]:
    """Name, share, its limit and of how many campaigns it is one."""
    for source in [simulated(size)] + ([cdnow(data, size)] if data else []):
        false, campaigns = 0.0, 0
        for name, up, down, count in money_rows(source):
            yield f"{name}: called better", up, MOST_ON_A_SIDE, count
            yield f"{name}: called worse", down, MOST_ON_A_SIDE, count
            false, campaigns = false + (up + down) * count, campaigns + count
        yield "money, all of these: false in all", false / max(campaigns, 1), MOST_FALSE, campaigns
    for spread in (0.5, 2.0):
        missed = missed_effects(size, spread)
        yield f"lognormal {spread}: a fifth more orders, not in the interval", missed, MOST_FALSE, size
    some, few = size // 2, size // 8
    yield "26 groups: some false verdict", several_groups(some), SIGNIFICANT, some
    verdicts, intervals = watched_daily(some)
    yield "watched on 30 days: a false verdict at some time", verdicts, SIGNIFICANT, LAST_DAYS * some
    yield "watched on 30 days: an interval without zero while it is open", intervals, SIGNIFICANT, some
    yield "a series watched over 60 runs: a false verdict at some time", watched_series(some), SIGNIFICANT, some
    for keeps_groups, where in ((False, "drawn anew"), (True, "who keep their groups")):
        for is_money, what in ((False, "responders"), (True, "money")):
            up, down = returning(size, keeps_groups, is_money)
            name = f"{what} of 12 runs of the same customers {where}"
            yield f"{name}: called better", up, MOST_ON_A_SIDE, size
            yield f"{name}: called worse", down, MOST_ON_A_SIDE, size
            yield f"{name}: false in all", up + down, MOST_FALSE, size
    for spread, more in ((0.5, 0.2), (1.0, 0.2), (2.0, 0.2)):
        yield f"lognormal {spread}: power for a fifth more orders, no limit", power(some, spread, more), 1.0, some
    for swing in (0.0, 0.5):
        wrong = wrong_leaders(few, swing)
        yield f"self-optimising split, swing {swing:.0%}: wrong leader", wrong, SIGNIFICANT, few


def interval(share: float, campaigns: int) -> tuple[float, float]:
    """Between which shares the true one lies in 95 of 100 cases."""
    hits = round(share * campaigns)
    low = stats.beta.ppf(0.025, hits, campaigns - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, campaigns - hits) if hits < campaigns else 1.0
    return float(low), float(high)


def report(size: int, data: Path | None) -> bool:
    """Print the figures; answers whether all are within their limits, but for three standard errors."""
    good = True
    for name, ours, limit, campaigns in figures(size, data):
        good &= ours <= limit + 3 * (limit * (1 - limit) / max(campaigns, 1)) ** 0.5
        low, high = interval(ours, campaigns)
        line = {"name": name, "ours": round(ours, 4), "limit": limit, "campaigns": campaigns, "unit": "share"}
        print(json.dumps({**line, "interval": [round(low, 4), round(high, 4)]}), flush=True)
        print(f"{name:<72}{ours:>9.4f}{low:>9.4f}{high:>9.4f}{limit:>9.4f}{campaigns:>7}", file=sys.stderr)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=400, help="campaigns of a row")
    parser.add_argument("--data", type=Path, default=os.environ.get("RAPPORT_CDNOW"), help="folder of CDNOW_master.txt")
    options = parser.parse_args()
    if options.data is None:
        print("CDNOW is skipped: give the folder of CDNOW_master.txt with --data or in RAPPORT_CDNOW", file=sys.stderr)
    if not report(options.size, Path(options.data) if options.data else None):
        sys.exit("a figure is outside its limit")
