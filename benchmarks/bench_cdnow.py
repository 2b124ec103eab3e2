"""The value models on CDNOW: parameters against the published ones, and the forecast of the 39 weeks that follow.

Give the folder that holds CDNOW_sample.txt (the 1/10 sample of the CDNOW customers of early 1997) with
--data or in RAPPORT_CDNOW. The purchases go through the real model of the last day of calibration,
1997-09-30; the forecast is of the purchase days from then to 1998-06-30.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.insight import service as insight
from rapport.insight.estimation import bgnbd, fits
from rapport.insight.estimation.fitting import Models
from rapport.settings import Settings
from rapport.stores import open_stores

CALIBRATED, END = date(1997, 9, 30), date(1998, 6, 30)
# Fader, Hardie and Lee (2005), table 2; Fader and Hardie (2013).
PUBLISHED = {
    "r": 0.243,
    "alpha": 4.414,
    "a": 0.793,
    "b": 2.426,
    "log-likelihood": -9582.4,
    "p": 6.25,
    "q": 3.74,
    "gamma": 15.44,
}
WITHIN = 0.01


def purchases(path: Path) -> list[tuple[str, date, float]]:
    """Customer, day and dollars of every row; a row is: master id, sample id, day, CDs, dollars."""
    rows = (line.split() for line in path.read_text().splitlines())
    return [(row[1], datetime.strptime(row[2], "%Y%m%d").date(), float(row[4])) for row in rows if len(row) == 5]


def fitted(scope: Scope, bought: list[tuple[str, date, float]]) -> tuple[dict[str, float], Models]:
    """The parameters that the daily model finds on the last day of calibration."""
    scope.warehouse.insert("customers", ["customer_id"], [(name,) for name in sorted({row[0] for row in bought})])
    rows = [
        (str(n), name, datetime(day.year, day.month, day.day, tzinfo=UTC), amount)
        for n, (name, day, amount) in enumerate(bought)
    ]
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    insight.run_model(scope, CALIBRATED)
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, CALIBRATED)
    assert fit is not None
    found = {**fit.parameters["purchases"], **fit.parameters["spend"], "log-likelihood": fit.report["log_likelihood"]}
    return found, Models.of(fit.parameters)


def customers(bought: list[tuple[str, date, float]]) -> dict[str, np.ndarray]:
    """What is known of each customer at the end of calibration, and the purchase days and dollars that came."""
    days: dict[str, dict[date, float]] = {}
    for name, day, amount in bought:
        if amount > 0:  # the daily model counts no order of 0 dollars
            mine = days.setdefault(name, {})
            mine[day] = mine.get(day, 0.0) + amount
    rows = []
    for found in days.values():
        before = sorted(day for day in found if day <= CALIBRATED)
        if before:
            after = [amount for day, amount in found.items() if CALIBRATED < day <= END]
            t_x, T = (before[-1] - before[0]).days / 7, (CALIBRATED - before[0]).days / 7
            first, total = found[before[0]], sum(found[day] for day in before)
            rows.append((len(before) - 1, t_x, T, first, total, len(after), sum(after)))
    names = ("x", "t_x", "T", "first", "total", "orders", "value")
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))


def forecasts(known: dict[str, np.ndarray], models: Models) -> list[tuple[str, float, float, float]]:
    """Figures of the 39 weeks that follow: ours, what it is held against, and the limit of the ratio."""
    x, t_x, T, first, total, orders, value = known.values()
    weeks = (END - CALIBRATED) / timedelta(weeks=1)
    expected = bgnbd.probability_alive(models.purchases, x, t_x, T)
    expected = expected * bgnbd.expected_if_alive(models.purchases, x, T, weeks)
    worth = expected * bgnbd.expected_spend(models.spend, x + 1, total / (x + 1))
    once = expected * models.spend.mean
    found = []
    against = {"nobody buys again": np.zeros(len(x)), "the past count": x, "the past rate": x / T * weeks}
    for measure, of in (
        ("absolute", lambda e: np.abs(e - orders).mean()),
        ("squared", lambda e: ((e - orders) ** 2).mean()),
    ):
        for name, other in against.items():
            found.append((f"mean {measure} error, against {name}", float(of(expected)), float(of(other)), 1.0))
    found.append(("orders expected, against those that came", float(expected.sum()), float(orders.sum()), 1.15))
    found.append(("dollars expected, against those that came", float(worth.sum()), float(value.sum()), 1.2))
    ones = x == 0
    quarter = np.digitize(first[ones], np.quantile(first[ones], [0.25, 0.5, 0.75]))
    for number, name in enumerate(("least", "second", "third", "most")):
        here = quarter == number
        print(
            f"  bought once, quarter of {name} spent: expected {worth[ones][here].mean():.2f}, "
            f"without the first order {once[ones][here].mean():.2f}, came {value[ones][here].mean():.2f}",
            file=sys.stderr,
        )
    return found


def report(data: Path) -> bool:
    """Print the figures; answers whether all are within their limits."""
    bought = purchases(data / "CDNOW_sample.txt")
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        parameters, models = fitted(create_tenant(stores, "cdnow", "UTC", "USD"), bought)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
    figures = [(f"CDNOW {name}", parameters[name], known, 1 + WITHIN) for name, known in PUBLISHED.items()]
    figures += [(f"CDNOW {name}", *rest) for name, *rest in forecasts(customers(bought), models)]
    print(f"{'figure':<64}{'ours':>12}{'baseline':>12}{'ratio':>9}", file=sys.stderr)
    good = True
    for name, ours, baseline, limit in figures:
        ratio = ours / baseline
        good &= ratio < limit if limit == 1.0 else 2 - limit <= ratio <= limit
        line = {"name": name, "ours": round(ours, 4), "baseline": round(baseline, 4), "ratio": round(ratio, 4)}
        print(json.dumps({**line, "limit": limit, "unit": "value"}))
        print(f"{name:<64}{ours:>12.4f}{baseline:>12.4f}{ratio:>9.4f}", file=sys.stderr)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("RAPPORT_CDNOW"), help="folder of CDNOW_sample.txt")
    options = parser.parse_args()
    if options.data is None:
        print("skipped: give the folder of CDNOW_sample.txt with --data or in RAPPORT_CDNOW", file=sys.stderr)
    elif not report(Path(options.data)):
        sys.exit("a figure is outside its limit")
