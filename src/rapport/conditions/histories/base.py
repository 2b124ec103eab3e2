"""What a history is: everything in which conditions about one differ from those about another, in one object."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, ClassVar, Generic

from rapport.conditions.comparing import Within
from rapport.conditions.evaluation.facts import Facts
from rapport.conditions.histories.filters import Filter, Row
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.measures import AMOUNT_SCALE, WITHOUT_AMOUNT, Measure
from rapport.conditions.purchases import USUAL, ValueRule
from rapport.conditions.schema import Kind, Schema
from rapport.conditions.sql.binding import Binder
from rapport.conditions.sql.rendering import within_sql
from rapport.conditions.text import fold
from rapport.stores.warehouse import Database

# SQL of the customers whose rows are read; the statement binds their ids.
OF_CUSTOMERS = "customer_id IN {ids:Array(String)}"


@dataclass(frozen=True)
class Query:
    """A condition over a history that becomes SQL: window is the range of times that it leaves, binder takes values."""

    node: HistoryIs
    schema: Schema
    window: Within
    time_kind: Kind
    binder: Binder

    def in_window(self, column: str) -> str:
        """SQL of whether a column lies in the window."""
        return within_sql(self.window, self.time_kind, column, self.binder)

    def among(self, column: str, filter_: Filter[Any], values: Sequence[Any]) -> str:
        """SQL of whether a column is one of a filter's values."""
        stored = filter_.values.stored(values, self.schema)
        return f"{filter_.values.sql(column)} IN {self.binder.bind(stored, filter_.values.array_type)}"

    def texts(self, column: str, values: Iterable[str], word: str = "IN") -> str:
        """SQL of whether a column is one of some folded texts."""
        return f"lowerUTF8({column}) {word} {self.binder.bind(list(values), 'Array(String)')}"


@dataclass(frozen=True)
class Reading:
    """What is asked of the rows of a few customers: their ids as stored, the conditions over the history, and the day
    since which rows matter. series_of gives the series of campaigns, values what types of transactions count as."""

    warehouse: Database
    customer_ids: Sequence[str]
    nodes: Sequence[HistoryIs]
    since: date
    series_of: Callable[[Collection[int]], Mapping[int, int]]
    values: ValueRule = USUAL

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement that binds ids and since."""
        return self.warehouse.rows(sql, ids=list(self.customer_ids), since=self.since, **parameters)

    def filter_values(self, name: str) -> list[Any]:
        """The values of a filter that any condition asks for; none when one asks for all."""
        values = [node.filter(name) for node in self.nodes]
        return sorted({value for listed in values for value in listed or ()}) if all(values) else []


@dataclass(frozen=True, slots=True)
class Happening:
    """When a row was, and its amount in ten-thousandths of the currency unit (0 where it has none)."""

    at: date | datetime
    amount: int = 0


class History(ABC, Generic[Row]):
    """What customers did, or what was done to them, as conditions ask about it. Nobody outside knows which there are.

    name is the member `history` of a condition, title what sentences call its rows. table holds them, also_read are
    other tables with a customer_id that its SQL reads; time_column is the SQL of when a row was, of time_kind.
    properties is the column of texts by name that `where` may ask for, if there is one. description says in documents
    which rows count.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    table: ClassVar[str]
    also_read: ClassVar[tuple[str, ...]] = ()
    time_column: ClassVar[str]
    time_kind: ClassVar[Kind]
    measures: ClassVar[tuple[Measure, ...]] = WITHOUT_AMOUNT
    filters: ClassVar[tuple[Filter[Any], ...]] = ()
    properties: ClassVar[str] = ""

    @cached_property
    def filter_by_name(self) -> dict[str, Filter[Row]]:
        """The filters by their names."""
        return {filter_.name: filter_ for filter_ in self.filters}

    # All customers, as SQL

    def from_sql(self, query: Query) -> str:
        """The FROM of the rows."""
        return self.table

    def amount_sql(self, query: Query) -> str:
        """The amount of a row, in ten-thousandths of the currency unit."""
        raise NotImplementedError(f"{self.title} have no amount")

    def rules_sql(self, query: Query) -> Iterable[str]:
        """What else rows must meet, beside the window, the filters with a column and the properties."""
        return ()

    # One customer, in this process

    @abstractmethod
    def happening(self, node: HistoryIs, row: Row, values: ValueRule) -> Happening | None:
        """What a row that passes filters and properties counts as; None when a rule leaves it out.

        values says what types of transactions count as.
        """

    def happenings(self, node: HistoryIs, facts: Facts, values: ValueRule) -> Iterator[Happening]:
        """What counts of a customer's rows, at whatever time it was."""
        by_name = self.filter_by_name
        filters = [(by_name[name], accepted) for name, accepted in node.filters]
        for row in facts.histories.get(self.name, ()):
            if all(filter_.passes(row, accepted) for filter_, accepted in filters) and self._has(node, row):
                happening = self.happening(node, row, values)
                if happening is not None:
                    yield happening

    def _has(self, node: HistoryIs, row: Any) -> bool:
        return all(fold(row.properties.get(name, "")) in values for name, values in node.properties)

    # A few customers, from the warehouse

    @abstractmethod
    def read(self, reading: Reading) -> Iterable[tuple[str, Row]]:
        """The rows of customers since a day, each with the id of its customer."""


def scaled(amount: float) -> int:
    """An amount in ten-thousandths of the currency unit."""
    return round(amount * AMOUNT_SCALE)
