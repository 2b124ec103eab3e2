"""Gradient-boosted trees for the value of a year: what they see, how they are fitted, kept and asked.

Whether they score a stage is decided by the back-test. Everybody is scored in slices of bounded size.
"""

import pickle
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rapport.access.scope import Scope
from rapport.insight import work
from rapport.insight.arrow import floats
from rapport.insight.estimation.bgnbd import Floats
from rapport.insight.stages import STAGE_ID, stage_rules
from rapport.stores.warehouse import identifier
from rapport.stores.workflows import pickled

log = structlog.get_logger("rapport.insight")

SLICE_CUSTOMERS = 200_000
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
    "TOTAL_REFUND_AMOUNT",
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
SELECTED = ", ".join(f"toFloat64(ifNull({identifier(name)}, -1)) AS c{i}" for i, name in enumerate(COLUMNS))


def staged(features: str) -> str:
    """The buyers of a table of features with their stage."""
    return f"SELECT *, {STAGE_ID} AS lifecycle_stage_id FROM {features} WHERE purchase_days > 0"  # noqa: S608 - ours


def matrix(table: pa.Table) -> Floats:
    """The trees' columns of an Arrow answer, a row a customer."""
    return np.column_stack([floats(table, f"c{i}") for i in range(len(COLUMNS))])


def fitted(features: Floats, value: Floats) -> Any:
    """Trees trained on rows of features and the value that followed each."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # see clusters.fit_layer

    trees = HistGradientBoostingRegressor(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=16, min_samples_leaf=40, early_stopping=False, random_state=7
    )
    with threadpool_limits(limits=ONE_THREAD):
        return trees.fit(features, value)


def predict(trees: Any, features: Floats) -> Floats:
    """What is ordered in the next year, before refunds; never below nothing."""
    with threadpool_limits(limits=ONE_THREAD):
        predicted: NDArray[np.float64] = np.maximum(trees.predict(features), 0)
    return predicted


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
        SELECT customer_id, toFloat64(lifecycle_stage_id) AS stage, {SELECTED} FROM ({staged(features)})
        WHERE lifecycle_stage_id IN {{stages:Array(UInt8)}}
    """  # noqa: S608 - ours
    plain = work.plain("features", data_date)
    for part in scope.warehouse.customer_slices(plain, table=plain, at_most=SLICE_CUSTOMERS):
        customers = part.arrow(sql, stages=list(trees), **stage_rules(scope).parameters())
        if len(customers):
            stages, columns = floats(customers, "stage"), matrix(customers)
            values = np.zeros(len(customers))
            for stage_id, model in trees.items():
                in_stage = stages == stage_id
                values[in_stage] = predict(model, columns[in_stage]) if in_stage.any() else 0
            answer = pa.table({"customer_id": customers["customer_id"], "tree_value": pa.array(values)})
            scope.warehouse.insert_arrow(target, answer)
    return target
