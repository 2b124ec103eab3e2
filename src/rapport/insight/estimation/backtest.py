"""The back-test of the future value: a year ago, by cross-validation, between the models that would score.

The features of a bounded sample of customers as of a year ago meet the value, net of refunds, that the
year since then brought. BG/NBD and Gamma-Gamma are fitted to that past alone, by the very rules of a fit that scores;
trees are trained on all folds but one and judged on that one. Each is brought to the mean of the
other folds, as it would be to that of all. Trees score a stage where they are better by more than chance.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.conditions.purchases import IS_PURCHASE, MAY_LOSE, ValueRule
from rapport.customers.settings import value_rule
from rapport.insight import queries
from rapport.insight.arrow import floats
from rapport.insight.estimation import trees
from rapport.insight.estimation.bgnbd import Floats
from rapport.insight.estimation.fitting import FEWEST_REPEATERS, fit_models
from rapport.insight.settings import InsightSettings
from rapport.insight.stages import BUYERS, stage_rules

Ints = NDArray[np.integer[Any]]

YEAR_DAYS = 365
FEWEST_PAST_DAYS = 90  # of history before the year that is learned from
FEWEST_FOR_TREES = 500  # customers of a stage
FEWEST_TESTED = 50  # customers of a stage
MOST_CUSTOMERS = 30_000
FOLDS = 2
MARGIN, ERRORS_CLEAR = 0.02, 2.0  # of the deviance, and standard errors of its difference, that trees must win by
CAUTION = 50  # customers as expected, who hold the factor of a stage near 1
LARGEST_FACTOR = 2.0
LEAST_EXPECTED = 0.01  # of the mean; where nothing is expected and something comes, the deviance has no end

BOUGHT_BEFORE = f"""
    SELECT count() FROM (
        SELECT DISTINCT customer_id FROM transactions
        WHERE transaction_time < toDateTime({{day:Date}} + 1, 'UTC') AND {IS_PURCHASE}
        LIMIT {{most:UInt32}}
    )
"""  # noqa: S608 - built from constants


@dataclass
class BackTest:
    """What the back-test decided: trees and factors by stage, its report by the stage's name, or why there is none."""

    trees: dict[int, Any] = field(default_factory=dict)
    factors: dict[int, float] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class Stage:
    """Past customers of a stage: what trees see, what they ordered in the year, what they kept, what is expected."""

    features: Floats
    ordered: Floats
    net: Floats
    kept: Floats
    rival: Floats


def _year_later(past: str, values: ValueRule) -> str:
    """Past customers with what the models see of them and the value of the year that followed."""
    since = f"""transaction_time >= toDateTime({{past_date:Date}} + 1, 'UTC')
              AND transaction_time < {queries.DAY_END} AND {queries.SAMPLE}"""
    return f"""
        SELECT
            lifecycle_stage_id,
            toFloat64(purchase_days - 1) AS x,
            (last_day - first_day) / 7 AS t_x,
            days_since_first / 7 AS T,
            TOTAL_ORDER_AMOUNT AS amount,
            TOTAL_REFUND_AMOUNT AS refunded,
            ifNull(bought, 0) AS ordered,
            ordered - ifNull(given_back, 0) AS left_over,
            if({MAY_LOSE}, left_over, greatest(left_over, 0)) AS net,
            {trees.SELECTED}
        FROM ({trees.staged(past)}) AS past
        LEFT JOIN (
            SELECT customer_id, sum(amount) AS bought FROM transactions
            WHERE {since} AND {IS_PURCHASE} GROUP BY customer_id
        ) AS later ON later.customer_id = past.customer_id
        LEFT JOIN (
            SELECT customer_id, sum({values.given_back_sql}) AS given_back FROM transactions
            WHERE {since} AND {values.gives_back_sql} GROUP BY customer_id
        ) AS refunds ON refunds.customer_id = past.customer_id
        ORDER BY sipHash64(past.customer_id), past.customer_id
    """  # noqa: S608 - ours


def back_test(scope: Scope, data_date: date) -> BackTest:
    """The back-test of the models that a fit of the date would score with, by stage."""
    past_date = data_date - timedelta(days=YEAR_DAYS)
    season = past_date - timedelta(days=FEWEST_PAST_DAYS)
    bound = {"day": season, "most": FEWEST_REPEATERS, **value_rule(scope).parameters()}
    if scope.warehouse.value(BOUGHT_BEFORE, **bound) < FEWEST_REPEATERS:
        return BackTest(reason=f"Fewer than {FEWEST_REPEATERS} customers had bought by {season}.")
    rules = stage_rules(scope)
    outcome = BackTest()
    for stage_id, stage in _stages(scope, data_date, past_date).items():
        factor, grown, report = compare(stage, grow=tenant_settings(scope, InsightSettings).trees)
        outcome.factors[stage_id], outcome.report[rules.names()[stage_id]] = factor, report
        if grown is not None:
            outcome.trees[stage_id] = grown
    if not outcome.report:
        outcome.reason = f"No stage had {FEWEST_TESTED} customers on {past_date}."
    return outcome


