"""Fitting the probability models to a table of features: on which aggregates, judged how, replaced by what."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import structlog

from rapport.access.scope import Scope
from rapport.customers.settings import value_rule
from rapport.insight.arrow import floats
from rapport.insight.estimation import bgnbd
from rapport.insight.estimation.bgnbd import Floats, Purchases, Spend

log = structlog.get_logger("rapport.insight")

MOST_CELLS = 50_000
CELL_DAYS = (1, 7, 28, 91, 364)
SPEND_SAMPLE = 50_000
FEWEST_REPEATERS = 40
MEAN_WITHIN = 1.2  # times; a fitted mean spend that is further from the data's is not that of a shop
LARGEST_SHARE = 10  # medians; what a customer's mean value may count for where the data are few
YEAR_WEEKS = 365 / 7
PAYOUT_WEIGHT = 100.0  # orders; what one customer was paid out is mostly luck, what all were is the margin

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
    SELECT toFloat64(purchase_days - 1) AS x, repeat_value AS m, TOTAL_ORDER_AMOUNT - x * m AS first FROM {table}
    WHERE purchase_days > 1 AND repeat_value > 0 ORDER BY sipHash64(customer_id), customer_id LIMIT {{size:UInt32}}
"""
# What was spent and given back, and the mean value of a purchase by customer, none above so many medians.
SPENT = """
    WITH (
        SELECT quantileDeterministic(TOTAL_ORDER_AMOUNT / purchase_days, sipHash64(customer_id)) FROM {table}
        WHERE purchase_days > 0
    ) AS median
    SELECT
        sum(TOTAL_ORDER_AMOUNT),
        sum(TOTAL_REFUND_AMOUNT),
        avg(least(TOTAL_ORDER_AMOUNT / purchase_days, {{most:UInt32}} * median))
    FROM {table} WHERE purchase_days > 0
"""


@dataclass(frozen=True)
class Models:
    """What scores customers where no trees do: both probability models, and the tenant's share of money kept.

    kept_weight is how many orders of a customer that share counts as much as.
    """

    purchases: Purchases
    spend: Spend
    kept: float = 1.0
    kept_weight: float = 1.0

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> "Models":
        """From the parameters of a stored fit; one that knew no refunds keeps all."""
        models = Purchases(**parameters["purchases"]), Spend(**parameters["spend"])
        return cls(*models, parameters.get("kept", 1.0), parameters.get("kept_weight", 1.0))

    def as_json(self) -> dict[str, Any]:
        """For the records."""
        return asdict(self)

    def share_kept(self, amount: Floats, refunded: Floats) -> Floats:
        """The share of orders to expect not to be given back, of customers with so much ordered and refunded.

        It lies between the customer's own share and the tenant's, which counts as much as kept_weight orders do.
        It is never below nothing, though customers may have won more than they paid.
        """
        own = self.kept_weight * self.spend.mean
        share: Floats = np.maximum((self.kept * own + amount - refunded) / (own + amount), 0)
        return share

    def year_value(self, x: Floats, t_x: Floats, T: Floats, amount: Floats, refunded: Floats) -> Floats:
        """The value of the next year net of refunds, as the scores have it; amount is that of all orders."""
        cells, back = np.unique(np.column_stack([x, T.round(1)]), axis=0, return_inverse=True)
        if_alive = bgnbd.expected_if_alive(self.purchases, cells[:, 0], cells[:, 1], YEAR_WEEKS)[back.ravel()]
        orders = bgnbd.probability_alive(self.purchases, x, t_x, T) * if_alive
        spend = bgnbd.expected_spend(self.spend, x + 1, amount / (x + 1))
        return orders * spend * self.share_kept(amount, refunded)


