"""The future value step: what is fitted on which aggregates, kept how, and the table that the scores join.

Times are weeks for the models. The horizon is a year of 365 days; churn is the chance that a
customer buys nothing in the next `churn` days of the stage rules.
"""

from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from rapport.access.scope import Scope
from rapport.insight import bgnbd, fits, trees, work
from rapport.insight.arrow import floats
from rapport.insight.bgnbd import Floats, Purchases, Spend
from rapport.insight.settings import settings_of

HORIZON_DAYS = 365
WEEK = 7.0
MOST_CELLS = 50_000
ALL = 2**63
CELL_DAYS = (1, 7, 28, 91, 364)
SPEND_SAMPLE = 50_000
FEWEST_REPEATERS = 40

# Purchase days as the models count them. Cells of {cell:UInt32} days keep their own means, so
# coarser cells blur nothing but the spread within a cell.
HISTOGRAM = """
    SELECT
        toFloat64(x) AS x,
        avg(last_day - first_day) / 7 AS t_x,
        avg(days_since_first) / 7 AS T,
        toFloat64(count()) AS weight
    FROM (
        SELECT *, purchase_days - 1 AS x FROM {table} WHERE purchase_days > 0
    )
    GROUP BY x, intDiv(last_day - first_day, {{cell:UInt32}}), intDiv(days_since_first, {{cell:UInt32}})
    ORDER BY x, t_x, T
"""
# Neither counts further than it has to, so that memory does not grow with customers.
CELLS = """
    SELECT count() FROM (
        SELECT DISTINCT
            purchase_days,
            intDiv(last_day - first_day, {{cell:UInt32}}) AS span,
            intDiv(days_since_first, {{cell:UInt32}}) AS age
        FROM {table} WHERE purchase_days > 0 LIMIT {{most:UInt32}} + 1
    )
"""
REPEAT_SPEND = """
    SELECT toFloat64(purchase_days - 1) AS x, repeat_value AS m FROM {table}
    WHERE purchase_days > 1 AND repeat_value > 0 ORDER BY sipHash64(customer_id), customer_id LIMIT {{size:UInt32}}
"""
# In order, so that a number is worked out at the same place of its vector whenever a date is computed.
GRID = """
    SELECT DISTINCT toUInt32(purchase_days - 1) AS x, toUInt32(intDiv(days_since_first, {{cell:UInt32}})) AS t
    FROM {table} WHERE purchase_days > 0 ORDER BY x, t LIMIT {{most:UInt64}}
"""


def fit_future_value(scope: Scope, data_date: date) -> None:
    """Fit purchases and spend to the customers of the date, and let trees compete, when a fit is due."""
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, data_date)
    stand_in = fit is not None and not fit.report["fitted"] and fit.data_date < data_date
    if stand_in or fits.is_due(scope, fits.FUTURE_VALUE, data_date, fit):
        parameters, report = fit_models(scope, work.table("features", data_date))
        chosen: dict[int, Any] = {}
        report["back_test"] = {}
        if report["fitted"] and settings_of(scope).trees and trees.enough_history(scope, data_date):
            chosen, report["back_test"] = trees.train(scope, data_date)
        fits.keep_fit(scope, fits.FUTURE_VALUE, data_date, parameters, report, trees.packed(chosen))


def fit_models(scope: Scope, features: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of both models for a table of features, and the report that goes with them."""
    cell = cell_days(scope, features)
    histogram = scope.warehouse.arrow(HISTOGRAM.format(table=features), cell=cell)
    x, t_x, T, weight = (floats(histogram, column) for column in ("x", "t_x", "T", "weight"))
    repeaters = int(weight[x > 0].sum())
    report: dict[str, Any] = {"customers": int(weight.sum()), "repeat_customers": repeaters, "cell_days": cell}
    if repeaters < FEWEST_REPEATERS:
        return _assumed(scope, features, x, T, weight), {**report, "fitted": False}
    purchases, likelihood = bgnbd.fit_purchases(x, t_x, T, weight)
    sample = scope.warehouse.arrow(REPEAT_SPEND.format(table=features), size=SPEND_SAMPLE)
    spend = bgnbd.fit_spend(floats(sample, "x"), floats(sample, "m"), np.ones(len(sample)))
    report |= {"fitted": True, "log_likelihood": float(likelihood)}
    return {"purchases": asdict(purchases), "spend": asdict(spend)}, report


def _assumed(scope: Scope, features: str, x: Floats, T: Floats, weight: Floats) -> dict[str, Any]:
    """Parameters for too few repeat customers to learn from: the data's mean rate and value, wide variation."""
    rate = float(weight @ x + 1) / float(weight @ T + 52) if len(x) else 1 / 52
    mean = scope.warehouse.value(f"SELECT sum(TOTAL_ORDER_AMOUNT) / sum(purchase_days) FROM {features}")  # noqa: S608
    value = float(mean) if mean and np.isfinite(mean) else 1.0
    return {
        "purchases": asdict(Purchases(0.5, 0.5 / rate, 1.0, 4.0)),
        "spend": asdict(Spend(3.0, 3.0, value * 2 / 3)),
    }


def cell_days(scope: Scope, features: str) -> int:
    """Days a side of a histogram cell: exact days while they give few cells, then weeks, then four weeks or more."""
    for cell in CELL_DAYS:
        if scope.warehouse.value(CELLS.format(table=features), cell=cell, most=MOST_CELLS) <= MOST_CELLS:
            return cell
    return CELL_DAYS[-1]


def models_for(scope: Scope, data_date: date) -> tuple[Purchases, Spend, dict[int, Any]]:
    """The fitted models that score a date, and the trees of the stages that trees score."""
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, data_date)
    if fit is None:
        raise LookupError(f"no fit scores {data_date}")
    found = Purchases(**fit.parameters["purchases"]), Spend(**fit.parameters["spend"])
    return *found, trees.unpacked(fit.trees)


def fill_grid(scope: Scope, data_date: date, model: Purchases) -> int:
    """Make the table of purchases expected in the horizon if alive, by repeat days x and cell of T.

    Answers the days of a cell; only distinct (x, T) come to Python, never customers.
    """
    grid, cell = GRID.format(table=work.table("features", data_date)), 1
    found = scope.warehouse.arrow(grid, cell=cell, most=MOST_CELLS + 1)
    if len(found) > MOST_CELLS:
        cell = 7
        found = scope.warehouse.arrow(grid, cell=cell, most=ALL)
    x, t = floats(found, "x"), floats(found, "t")
    weeks_observed = (t * cell + (cell - 1) / 2) / WEEK
    expected = bgnbd.expected_if_alive(model, x, weeks_observed, HORIZON_DAYS / WEEK)
    empty = "SELECT toUInt32(0) AS x, toUInt32(0) AS t, toFloat64(0) AS expected WHERE 0"
    work.fill(scope, "grid", data_date, empty, engine="Memory")
    columns = {"x": pa.array(x.astype(np.uint32)), "t": pa.array(t.astype(np.uint32)), "expected": pa.array(expected)}
    if len(x):
        scope.warehouse.insert_arrow(work.table("grid", data_date), pa.table(columns))
    return cell