def _stages(scope: Scope, data_date: date, past_date: date) -> dict[int, Stage]:
    """The stages of a year ago that are worth a test."""
    customers = int(scope.warehouse.value("SELECT count() FROM customers"))
    sample_of = max(1, -(-customers // MOST_CUSTOMERS))
    past = queries.fill_features(scope, "past", data_date, past_date, sample_of)
    parameters = {"data_date": data_date, "past_date": past_date, "sample_of": sample_of}
    values = value_rule(scope)
    parameters |= values.parameters()
    buyers = scope.warehouse.arrow(_year_later(past, values), **parameters, **stage_rules(scope).parameters())
    if len(buyers) == 0:
        return {}
    models, _ = fit_models(scope, past)
    x, t_x, T, amount, refunded = (floats(buyers, name) for name in ("x", "t_x", "T", "amount", "refunded"))
    everybody = Stage(
        trees.matrix(buyers),
        floats(buyers, "ordered"),
        floats(buyers, "net"),
        models.share_kept(amount, refunded),
        models.year_value(x, t_x, T, amount, refunded),
    )
    return _split(everybody, buyers)


def _split(everybody: Stage, buyers: pa.Table) -> dict[int, Stage]:
    ids = floats(buyers, "lifecycle_stage_id")
    masks = {stage_id: ids == stage_id for stage_id in BUYERS}
    return {
        stage_id: Stage(*(part[mask] for part in vars(everybody).values()))
        for stage_id, mask in masks.items()
        if mask.sum() >= FEWEST_TESTED
    }


def compare(stage: Stage, *, grow: bool) -> tuple[float, Any, dict[str, Any]]:
    """The factor of a stage, the trees that score it or None, and what is to be told of both models."""
    fold = np.arange(len(stage.net)) % FOLDS  # rows come in the order of a hash
    report: dict[str, Any] = {
        "customers": len(stage.net),
        "folds": FOLDS,
        "mean_value": round(float(stage.net.mean()), 4),
        "bg_nbd": errors(_at_level(stage.rival, stage.net, fold), stage.net),
        "chosen": "bg_nbd",
    }
    factor = level(stage.rival, stage.net)
    report["bg_nbd"]["bias_before"] = round(float((stage.rival - stage.net).mean()), 4)
    grown = None
    if grow and len(stage.net) >= FEWEST_FOR_TREES:
        trial = _out_of_fold(stage, fold)
        report["trees"] = errors(_at_level(trial, stage.net, fold), stage.net)
        if clearly_better(_at_level(trial, stage.net, fold), _at_level(stage.rival, stage.net, fold), stage.net):
            grown, factor = trees.fitted(stage.features, stage.ordered), level(trial, stage.net)
            report["chosen"] = "trees"
    report["factor"] = round(factor, 4)
    return factor, grown, report


def _out_of_fold(stage: Stage, fold: Ints) -> Floats:
    """What trees expect of each customer who was not among those that they were trained on, net of refunds."""
    expected = np.zeros(len(stage.net))
    for number in range(FOLDS):
        in_fold = fold == number
        expected[in_fold] = trees.predict(
            trees.fitted(stage.features[~in_fold], stage.ordered[~in_fold]), stage.features[in_fold]
        )
    return expected * stage.kept


def level(expected: Floats, value: Floats) -> float:
    """What brings expectations to the mean that came; near 1 for few customers, and never far from it."""
    steady = CAUTION * float(expected.mean())
    total = float(expected.sum()) + steady
    factor = (float(value.sum()) + steady) / total if total > 0 else 1.0
    return min(max(factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR)


def _at_level(expected: Floats, value: Floats, fold: Ints) -> Floats:
    """Expectations of each fold brought to the level of the other folds."""
    levelled = np.zeros(len(value))
    for number in range(FOLDS):
        in_fold = fold == number
        levelled[in_fold] = expected[in_fold] * level(expected[~in_fold], value[~in_fold])
    return levelled


def deviances(expected: Floats, value: Floats) -> Floats:
    """The Tweedie deviance of power 1.5 (a Poisson number of gamma values) of each customer."""
    root = np.sqrt(np.maximum(expected, max(LEAST_EXPECTED * float(value.mean()), 1e-9)))
    deviance: Floats = 4 * (np.sqrt(np.maximum(value, 0)) - root) ** 2 / root
    return deviance


def clearly_better(trial: Floats, rival: Floats, value: Floats) -> bool:
    """Whether a trial's deviance is smaller than a rival's by the margin, and by more than chance would have it."""
    theirs = deviances(rival, value)
    gain = theirs - deviances(trial, value)
    error = float(gain.std() / np.sqrt(len(value)))
    return float(gain.mean()) > max(MARGIN * float(theirs.mean()), ERRORS_CLEAR * error)


def errors(expected: Floats, value: Floats) -> dict[str, float]:
    """How far expectations were from what came, a customer."""
    wrong = expected - value
    return {
        "root_mean_squared_error": round(float(np.sqrt((wrong**2).mean())), 4),
        "mean_absolute_error": round(float(np.abs(wrong).mean()), 4),
        "bias": round(float(wrong.mean()), 4),
        "deviance": round(float(deviances(expected, value).mean()), 4),
    }
