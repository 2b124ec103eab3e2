"""The scores of a date: stage, microsegment, future value, churn, ranks and value segment of every customer."""

from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.insight import future, work
from rapport.insight.estimation import trees
from rapport.insight.microsegments import microsegment_sql, stage_sizes
from rapport.insight.stages import DORMANT, DORMANT_TYPE, PREVIOUS_STAGE_ID, STAGE_ID, STAGE_START, stage_rules
from rapport.insight.values import cuts

# P(alive) is equation (11) of the BG/NBD paper; no purchase in h more weeks, if alive, has the chance
# ((alpha + T) / (alpha + T + h)) ^ (r + x); spend is the Gamma-Gamma posterior mean of all purchases, the first too.
# The share of orders that is kept is fitting.Models.share_kept, the factor that of the back-test.
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
        {{p:Float64}} * ({{gamma:Float64}} + TOTAL_ORDER_AMOUNT)
            / ({{p:Float64}} * purchase_days + {{q:Float64}} - 1) AS spend,
        greatest(({{kept:Float64}} * {{kept_spend:Float64}} + NET_ORDER_AMOUNT)
            / ({{kept_spend:Float64}} + TOTAL_ORDER_AMOUNT), 0) AS share_kept,
        transform(lifecycle_stage_id, {{factor_stages:Array(UInt8)}}, {{factors:Array(Float64)}}, 1.) AS factor,
        if(lifecycle_stage_id = 5, 0, alive * expected) AS expected_orders,
        {value} * factor AS gross_value,
        gross_value * share_kept AS future_value,
        if(lifecycle_stage_id = 5, 0, 1 - alive * (1 - silent)) AS churn_probability
    FROM (
        SELECT *, {stage} AS lifecycle_stage_id, toUInt32(greatest(purchase_days - 1, 0)) AS grid_x,
            toUInt32(intDiv(days_since_first, {{cell:UInt32}})) AS grid_t
        FROM {features}
    ) AS feature
    LEFT JOIN {grid} AS grid ON grid.x = feature.grid_x AND grid.t = feature.grid_t{join}
"""
TREES = "\n    LEFT JOIN {trees} AS tree ON tree.customer_id = feature.customer_id"


def _before(group: str, column: str, size: str) -> str:
    """The share of the customers of a group that are ranked before a customer, from 0.

    Of customers alike half count as before: all of them have the middle of their ranks. A frame of equals only lets
    the engine forget the rows that it has ranked.
    """
    alike = f"(PARTITION BY {group} ORDER BY {column} DESC RANGE BETWEEN CURRENT ROW AND CURRENT ROW)"
    return f"(rank() OVER {alike} - 1 + (count() OVER {alike} - 1) / 2) / {size}"


_ALL = "lifecycle_stage_id = 5", "{ranked:UInt64}"
_STAGE = "lifecycle_stage_id", "transform(lifecycle_stage_id, {stages:Array(UInt8)}, {sizes:Array(UInt64)}, 1)"
# Without meaning for customers in Dormant, who are not ranked.
_RANKS = ",\n        ".join(
    f"{_before(group, column, size)} AS {name}"
    for name, (group, size), column in (
        ("value_before", _ALL, "future_value"),
        ("stage_value_before", _STAGE, "future_value"),
        ("churn_before", _ALL, "churn_probability"),
        ("stage_churn_before", _STAGE, "churn_probability"),
    )
)


def _ranked(columns: str, scored: str) -> str:
    """Columns of the scores, a table or a SELECT in brackets, with the ranks and what follows from them."""
    return f"""
    SELECT
        {columns},
        {_RANKS},
        lifecycle_stage_id = 5 AS unranked,
        if(unranked, 0, toUInt8(arrayFirstIndex(cut -> value_before < cut, {{cuts:Array(Float64)}})))
            AS value_segment_id
    FROM {scored}
    """  # noqa: S608 - ours


JOINED = """
    SELECT scored.customer_id AS customer_id, scored.* EXCEPT (customer_id), ranks.* EXCEPT (customer_id)
    FROM {scored} AS scored INNER JOIN {ranks} AS ranks ON ranks.customer_id = scored.customer_id
"""


def score(scope: Scope, data_date: date) -> None:
    """Make the table of scores from the features and the fits that hold for the date."""
    select, parameters = _scored(scope, data_date)
    parameters |= _of_ranks(scope, data_date)
    parts = list(scope.warehouse.customer_slices(*(work.plain(name, data_date) for name in ("features", "trees"))))
    if len(parts) == 1:
        ranked = _ranked("*", f"({select})")
        work.fill(scope, "scores", data_date, ranked, **parameters)
        return
    # Ranks are of everybody: few columns make the sort that may spill a small one.
    scored = work.fill(scope, "scored", data_date, select, parts=parts, **parameters)
    ranked = _ranked("customer_id", scored)
    ranks = work.fill(scope, "ranks", data_date, ranked, **parameters)
    parts = list(scope.warehouse.customer_slices(*(work.plain(name, data_date) for name in ("scored", "ranks"))))
    work.fill(scope, "scores", data_date, JOINED.format(scored=scored, ranks=ranks), parts=parts)


def _of_ranks(scope: Scope, data_date: date) -> dict[str, Any]:
    """What the SQL of the ranks binds."""
    sizes = {stage_id: size for stage_id, size in stage_sizes(scope, data_date).items() if stage_id != DORMANT}
    counted = {"ranked": sum(sizes.values()), "stages": list(sizes), "sizes": list(sizes.values())}
    return {**counted, "cuts": cuts(scope)}


def _scored(scope: Scope, data_date: date) -> tuple[str, dict[str, Any]]:
    """The SELECT of the scores but for the ranks, and what it binds."""
    scoring = future.models_for(scope, data_date)
    models = scoring.models
    cell = future.fill_grid(scope, data_date, models.purchases)
    microsegment, parameters = microsegment_sql(scope, data_date)
    value, join = "expected_orders * spend", ""
    if scoring.trees:
        join = TREES.format(trees=trees.fill_values(scope, data_date, scoring.trees))
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
    select = f"SELECT * EXCEPT (repeats, weeks, shape, odds, alive, silent, spend, share_kept, factor) FROM ({scored})"  # noqa: S608 - ours
    return select, {
        **vars(models.purchases),
        **vars(models.spend),
        "kept": models.kept,
        "kept_spend": models.kept_weight * models.spend.mean,
        "factor_stages": list(scoring.factors),
        "factors": list(scoring.factors.values()),
        **parameters,
        **stage_rules(scope).parameters(),
        "data_date": data_date,
        "cell": cell,
    }
