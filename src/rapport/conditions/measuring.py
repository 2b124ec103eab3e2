"""How the comparison of a history's measure resolves."""

from dataclasses import replace
from decimal import Decimal

from rapport.conditions.comparing import Resolved, resolve
from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.literals import Scalar
from rapport.conditions.language.nodes import Comparison, HistoryIs
from rapport.conditions.measures import AMOUNT_SCALE, AMOUNTS, measure_kind
from rapport.conditions.schema import Anchor


def resolve_measure(node: HistoryIs, anchor: Anchor) -> Resolved:
    """The test of a history's measure; amounts are compared in ten-thousandths of the currency unit."""
    comparison = _scaled(node.comparison) if node.measure in AMOUNTS else node.comparison
    return resolve(comparison, measure_kind(history_named(node.history).time_kind, node.measure), anchor)


def _scaled(comparison: Comparison) -> Comparison:
    value = comparison.value
    if isinstance(value, tuple):
        return replace(comparison, value=tuple(_times(element) for element in value))
    return comparison if value is None else replace(comparison, value=_times(value))


def _times(value: Scalar) -> Scalar:
    return value * AMOUNT_SCALE if isinstance(value, Decimal) else value
