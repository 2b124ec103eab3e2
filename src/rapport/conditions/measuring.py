"""Measures of a history: how their comparisons resolve, and what a customer without rows has."""

from dataclasses import replace
from decimal import Decimal

from rapport.conditions.comparing import Resolved, resolve
from rapport.conditions.histories import AMOUNT_SCALE, SOURCES, Measure, measure_kind
from rapport.conditions.nodes import Comparison, HistoryIs, Scalar
from rapport.conditions.schema import Anchor

AMOUNTS = (Measure.SUM, Measure.AVERAGE, Measure.MAXIMUM, Measure.MINIMUM)


def resolve_measure(node: HistoryIs, anchor: Anchor) -> Resolved:
    """The test of a history's measure; amounts are compared in ten-thousandths of the currency unit."""
    comparison = _scaled(node.comparison) if node.measure in AMOUNTS else node.comparison
    return resolve(comparison, measure_kind(SOURCES[node.source], node.measure), anchor)


def value_without_rows(measure: Measure) -> int | None:
    """The measure of no rows: 0 for a count or sum, nothing for the rest."""
    return 0 if measure in (Measure.COUNT, Measure.SUM) else None


def _scaled(comparison: Comparison) -> Comparison:
    value = comparison.value
    if isinstance(value, tuple):
        return replace(comparison, value=tuple(_times(one) for one in value))
    return comparison if value is None else replace(comparison, value=_times(value))


def _times(value: Scalar) -> Scalar:
    return value * AMOUNT_SCALE if isinstance(value, Decimal) else value