def fit_models(scope: Scope, features: str) -> tuple[Models, dict[str, Any]]:
    """The models for a table of features, and the report that goes with them."""
    cell = cell_days(scope, features)
    histogram = scope.warehouse.arrow(HISTOGRAM.format(table=features), cell=cell)
    x, t_x, T, weights = (floats(histogram, column) for column in ("x", "t_x", "T", "weight"))
    repeaters = int(weights[x > 0].sum())
    share_kept, mean = _spent(scope, features)
    weight = PAYOUT_WEIGHT if value_rule(scope).may_be_lost else 1.0
    report: dict[str, Any] = {"customers": int(weights.sum()), "repeat_customers": repeaters, "cell_days": cell}
    if repeaters < FEWEST_REPEATERS:
        return replace(_assumed(x, T, weights, mean, share_kept), kept_weight=weight), {**report, "fitted": False}
    purchases, likelihood, warnings = judged_purchases(x, t_x, T, weights)
    sample = scope.warehouse.arrow(REPEAT_SPEND.format(table=features), size=SPEND_SAMPLE)
    spend, more = judged_spend(*(floats(sample, name) for name in ("x", "m", "first")))
    report |= {"fitted": True, "log_likelihood": likelihood, "warnings": warnings + more}
    for warning in report["warnings"]:
        log.warning("the future value is fitted by a fallback", tenant_id=scope.tenant_id, reason=warning)
    return Models(purchases, spend, share_kept, weight), report


def judged_purchases(x: Floats, t_x: Floats, T: Floats, weight: Floats) -> tuple[Purchases, float, list[str]]:
    """BG/NBD of most likelihood, or steadied where a parameter runs to a bound; its log-likelihood; what was seen."""
    fitted, likelihood = bgnbd.fit_purchases(x, t_x, T, weight)
    if not bgnbd.at_bound(fitted.r, fitted.alpha, fitted.a, fitted.b):
        return fitted, float(likelihood), []
    steady = bgnbd.steadied_purchases(x, t_x, T, weight)
    logs = np.log([steady.r, steady.alpha, steady.a, steady.b])
    likelihood = -bgnbd.purchases_likelihood(x, t_x, T, weight)(logs)[0] * float(weight.sum())
    estimates = ", ".join(f"{name} = {value:.4g}" for name, value in asdict(fitted).items())
    return steady, float(likelihood), [f"BG/NBD alone ran to a bound ({estimates}); a wide prior steadies it."]


def judged_spend(x: Floats, m: Floats, first: Floats) -> tuple[Spend, list[str]]:
    """Gamma-Gamma of most likelihood, or by moments where that is no model of the data; and what was seen."""
    fitted, mean = bgnbd.fit_spend(x, m, np.ones(len(x))), float(m.mean())
    at_bound = bgnbd.at_bound(fitted.p, fitted.q - 1, fitted.gamma / mean)
    if not at_bound and mean / MEAN_WITHIN <= fitted.mean <= mean * MEAN_WITHIN:
        return fitted, []
    has_first = first > 0
    p = bgnbd.own_variation(x[has_first], m[has_first], first[has_first])
    why = "ran to a bound" if at_bound else f"has a mean of {fitted.mean:.4g} where the data's is {mean:.4g}"
    warning = (
        f"Gamma-Gamma alone {why} (p = {fitted.p:.4g}, q = {fitted.q:.4g}); the data's mean and spread replace it."
    )
    return bgnbd.steadied_spend(x, m, p), [warning]


def _spent(scope: Scope, features: str) -> tuple[float, float]:
    """The share of money that is not given back, and the mean value of a purchase that no giant order sets."""
    amount, refunded, mean = scope.warehouse.rows(SPENT.format(table=features), most=LARGEST_SHARE)[0]
    share_kept = max(1 - refunded / amount, 0.0) if amount else 1.0
    return float(share_kept), float(mean) if mean and np.isfinite(mean) else 1.0


def _assumed(x: Floats, T: Floats, weight: Floats, mean: float, share_kept: float) -> Models:
    """Models for too few repeat customers to learn from: the data's mean rate and value, wide variation."""
    rate = float(weight @ x + 1) / float(weight @ T + 52) if len(x) else 1 / 52
    return Models(Purchases(0.5, 0.5 / rate, 1.0, 4.0), Spend(3.0, 3.0, mean * 2 / 3), share_kept)


def cell_days(scope: Scope, features: str) -> int:
    """Days a side of a histogram cell: exact days while they give few cells, then weeks, then four weeks or more."""
    for cell in CELL_DAYS:
        if scope.warehouse.value(CELLS.format(table=features), cell=cell, most=MOST_CELLS) <= MOST_CELLS:
            return cell
    return CELL_DAYS[-1]
