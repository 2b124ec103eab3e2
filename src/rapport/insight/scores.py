"""The scores of a date: stage, microsegment, future value, churn, ranks and value segment of every customer."""

from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.insight import future, trees, work
from rapport.insight.microsegments import microsegment_sql
from rapport.insight.stages import DORMANT_TYPE, PREVIOUS_STAGE_ID, STAGE_ID, STAGE_START, stage_rules
from rapport.insight.values import cuts

# P(alive) is equation (11) of the BG/NBD paper; no purchase in h more weeks, if alive, has the chance
# ((alpha + T) / (alpha + T + h)) ^ (r + x); spend is the Gamma-Gamma posterior mean.
SCORED = """
    SELECT
        feature.customer_id AS customer_id,
        lifecycle_stage_id,
        {previous} AS previous_stage_id,
        {start} AS stage_start,
        {dormant_type} AS dormant_type,
        toInt32(past_churns + (lifecycle_stage_id = 4)) AS times_churned,
        past_churn_days + if(lifecycle_stage_id = 4, days_since_last - {{churn_days:Int32}}, 0) AS days_in_churn,
        if(reactivation_day = toDate(0), NULL, days_since_reactivation) AS since_reactivation,
        {microsegment} AS microsegment_id,
        grid_x AS repeats,
        days_since_first / 7 AS weeks,
        {{r:Float64}} + repeats AS shape,
        pow(({{alpha:Float64}} + weeks) / ({{alpha:Float64}} + (last_day - first_day) / 7), shape) AS odds,
        if(repeats > 0, 1 / (1 + odds * {{a:Float64}} / ({{b:Float64}} + repeats - 1)), 1) AS alive,
        pow(({{alpha:Float64}} + weeks) / ({{alpha:Float64}} + weeks + {{churn_days:Int32}} / 7), shape) AS silent,
        {{p:Float64}} * ({{gamma:Float64}} + repeats * repeat_value)
            / ({{p:Float64}} * repeats + {{q:Float64}} - 1) AS spend,
        if(lifecycle_stage_id = 5, 0, alive * expected) AS expected_orders,
        {value} AS future_value,
        if(lifecycle_stage_id = 5, 0, 1 - alive * (1 - silent)) AS churn_probability
    FROM (
        SELECT *, {stage} AS lifecycle_stage_id, toUInt32(greatest(purchase_days - 1, 0)) AS grid_x,
            toUInt32(intDiv(days_since_first, {{cell:UInt32}})) AS grid_t
        FROM {features}
    ) AS feature
    LEFT JOIN {grid} AS grid ON grid.x = feature.grid_x AND grid.t = feature.grid_t{join}
"""
TREES = "\n    LEFT JOIN {trees} AS tree ON tree.customer_id = feature.customer_id"
# The share of customers, of all and of the stage, that are ranked before a customer, from 0. A frame of equals
# only lets the engine forget the rows that it has ranked, and few columns make the sort that may spill a small one.
RANKS = """
    SELECT
        customer_id,
        (rank() OVER (ORDER BY {column} DESC RANGE BETWEEN CURRENT ROW AND CURRENT ROW) - 1)
            / {{ranked:UInt64}} AS before,
        (rank() OVER (
            PARTITION BY lifecycle_stage_id ORDER BY {column} DESC RANGE BETWEEN CURRENT ROW AND CURRENT ROW
        ) - 1) / transform(lifecycle_stage_id, {{stages:Array(UInt8)}}, {{sizes:Array(UInt64)}}, 1) AS stage_before
    FROM {scored} WHERE lifecycle_stage_id != 5
"""
SIZES = "SELECT lifecycle_stage_id, count() FROM {scored} WHERE lifecycle_stage_id != 5 GROUP BY lifecycle_stage_id"
RANKED = """
    SELECT
        scored.customer_id AS customer_id,
        scored.* EXCEPT (customer_id),
        lifecycle_stage_id = 5 AS unranked,
        by_value.before AS value_before,
        by_value.stage_before AS stage_value_before,
        by_churn.before AS churn_before,
        by_churn.stage_before AS stage_churn_before,
        if(unranked, 0, toUInt8(arrayFirstIndex(cut -> value_before < cut, {{cuts:Array(Float64)}})))
            AS value_segment_id
    FROM {scored} AS scored
    LEFT JOIN {by_value} AS by_value ON by_value.customer_id = scored.customer_id
    LEFT JOIN {by_churn} AS by_churn ON by_churn.customer_id = scored.customer_id
"""


def score(scope: Scope, data_date: date) -> None:
    """Make the table of scores from the features and the fits that hold for the date."""
    scored = _fill_scored(scope, data_date)
    sizes = dict(scope.warehouse.rows(SIZES.format(scored=scored)))
    bound: dict[str, Any] = {"ranked": sum(sizes.values()), "stages": list(sizes), "sizes": list(sizes.values())}
    ranks = {
        name: work.fill(scope, name, data_date, RANKS.format(column=column, scored=scored), **bound)
        for name, column in (("by_value", "future_value"), ("by_churn", "churn_probability"))
    }
    read = (work.plain(name, data_date) for name in ("scored", *ranks))
    parts = scope.warehouse.customer_slices(*read)
    work.fill(scope, "scores", data_date, RANKED.format(scored=scored, **ranks), parts=parts, cuts=cuts(scope))


def _fill_scored(scope: Scope, data_date: date) -> str:
    """Make the table of scores but for the ranks; answers its quoted name."""
    purchases, spend, grown = future.models_for(scope, data_date)
    cell = future.fill_grid(scope, data_date, purchases)
    microsegment, bound = microsegment_sql(scope, data_date)
    value, join = "expected_orders * spend", ""
    if grown:
        join = TREES.format(trees=trees.fill_values(scope, data_date, grown))
        value = f"if(tree.customer_id != '', tree_value, {value})"
    scored = SCORED.format(
        previous=PREVIOUS_STAGE_ID,
        start=STAGE_START,
        dormant_type=DORMANT_TYPE,
        microsegment=microsegment,
        stage=STAGE_ID,
        value=value,
        features=work.table("features", data_date),
        grid=work.table("grid", data_date),
        join=join,
    )
    select = f"SELECT * EXCEPT (repeats, weeks, shape, odds, alive, silent, spend) FROM ({scored})"  # noqa: S608
    parameters: dict[str, Any] = {**vars(purchases), **vars(spend), **bound, **stage_rules(scope).parameters()}
    parts = scope.warehouse.customer_slices(*(work.plain(name, data_date) for name in ("features", "trees")))
    return work.fill(scope, "scored", data_date, select, parts=parts, data_date=data_date, cell=cell, **parameters)
