"""Histories of one customer in this process: loaded for a few customers, and measured over the facts of one."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from rapport.conditions.comparing import within
from rapport.conditions.evaluation.facts import Facts
from rapport.conditions.evaluation.passing import in_range
from rapport.conditions.histories.base import Happening, Reading
from rapport.conditions.histories.registry import histories, history_named
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.measures import Measure, value_without_rows
from rapport.conditions.purchases import ValueRule
from rapport.conditions.schema import Anchor, Kind, Schema
from rapport.stores.warehouse import Database

EARLIEST, ONE_DAY = date(1970, 1, 2), timedelta(days=1)

MEASURES: dict[Measure, Callable[[Sequence[Happening]], Any]] = {
    Measure.COUNT: len,
    Measure.SUM: lambda rows: sum(row.amount for row in rows),
    Measure.AVERAGE: lambda rows: sum(row.amount for row in rows) / len(rows),
    Measure.MAXIMUM: lambda rows: max(row.amount for row in rows),
    Measure.MINIMUM: lambda rows: min(row.amount for row in rows),
    Measure.FIRST_DATE: lambda rows: min(row.at for row in rows),
    Measure.LAST_DATE: lambda rows: max(row.at for row in rows),
}


def measured(node: HistoryIs, facts: Facts, anchor: Anchor, values: ValueRule) -> Any:
    """The value of a condition's measure: int, float, date, datetime, or None without rows."""
    history = history_named(node.history)
    window = within(node.window, history.time_kind, anchor)
    rows = [row for row in history.happenings(node, facts, values) if in_range(window, row.at)]
    return MEASURES[node.measure](rows) if rows else value_without_rows(node.measure)


def load_histories(
    warehouse: Database,
    customer_ids: Sequence[str],
    conditions: Sequence[HistoryIs],
    schema: Schema,
    today: date,
    series_of: Callable[[Collection[int]], Mapping[int, int]],
) -> dict[str, dict[str, list[Any]]]:
    """What conditions ask of the histories of a few customers: by customer and by name of the history, as Facts are.

    Each history is one statement or two, as far back as the conditions look. series_of gives the series of campaigns.
    """
    loaded: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for history in histories():
        nodes = [node for node in conditions if node.history == history.name]
        if nodes:
            reading = Reading(warehouse, customer_ids, nodes, _since(nodes, schema, today), series_of, schema.values)
            for customer_id, row in history.read(reading):
                loaded[customer_id][history.name].append(row)
    return loaded


def _since(nodes: Sequence[HistoryIs], schema: Schema, today: date) -> date:
    """The earliest day that a condition looks back to, with one to spare for time zones."""
    anchor = Anchor(today, today, schema.time_zone)
    first_days = [within(node.window, Kind.DATE, anchor).low or EARLIEST for node in nodes]
    return max(min(first_days), EARLIEST) - ONE_DAY
