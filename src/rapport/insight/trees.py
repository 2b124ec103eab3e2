"""Gradient-boosted trees for the value of the next year: trained and back-tested a year ago, per lifecycle stage.

Where the data reach far enough back, the features of a bounded sample of customers as of a year ago
meet the value that the year since then brought. Three customers in ten are held out; on them the
trees and the BG/NBD model, fitted to the same past, are compared, and the one with the smaller root
mean squared error scores the stage. Everybody is scored in slices of bounded size.
"""

import pickle
from datetime import date, timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rapport.access.scope import Scope
from rapport.insight import bgnbd, queries, work
from rapport.insight.arrow import floats
from rapport.insight.bgnbd import Floats, Purchases, Spend
from rapport.insight.stages import BUYERS, STAGE_ID, stage_rules
from rapport.stores import pickled
from rapport.stores.warehouse import identifier

log = structlog.get_logger("rapport.insight")

YEAR_DAYS = 365
FEWEST_PAST_DAYS = 90  # of history before the year that is learned from
FEWEST_CUSTOMERS = 500  # of a stage
MOST_CUSTOMERS = 40_000
SLICE_CUSTOMERS = 200_000
HELD_OUT = 0.3
LIBRARY = "scikit-learn"
# What stored trees name: with any other, of another version of the libraries, they are fitted again.
PARTS = {
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.random._pcg64.PCG64",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
}
ONE_THREAD = 1  # threads of this library spin while they wait for each other, and starve beside other work

COLUMNS = (
    "purchase_days",
    "days_since_first",
    "days_since_last",
    "repeat_value",
    "past_churns",
    "past_churn_days",
    "NUMBER_OF_ORDERS",
    "NUMBER_OF_ORDERS_1M",
    "NUMBER_OF_ORDERS_3M",
    "NUMBER_OF_ORDERS_12M",
    "TOTAL_ORDER_AMOUNT",
    "TOTAL_ORDER_AMOUNT_3M",
    "TOTAL_ORDER_AMOUNT_12M",
    "AVERAGE_ORDER_AMOUNT",
    "LARGEST_ORDER_AMOUNT",
    "LAST_ORDER_AMOUNT",
    "TOTAL_DISCOUNT",
    "NUMBER_OF_PROMO_ORDERS",
    "AVERAGE_DAYS_BETWEEN_ORDERS",
    "NUMBER_OF_CATEGORIES",
    "NUMBER_OF_PRODUCTS",
    "NUMBER_OF_RETURNED_ITEMS",
    "NUMBER_OF_EVENTS_1M",
    "NUMBER_OF_EVENTS_3M",
    "DAYS_SINCE_LAST_EVENT",
    "CAMPAIGNS_RECEIVED_1M",
    "NUMBER_OF_OPENS_1M",
    "NUMBER_OF_CLICKS_1M",
)
_SELECTED = ", ".join(f"toFloat64(ifNull({identifier(name)}, -1)) AS c{i}" for i, name in enumerate(COLUMNS))


def _staged(features: str) -> str:
    return f"SELECT *, {STAGE_ID} AS lifecycle_stage_id FROM {features} WHERE purchase_days > 0"  # noqa: S608


def _year_later(past: str) -> str:
    """Past customers with what the models see of them and the value of the year that followed."""
    return f"""
        SELECT
            lifecycle_stage_id,
            toFloat64(purchase_days - 1) AS x,
            (last_day - first_day) / 7 AS t_x,
            days_since_first / 7 AS T,
            repeat_value AS m,
            ifNull(value, 0) AS value,
            {_SELECTED}
        FROM ({_staged(past)}) AS past
        LEFT JOIN (
            SELECT customer_id, sum(amount) AS value FROM transactions
            WHERE transaction_time >= toDateTime({{past_date:Date}} + 1, 'UTC')
              AND transaction_time < {queries.DAY_END} AND {queries.VALUE_TRANSACTION} AND {queries.SAMPLE}
            GROUP BY customer_id
        ) AS later ON later.customer_id = past.customer_id
        ORDER BY sipHash64(past.customer_id), past.customer_id
    """  # noqa: S608


def matrix(table: pa.Table) -> Floats:
    """The trees' columns of an Arrow answer, a row a customer."""
    return np.column_stack([floats(table, f"c{i}") for i in range(len(COLUMNS))])


def enough_history(scope: Scope, data_date: date) -> bool:
    """Whether there were customers to learn from a year and a season ago."""
    first = scope.warehouse.value("SELECT toDate(min(transaction_time)) FROM transactions")
    return first is not None and date(1970, 1, 1) < first <= data_date - timedelta(days=YEAR_DAYS + FEWEST_PAST_DAYS)


