"""The future value step: when it is fitted and kept, what scores a date, and the table that the scores join.

Times are weeks for the models. The horizon is a year of 365 days; churn is the chance that a
customer buys nothing in the next `churn` days of the stage rules.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from rapport.access.scope import Scope
from rapport.conditions.purchases import USUAL
from rapport.customers.settings import value_rule
from rapport.insight import work
from rapport.insight.arrow import floats
from rapport.insight.estimation import backtest, bgnbd, fits, trees
from rapport.insight.estimation.bgnbd import Purchases
from rapport.insight.estimation.fitting import MOST_CELLS, YEAR_WEEKS, Models, fit_models

WEEK = 7.0
ALL = 2**63

# In order, so that a number is worked out at the same place of its vector whenever a date is computed.
GRID = """
    SELECT DISTINCT toUInt32(purchase_days - 1) AS x, toUInt32(intDiv(days_since_first, {{cell:UInt32}})) AS t
    FROM {table} WHERE purchase_days > 0 ORDER BY x, t LIMIT {{most:UInt64}}
"""


@dataclass(frozen=True)
class Scoring:
    """What scores a date: the models, the trees of the stages that trees score, and a factor for every stage."""

    models: Models
    trees: dict[int, Any]
    factors: dict[int, float]


def fit_future_value(scope: Scope, data_date: date) -> None:
    """Fit purchases and spend to the customers of the date, and let trees compete, when a fit is due.

    One is due as well when other types of transactions count than those that it was fitted to.
    """
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, data_date)
    stand_in = fit is not None and not fit.report["fitted"] and fit.data_date < data_date
    values = value_rule(scope).parameters()
    is_changed = fit is not None and fit.parameters.get("values", USUAL.parameters()) != values
    if stand_in or is_changed or fits.is_due(scope, fits.FUTURE_VALUE, data_date, fit):
        models, report = fit_models(scope, work.table("features", data_date))
        back_test = backtest.BackTest()
        if report["fitted"]:
            back_test = backtest.back_test(scope, data_date)
        parameters = {**models.as_json(), "factors": {str(stage): by for stage, by in back_test.factors.items()}}
        parameters["values"] = values
        report |= {"back_test": back_test.report, "no_back_test": back_test.reason}
        fits.keep_fit(scope, fits.FUTURE_VALUE, data_date, parameters, report, trees.packed(back_test.trees))


def models_for(scope: Scope, data_date: date) -> Scoring:
    """What scores a date."""
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, data_date)
    if fit is None:
        raise LookupError(f"no fit scores {data_date}")
    grown = trees.unpacked(fit.trees)
    factors = {int(stage): by for stage, by in fit.parameters.get("factors", {}).items()}
    if fit.trees and not grown:  # of another version of the library: their factors are not those of what stands in
        factors = {}
    return Scoring(Models.of(fit.parameters), grown, factors)


def fill_grid(scope: Scope, data_date: date, model: Purchases) -> int:
    """Make the table of purchases expected in the horizon if alive, by repeat days x and cell of T.

    Answers the days of a cell; only distinct (x, T) come to Python, never customers.
    """
    grid, cell = GRID.format(table=work.table("features", data_date)), 1
    cells = scope.warehouse.arrow(grid, cell=cell, most=MOST_CELLS + 1)
    if len(cells) > MOST_CELLS:
        cell = 7
        cells = scope.warehouse.arrow(grid, cell=cell, most=ALL)
    x, t = floats(cells, "x"), floats(cells, "t")
    weeks_observed = (t * cell + (cell - 1) / 2) / WEEK
    expected = bgnbd.expected_if_alive(model, x, weeks_observed, YEAR_WEEKS)
    empty = "SELECT toUInt32(0) AS x, toUInt32(0) AS t, toFloat64(0) AS expected WHERE 0"
    work.fill(scope, "grid", data_date, empty, engine="Memory")
    columns = {"x": pa.array(x.astype(np.uint32)), "t": pa.array(t.astype(np.uint32)), "expected": pa.array(expected)}
    if len(x):
        scope.warehouse.insert_arrow(work.table("grid", data_date), pa.table(columns))
    return cell
