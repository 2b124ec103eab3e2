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
from rapport.insight import bgnbd, fits
from rapport.insight import service as insight
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


def fitted(scope: Scope, bought: list[tuple[str, date, float]]) -> tuple[dict[str, float], bgnbd.Purchases]:
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
    return found, bgnbd.Purchases(**fit.parameters["purchases"])


def forecast_errors(bought: list[tuple[str, date, float]], model: bgnbd.Purchases) -> tuple[float, float]:
    """Mean absolute errors a customer: of the model, and of going on at the rate of the calibration."""
    days: dict[str, set[date]] = {}
    for name, day, _ in bought:
        days.setdefault(name, set()).add(day)
    before = [sorted(day for day in found if day <= CALIBRATED) for found in days.values()]
    actual = np.array([sum(CALIBRATED < day <= END for day in found) for found in days.values()], dtype=float)
    x = np.array([len(found) - 1 for found in before], dtype=float)
    t_x = np.array([(found[-1] - found[0]).days / 7 for found in before])
    T = np.array([(CALIBRATED - found[0]).days / 7 for found in before])
    weeks = (END - CALIBRATED) / timedelta(weeks=1)
    expected = bgnbd.probability_alive(model, x, t_x, T) * bgnbd.expected_if_alive(model, x, T, weeks)
    rate = x / T * weeks
    return float(np.abs(expected - actual).mean()), float(np.abs(rate - actual).mean())


def report(data: Path) -> bool:
    """Print the figures; answers whether all are within their limits."""
    bought = purchases(data / "CDNOW_sample.txt")
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    try:
        parameters, model = fitted(create_tenant(stores, "cdnow", "UTC", "USD"), bought)
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)
    mine, naive = forecast_errors(bought, model)
    figures = [(f"CDNOW {name}", parameters[name], known, 1 + WITHIN) for name, known in PUBLISHED.items()]
    figures.append(("CDNOW mean absolute error, weeks 40-78", mine, naive, 1.0))
    print(f"{'figure':<42}{'ours':>12}{'baseline':>12}{'ratio':>9}", file=sys.stderr)
    good = True
    for name, ours, baseline, limit in figures:
        ratio = ours / baseline
        good &= ratio < limit if limit == 1.0 else abs(ratio - 1) <= WITHIN
        line = {"name": name, "ours": round(ours, 4), "baseline": round(baseline, 4), "ratio": round(ratio, 4)}
        print(json.dumps({**line, "limit": limit, "unit": "value"}))
        print(f"{name:<42}{ours:>12.4f}{baseline:>12.4f}{ratio:>9.4f}", file=sys.stderr)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("RAPPORT_CDNOW"), help="folder of CDNOW_sample.txt")
    options = parser.parse_args()
    if options.data is None:
        print("skipped: give the folder of CDNOW_sample.txt with --data or in RAPPORT_CDNOW", file=sys.stderr)
    elif not report(Path(options.data)):
        sys.exit("a figure is outside its limit")