def train(scope: Scope, data_date: date) -> tuple[dict[int, Any], dict[str, Any]]:
    """The trees of the stages that they score better, and the back-test of every stage by its name."""
    past_date = data_date - timedelta(days=YEAR_DAYS)
    customers = int(scope.warehouse.value("SELECT count() FROM customers"))
    sample_of = max(1, -(-customers // MOST_CUSTOMERS))
    rules = stage_rules(scope)
    past = queries.fill_features(scope, "past", data_date, past_date, sample_of)
    chosen: dict[int, Any] = {}
    report: dict[str, Any] = {}
    bound = {"data_date": data_date, "past_date": past_date, "sample_of": sample_of, **rules.parameters()}
    found = scope.warehouse.arrow(_year_later(past), **bound)
    if len(found) == 0:
        return chosen, report
    rival = _rival(found)
    stages, features, value = floats(found, "lifecycle_stage_id"), matrix(found), floats(found, "value")
    for stage_id in BUYERS:
        here = stages == stage_id
        if here.sum() >= FEWEST_CUSTOMERS:
            trees, test = _compare(features[here], value[here], rival[here])
            report[rules.names()[stage_id]] = test
            if test["chosen"] == "trees":
                chosen[stage_id] = trees
    return chosen, report


def _rival(found: pa.Table) -> Floats:
    """What BG/NBD and Gamma-Gamma, fitted to the past alone, expect of the year."""
    x, t_x, T, m = (floats(found, column) for column in ("x", "t_x", "T", "m"))
    one, back = np.ones(len(x)), (x > 0) & (m > 0)
    if back.sum() < FEWEST_CUSTOMERS:
        return np.zeros(len(x))
    purchases, _ = bgnbd.fit_purchases(x, t_x, T, one)
    spend = bgnbd.fit_spend(x[back], m[back], one[back])
    return expected_value(purchases, spend, x, t_x, T, m)


def expected_value(purchases: Purchases, spend: Spend, x: Floats, t_x: Floats, T: Floats, m: Floats) -> Floats:
    """The value of the next year by both probability models, as the scores have it."""
    cells, back = np.unique(np.column_stack([x, T.round(1)]), axis=0, return_inverse=True)
    if_alive = bgnbd.expected_if_alive(purchases, cells[:, 0], cells[:, 1], YEAR_DAYS / 7)[back.ravel()]
    return bgnbd.probability_alive(purchases, x, t_x, T) * if_alive * bgnbd.expected_spend(spend, x, m)


def _fitted(features: Floats, value: Floats) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor  # see clusters.fit_layer

    trees = HistGradientBoostingRegressor(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=16, min_samples_leaf=40, early_stopping=False, random_state=7
    )
    with threadpool_limits(limits=ONE_THREAD):
        return trees.fit(features, value)


def _compare(features: Floats, value: Floats, rival: Floats) -> tuple[Any, dict[str, Any]]:
    """Trees trained on everybody, and how those trained on seven in ten did on the others against the rival."""
    held_out = np.arange(len(value)) < HELD_OUT * len(value)  # rows come in the order of a hash
    trial = predict(_fitted(features[~held_out], value[~held_out]), features[held_out])
    test: dict[str, Any] = {"customers": len(value), "held_out": int(held_out.sum())}
    test["mean_value"] = round(float(value[held_out].mean()), 4)
    test["trees"], test["bg_nbd"] = _errors(trial, value[held_out]), _errors(rival[held_out], value[held_out])
    better = test["trees"]["root_mean_squared_error"] < test["bg_nbd"]["root_mean_squared_error"]
    test["chosen"] = "trees" if better else "bg_nbd"
    return (_fitted(features, value) if better else None), test


def _errors(expected: Floats, value: Floats) -> dict[str, float]:
    wrong = expected - value
    return {
        "root_mean_squared_error": round(float(np.sqrt((wrong**2).mean())), 4),
        "mean_absolute_error": round(float(np.abs(wrong).mean()), 4),
        "bias": round(float(wrong.mean()), 4),
    }


def predict(trees: Any, features: Floats) -> Floats:
    """The value of the next year; never below nothing."""
    with threadpool_limits(limits=ONE_THREAD):
        found: NDArray[np.float64] = np.maximum(trees.predict(features), 0)
    return found


def packed(trees: dict[int, Any]) -> bytes | None:
    """Trees for the records, with the version of the library that can read them."""
    return pickle.dumps((version(LIBRARY), COLUMNS, trees)) if trees else None


def unpacked(blob: bytes | None) -> dict[int, Any]:
    """Trees from the records; none when another version of the library or of the columns wrote them.

    None either when they are anything but trees, as a backup of others may have them.
    """
    if not blob:
        return {}
    try:
        written_by, columns, trees = pickled.loads(blob, _is_of_trees)
    except pickled.Refused as error:
        log.error("stored trees are not used", reason=f"they name {error}")
        return {}
    return trees if (written_by, columns) == (version(LIBRARY), COLUMNS) else {}


def _is_of_trees(module: str, name: str) -> bool:
    """Whether trees are made of something."""
    return f"{module}.{name}" in PARTS


def fill_values(scope: Scope, data_date: date, trees: dict[int, Any]) -> str:
    """Make the table of the values that trees give to the customers of their stages; answers its quoted name."""
    empty = "SELECT '' AS customer_id, toFloat64(0) AS tree_value WHERE 0"
    target = work.fill(scope, "trees", data_date, empty)
    features = work.table("features", data_date)
    sql = f"""
        SELECT customer_id, toFloat64(lifecycle_stage_id) AS stage, {_SELECTED} FROM ({_staged(features)})
        WHERE lifecycle_stage_id IN {{stages:Array(UInt8)}}
    """  # noqa: S608
    plain = work.plain("features", data_date)
    for part in scope.warehouse.customer_slices(plain, of=plain, at_most=SLICE_CUSTOMERS):
        found = part.arrow(sql, stages=list(trees), **stage_rules(scope).parameters())
        if len(found):
            stages, columns = floats(found, "stage"), matrix(found)
            values = np.zeros(len(found))
            for stage_id, model in trees.items():
                here = stages == stage_id
                values[here] = predict(model, columns[here]) if here.any() else 0
            answer = pa.table({"customer_id": found["customer_id"], "tree_value": pa.array(values)})
            scope.warehouse.insert_arrow(target, answer)
    return target
