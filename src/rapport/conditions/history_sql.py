"""Conditions over a history as sub-selects that give customer ids.

A customer without rows has a value too: 0 for a count or sum, none for the rest. When that value
passes the test, the answer is everybody except those whose rows fail it.
"""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from rapport.conditions.binding import Binder
from rapport.conditions.comparing import Within, within
from rapport.conditions.histories import (
    AMOUNT_SCALE,
    CONTROL_ACTION_ID,
    INTERACTIONS,
    LONGEST_LEAD,
    SOURCES,
    Filter,
    Measure,
)
from rapport.conditions.measuring import resolve_measure, value_without_rows
from rapport.conditions.nodes import HistoryIs
from rapport.conditions.passing import passes
from rapport.conditions.purchases import NO_VALUE_STATUSES, NO_VALUE_TYPES
from rapport.conditions.rendering import render, within_sql
from rapport.conditions.schema import Anchor, Kind, Schema

AMOUNT = f"toInt64(round(amount * {AMOUNT_SCALE}))"
ITEM_AMOUNT = f"sum(toInt64(round(quantity * unit_price * {AMOUNT_SCALE})))"
EPOCH, LEAD = date(1970, 1, 1), timedelta(days=LONGEST_LEAD)
ANY_ROW = Within(low=Decimal(1))
FILTER_COLUMNS = {
    "campaign": "campaign_id",
    "series": "campaign_id",
    "action": "action_id",
    "channel": "channel_id",
    "template": "template_id",
    "event": "event_id",
    "event_type": "event_type_id",
}


def customers_by_history(node: HistoryIs, schema: Schema, anchor: Anchor, binder: Binder) -> str:
    """A boolean expression over customer_id, never NULL."""
    resolved = resolve_measure(node, anchor)
    without_rows = passes(resolved, value_without_rows(node.measure), anchor)
    rows = _Rows(node, schema, anchor, binder)
    word = "NOT IN" if without_rows else "IN"
    if node.measure is Measure.COUNT and resolved.test == ANY_ROW:
        return f"customer_id {word} (SELECT customer_id FROM {rows.sql()})"  # noqa: S608
    kept = render(resolved, rows.measure(), anchor, binder)
    having = f"NOT {kept}" if without_rows else kept
    return f"customer_id {word} (SELECT customer_id FROM {rows.sql()} GROUP BY customer_id HAVING {having})"  # noqa: S608


class _Rows:
    """The rows of a history that pass the window and the filters of a condition."""

    def __init__(self, node: HistoryIs, schema: Schema, anchor: Anchor, binder: Binder) -> None:
        self.node, self.schema, self.binder = node, schema, binder
        self.source = SOURCES[node.source]
        self.window = within(node.window, self.source.time_kind, anchor)
        self.by_item = bool(node.filter("product") or node.filter("category"))

    def measure(self) -> str:
        """The aggregate of the condition's measure; amounts in ten-thousandths."""
        amount = "item_amount" if self.by_item else AMOUNT
        return {
            Measure.COUNT: "count()",
            Measure.SUM: f"sum({amount})",
            Measure.AVERAGE: f"sum({amount}) / count()",
            Measure.MAXIMUM: f"max({amount})",
            Measure.MINIMUM: f"min({amount})",
            Measure.FIRST_DATE: f"min({self.source.time_column})",
            Measure.LAST_DATE: f"max({self.source.time_column})",
        }[self.node.measure]

    def sql(self) -> str:
        """The FROM and WHERE of the rows."""
        parts = [self._in_window(self.source.time_column), *self._filters()]
        joined = f" INNER JOIN ({self._items()}) AS i USING (transaction_id)" if self.by_item else ""
        return f"{self.source.table}{joined} WHERE {' AND '.join(parts)}"

    def _in_window(self, column: str) -> str:
        return within_sql(self.window, self.source.time_kind, column, self.binder)

    def _processed(self) -> str:
        """What days campaigns of the window can have been processed on: both tables are in that order."""
        low = self.window.low and max(self.window.low, EPOCH + LEAD) - LEAD
        return within_sql(replace(self.window, low=low, strict=False), Kind.DATE, "execution_date", self.binder)

    def _filters(self) -> list[str]:
        named = [self._filter(name, values) for name, values in self.node.filters]
        special = {
            "transactions": self._counting_for_value,
            "activity": self._properties,
            "campaigns": self._outcome,
        }.get(self.node.source)
        return [part for part in (*named, *(special() if special else ())) if part]

    def _filter(self, name: str, values: tuple[object, ...]) -> str:
        kind = self.source.filters[name]
        if name in ("product", "category") or kind is Filter.OUTCOME:
            return ""
        if kind is Filter.TEXT:
            return f"lowerUTF8({name}) IN {self.binder.bind(list(values), 'Array(String)')}"
        numbers = list(values)
        if name == "series":
            numbers = [campaign for series in numbers for campaign in self.schema.campaigns_of(int(str(series)))]
        elif kind is Filter.INTERACTION:
            numbers = [INTERACTIONS[str(value)] for value in values]
        return f"{FILTER_COLUMNS[name]} IN {self.binder.bind(numbers, 'Array(UInt32)')}"

    def _counting_for_value(self) -> list[str]:
        parts = []
        if self.node.filter("status") is None:
            statuses = self.binder.bind(list(NO_VALUE_STATUSES), "Array(String)")
            parts.append(f"lowerUTF8(status) NOT IN {statuses}")
        if self.node.filter("type") is None:
            types = self.binder.bind(list(NO_VALUE_TYPES), "Array(String)")
            parts.append(f"lowerUTF8(type) NOT IN {types} AND amount > 0")
        return parts

    def _properties(self) -> list[str]:
        return [
            f"lowerUTF8(properties[{self.binder.bind(name, 'String')}]) "
            f"IN {self.binder.bind(list(values), 'Array(String)')}"
            for name, values in self.node.properties
        ]

    def _outcome(self) -> list[str]:
        outcomes = self.node.filter("outcome") or ("sent",)
        control = f"action_id = {CONTROL_ACTION_ID}"
        parts = {"control": control, "targeted": f"NOT {control}", "sent": ""}
        if "sent" in outcomes and "targeted" not in outcomes:
            parts["sent"] = (
                f"NOT {control} AND (campaign_id, customer_id, channel_id) IN (SELECT campaign_id, customer_id, "  # noqa: S608
                f"channel_id FROM campaign_outcomes WHERE {self._processed()} AND outcome = 'sent')"
            )
        return [self._processed(), f"({' OR '.join(f'({parts[name]})' for name in outcomes if parts[name])})"]

    def _items(self) -> str:
        parts = ["is_return = 0", self._in_window("transaction_time")]
        if products := self.node.filter("product"):
            parts.append(f"lowerUTF8(product_id) IN {self.binder.bind(list(products), 'Array(String)')}")
        if categories := self.node.filter("category"):
            names = self.binder.bind(list(categories), "Array(String)")
            parts.append(f"product_id IN (SELECT product_id FROM products WHERE lowerUTF8(category) IN {names})")  # noqa: S608
        return (
            f"SELECT transaction_id, {ITEM_AMOUNT} AS item_amount FROM transaction_items "  # noqa: S608
            f"WHERE {' AND '.join(parts)} GROUP BY transaction_id"
        )
