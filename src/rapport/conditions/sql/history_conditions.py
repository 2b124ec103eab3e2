"""Conditions over a history as sub-selects that give customer ids.

A customer without rows has a value too: 0 for a count or sum, none for the rest. When that value
passes the test, the answer is everybody except those whose rows fail it.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from rapport.conditions.comparing import Within, within
from rapport.conditions.evaluation.passing import passes
from rapport.conditions.histories.base import History, Query
from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.measures import Measure, value_without_rows
from rapport.conditions.measuring import resolve_measure
from rapport.conditions.schema import Anchor, Schema
from rapport.conditions.sql.binding import Binder
from rapport.conditions.sql.rendering import render

ANY_ROW = Within(low=Decimal(1))
# The aggregate of a measure; amounts are in ten-thousandths.
AGGREGATES: dict[Measure, Callable[[History[Any], Query], str]] = {
    Measure.COUNT: lambda history, query: "count()",
    Measure.SUM: lambda history, query: f"sum({history.amount_sql(query)})",
    Measure.AVERAGE: lambda history, query: f"sum({history.amount_sql(query)}) / count()",
    Measure.MAXIMUM: lambda history, query: f"max({history.amount_sql(query)})",
    Measure.MINIMUM: lambda history, query: f"min({history.amount_sql(query)})",
    Measure.FIRST_DATE: lambda history, query: f"min({history.time_column})",
    Measure.LAST_DATE: lambda history, query: f"max({history.time_column})",
}


def customers_by_history(node: HistoryIs, schema: Schema, anchor: Anchor, binder: Binder) -> str:
    """A boolean expression over customer_id, never NULL."""
    history, resolved = history_named(node.history), resolve_measure(node, anchor)
    without_rows = passes(resolved, value_without_rows(node.measure), anchor)
    query = Query(node, schema, within(node.window, history.time_kind, anchor), history.time_kind, binder)
    rows = f"{history.from_sql(query)} WHERE {' AND '.join(_conditions(history, query))}"
    word = "NOT IN" if without_rows else "IN"
    if node.measure is Measure.COUNT and resolved.test == ANY_ROW:
        return f"customer_id {word} (SELECT customer_id FROM {rows})"  # noqa: S608 - values are bound
    measure_passes = render(resolved, AGGREGATES[node.measure](history, query), anchor, binder)
    having = f"NOT {measure_passes}" if without_rows else measure_passes
    return f"customer_id {word} (SELECT customer_id FROM {rows} GROUP BY customer_id HAVING {having})"  # noqa: S608 - ours


def _conditions(history: History[Any], query: Query) -> Iterator[str]:
    """What the rows must meet: the window, the filters, the properties, and the rules of the history."""
    yield query.in_window(history.time_column)
    filters = history.filter_by_name
    for name, values in query.node.filters:
        if column := filters[name].column:
            yield query.among(column, filters[name], values)
    for name, values in query.node.properties:
        yield query.texts(f"{history.properties}[{query.binder.bind(name, 'String')}]", values)
    yield from history.rules_sql(query)
