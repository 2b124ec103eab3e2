"""Forecasts against what came: every Sunday's future value by decile, met by the orders of 4, 13, 26 and 52 weeks.

What is expected of a part of the year is a customer's future value times the part of the year's orders that BG/NBD
has in it. No season is known to it, so short parts of the year are off where trade is seasonal.
"""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.conditions.purchases import IS_PURCHASE, MAY_LOSE, ValueRule
from rapport.customers.settings import value_rule
from rapport.insight import future, queries, work
from rapport.insight.arrow import floats
from rapport.insight.estimation import bgnbd
from rapport.insight.estimation.fitting import YEAR_WEEKS
from rapport.insight.models import Forecast

SUNDAY = 6
HORIZONS = (28, 91, 182, 364)  # days, whole weeks
CELL_DAYS = 28

# The rank before which a decile ends follows from the future value alone, so its least value bounds it.
EXPECTED = """
    SELECT
        toUInt8(least(floor(value_before * 10), 9) + 1) AS decile,
        toFloat64(purchase_days - 1) AS x,
        intDiv(days_since_first, {{cell:UInt32}}) * {{cell:UInt32}} / 7 AS T,
        count() AS customers,
        sum(future_value) AS expected,
        min(future_value) AS least_value
    FROM {scores} AS scored INNER JOIN {features} AS feature ON feature.customer_id = scored.customer_id
    WHERE NOT unranked
    GROUP BY decile, x, T ORDER BY decile, x, T
    SETTINGS join_algorithm = 'full_sorting_merge'
"""


def _came(values: ValueRule) -> str:
    """SQL of what came of each decile of a forecast."""
    return f"""
    SELECT
        arrayFirstIndex(least_value -> future_value >= least_value, {{bounds:Array(Float64)}}) AS place,
        sum(if({MAY_LOSE}, ordered - refunded, greatest(ordered - refunded, 0)))
    FROM (
        SELECT customer_id, future_value FROM model_results
        WHERE data_date = {{made_on:Date}} AND lifecycle_stage_id < 5
    ) AS forecast
    INNER JOIN (
        SELECT customer_id, sumIf(amount, {IS_PURCHASE}) AS ordered,
            sumIf({values.given_back_sql}, {values.gives_back_sql}) AS refunded
        FROM transactions
        WHERE transaction_time >= toDateTime({{made_on:Date}} + 1, 'UTC') AND transaction_time < {queries.DAY_END}
        GROUP BY customer_id
    ) AS later ON later.customer_id = forecast.customer_id
    GROUP BY place
"""  # noqa: S608 - built from constants


def track(scope: Scope, data_date: date) -> None:
    """Keep the forecast of a Sunday, and what came of the forecasts whose weeks end with it."""
    if data_date.weekday() != SUNDAY:
        return
    deciles = _expected(scope, data_date)
    for days in HORIZONS:
        _keep(scope, data_date, days, [_part(decile, days) for decile in deciles])
        _meet(scope, data_date - timedelta(days=days), days, data_date)


def _expected(scope: Scope, data_date: date) -> list[dict[str, Any]]:
    """What is expected of each decile, the most valuable first, in each part of the year."""
    tables = {name: work.table(name, data_date) for name in ("scores", "features")}
    cells = scope.warehouse.arrow(EXPECTED.format(**tables), cell=CELL_DAYS)
    x, T, value = (floats(cells, name) for name in ("x", "T", "expected"))
    numbers, customers, least = (floats(cells, name) for name in ("decile", "customers", "least_value"))
    model = future.models_for(scope, data_date).models.purchases
    year = bgnbd.expected_if_alive(model, x, T, YEAR_WEEKS)
    parts = {days: value * bgnbd.expected_if_alive(model, x, T, days / 7) / year for days in HORIZONS}
    return [
        {
            "decile": int(number),
            "customers": int(customers[in_decile].sum()),
            "least_value": float(least[in_decile].min()),
            "expected": {days: round(float(part[in_decile].sum()), 2) for days, part in parts.items()},
        }
        for number in np.unique(numbers)
        for in_decile in [numbers == number]
    ]


def _part(decile: dict[str, Any], days: int) -> dict[str, Any]:
    return {**decile, "expected": decile["expected"][days]}


def _keep(scope: Scope, made_on: date, days: int, deciles: list[dict[str, Any]]) -> None:
    """Keep a forecast; one of the same date is replaced, and met again when its weeks have passed."""
    values = {"deciles": deciles, "met": False}
    statement = insert(Forecast).values(tenant_id=scope.tenant_id, made_on=made_on, days=days, **values)
    with scope.records() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "made_on", "days"], set_=values))


def _meet(scope: Scope, made_on: date, days: int, data_date: date) -> None:
    """Set what came beside a forecast, where there is one and its results are still kept."""
    with scope.records() as session:
        forecast = session.get(Forecast, (scope.tenant_id, made_on, days))
        if forecast is None:
            return
        came: dict[int, float] = defaultdict(float)
        parameters = {"made_on": made_on, "data_date": data_date}
        values = value_rule(scope)
        bounds = [decile["least_value"] for decile in forecast.deciles]
        for part in scope.warehouse.customer_slices("model_results", "transactions"):
            for number, value in part.rows(_came(values), bounds=bounds, **parameters, **values.parameters()):
                came[number] += value
        results_stored = "SELECT count() FROM model_results WHERE data_date = {made_on:Date}"
        if scope.warehouse.value(results_stored, made_on=made_on):
            met = ({**decile, "came": round(came[number], 2)} for number, decile in enumerate(forecast.deciles, 1))
            forecast.deciles, forecast.met = list(met), True


def met_forecasts(scope: Scope) -> list[Forecast]:
    """The forecasts that were met by what came, the newest first, then by days."""
    mine = select(Forecast).where(Forecast.tenant_id == scope.tenant_id, Forecast.met)
    with scope.reads() as session:
        return list(session.scalars(mine.order_by(Forecast.made_on.desc(), Forecast.days)))
