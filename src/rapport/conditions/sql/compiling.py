"""Conditions as one SELECT over the profiles of the data date.

All attribute conditions share one scan of profiles; a history is a sub-select per condition, and
every value is bound, a list as one array, so that the text never grows with the data it lists.
In a WHERE a NULL counts as false, so only what stands under a negation is guarded against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapport.conditions.comparing import column_of, resolve_column
from rapport.conditions.histories.registry import history_named
from rapport.conditions.language.nodes import (
    AttributeIs,
    Condition,
    CustomerIs,
    Every,
    HistoryIs,
    InGroup,
    InList,
    Not,
    Reachable,
    Some,
)
from rapport.conditions.schema import Anchor, Schema
from rapport.conditions.sql.binding import Binder
from rapport.conditions.sql.history_conditions import customers_by_history
from rapport.conditions.sql.rendering import render
from rapport.stores.warehouse import identifier


@dataclass(frozen=True)
class Compiled:
    """A SELECT that gives customer_id, once a customer, and the values it binds.

    tables are those with a customer_id that it reads beside profiles, lists and members of groups.
    """

    sql: str
    parameters: dict[str, Any]
    tables: tuple[str, ...] = ()


def to_sql(condition: Condition, schema: Schema) -> Compiled:
    """The customers of the schema's data date of whom a condition is true.

    Raises Invalid when it names an unknown attribute or compares one with what does not fit its kind.
    """
    compiler = _Compiler(schema)
    where = compiler.sql(condition, guarded=False)
    data_date = compiler.binder.bind(schema.data_date.isoformat(), "Date")
    sql = f"SELECT customer_id FROM profiles WHERE data_date = {data_date} AND {where}"  # noqa: S608 - values are bound
    return Compiled(sql, compiler.binder.parameters, tuple(sorted(compiler.tables)))


def to_counts(conditions: Sequence[Condition], schema: Schema) -> Compiled:
    """One row, in one scan: of how many customers of the schema's data date each of some conditions is true.

    Raises Invalid as to_sql does.
    """
    compiler = _Compiler(schema)
    counts = ", ".join(f"countIf({compiler.sql(condition, guarded=False)})" for condition in conditions)
    data_date = compiler.binder.bind(schema.data_date.isoformat(), "Date")
    sql = f"SELECT {counts} FROM profiles WHERE data_date = {data_date}"  # noqa: S608 - values are bound
    return Compiled(sql, compiler.binder.parameters, tuple(sorted(compiler.tables)))


def to_expressions(conditions: Sequence[Condition], schema: Schema) -> tuple[list[str], dict[str, Any]]:
    """Boolean expressions over a row of profiles, one for each condition and never NULL, and the values they bind.

    Raises Invalid as to_sql does.
    """
    compiler = _Compiler(schema)
    return [compiler.sql(condition, guarded=True) for condition in conditions], compiler.binder.parameters


class _Compiler:
    """Compiles the nodes of one tree, binding as it goes."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.anchor = Anchor(schema.today, schema.data_date, schema.time_zone)
        self.binder = Binder()
        self.tables = set[str]()

    def sql(self, node: Condition, *, guarded: bool) -> str:
        """A boolean expression over a row of profiles; guarded ones are never NULL."""
        if isinstance(node, Every):
            return self._joined(node.parts, " AND ", guarded)
        if isinstance(node, Some):
            return self._joined(node.parts, " OR ", guarded)
        if isinstance(node, Not):
            return f"(NOT {self.sql(node.part, guarded=True)})"
        if isinstance(node, AttributeIs):
            return self._attribute(node, guarded)
        return self._customers(node)

    def _joined(self, parts: tuple[Condition, ...], word: str, guarded: bool) -> str:
        return f"({word.join(self.sql(part, guarded=guarded) for part in parts)})" if parts else "true"

    def _attribute(self, node: AttributeIs, guarded: bool) -> str:
        column = column_of(node, self.schema)
        resolved = resolve_column(node.comparison, column, self.anchor)
        return render(resolved, identifier(column.name), self.anchor, self.binder, guarded=guarded)

    def _customers(self, node: HistoryIs | InGroup | InList | CustomerIs | Reachable) -> str:
        if isinstance(node, HistoryIs):
            history = history_named(node.history)
            self.tables.update((history.table, *history.also_read))
            return customers_by_history(node, self.schema, self.anchor, self.binder)
        if isinstance(node, Reachable):
            table = self.schema.unreached(node.channel_id)
            self.tables.add(table)
            return f"customer_id NOT IN (SELECT customer_id FROM {identifier(table)})"  # noqa: S608 - a table of ours
        if isinstance(node, CustomerIs):
            return f"lowerUTF8(customer_id) IN {self.binder.bind(list(node.ids), 'Array(String)')}"
        if isinstance(node, InList):
            return f"customer_id IN (SELECT customer_id FROM customer_lists WHERE list_id = {self._id(node.list_id)})"  # noqa: S608 - ours
        return self._group(node)

    def _group(self, node: InGroup) -> str:
        data_date = self.binder.bind(self.schema.data_date.isoformat(), "Date")
        return (
            "customer_id IN (SELECT customer_id FROM target_group_members "  # noqa: S608 - values are bound
            f"WHERE data_date = {data_date} AND target_group_id = {self._id(node.group_id)})"
        )

    def _id(self, number: int) -> str:
        return self.binder.bind(number, "UInt32")
