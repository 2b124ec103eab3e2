"""What is known of a few customers when something is decided about them, read by key and never by a scan of all.

Attributes come from the current profile, of customers loaded since from their record. Only what the
conditions ask for is read: a statement for each history, as far back as its windows go.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.audiences import membership, queries
from rapport.audiences.lookups import lookups
from rapport.conditions import Column, Condition, Facts, Kind, Schema, load_histories
from rapport.conditions.language.nodes import AttributeIs, HistoryIs, InGroup, InList, Reachable, leaves
from rapport.customers import attributes as customer_attributes
from rapport.customers.states import STORED_SOURCES
from rapport.customers.writes import attribute_writes
from rapport.stores.warehouse import identifier

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = (Kind.TIME, Kind.INSTANT)
FLAGS = ("IS_TEST", "IS_BLOCKED", "IS_OPTIN")

CUSTOMERS = "SELECT customer_id, {columns} FROM customers WHERE customer_id IN {{ids:Array(String)}}"
MEMBERS = """
    SELECT customer_id, target_group_id FROM target_group_members
    WHERE (data_date, target_group_id) IN ({groups}) AND customer_id IN {{ids:Array(String)}}
"""
LISTED = """
    SELECT customer_id, list_id FROM customer_lists
    WHERE list_id IN {lists:Array(UInt32)} AND customer_id IN {ids:Array(String)}
"""


@dataclass
class Needs:
    """What has to be known: attributes by upper-case name, groups, lists, conditions over histories, channels."""

    attributes: set[str] = field(default_factory=lambda: set(FLAGS))
    groups: set[int] = field(default_factory=set)
    lists: set[int] = field(default_factory=set)
    histories: list[HistoryIs] = field(default_factory=list)
    channels: set[int] = field(default_factory=set)

    def of_condition(self, condition: Condition | None) -> None:
        """Add what a condition asks for."""
        for leaf in leaves(condition) if condition is not None else ():
            if isinstance(leaf, AttributeIs):
                self.attributes.add(leaf.name)
            elif isinstance(leaf, HistoryIs):
                self.histories.append(leaf)
            elif isinstance(leaf, InGroup):
                self.groups.add(leaf.group_id)
            elif isinstance(leaf, InList):
                self.lists.add(leaf.list_id)
            elif isinstance(leaf, Reachable):
                self.channels.add(leaf.channel_id)

    def add(self, others: "Needs") -> None:
        """Add what others need."""
        self.attributes |= others.attributes
        self.groups |= others.groups
        self.lists |= others.lists
        self.histories += [history for history in others.histories if history not in self.histories]
        self.channels |= others.channels


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A customer as the warehouse knows it; loaded is false for one that it does not know."""

    customer_id: str
    loaded: bool
    facts: Facts


def load(
    scope: Scope, schema: Schema, data_date: date | None, customer_ids: Iterable[str], needs: Needs, today: date
) -> dict[str, KnownCustomer]:
    """What is known of customers, by their id in lower case."""
    ids = {customer_id.lower(): customer_id for customer_id in customer_ids}
    if not ids:
        return {}
    columns = {name: schema.attributes[name] for name in sorted(needs.attributes) if name in schema.attributes}
    rows = _rows(scope, columns, data_date, ids)
    values = {key: _values(row[1:], columns) for key, row in rows.items()}
    spelled = {key: str(rows[key][0]) if key in rows else customer_id for key, customer_id in ids.items()}
    more = _more(scope, sorted(spelled[key] for key in rows), needs, schema, today)
    return {
        key: KnownCustomer(
            customer_id, key in rows, Facts(customer_id, today, values.get(key, {}), **more.get(customer_id, {}))
        )
        for key, customer_id in spelled.items()
    }


def _rows(
    scope: Scope, columns: Mapping[str, Column], data_date: date | None, ids: Mapping[str, str]
) -> dict[str, tuple[Any, ...]]:
    """customer_id and columns by lower-case id, in whatever case it is known.

    Most ids come as they are stored, so they are found by key; only the others are looked for by spelling.
    """
    rows = _of_ids(scope, columns, data_date, list(ids.values()))
    missing = [customer_id for key, customer_id in ids.items() if key not in rows]
    if missing:
        spelled = attribute_writes.spellings(scope, missing)
        rows |= _of_ids(
            scope, columns, data_date, [customer_id for customer_id in spelled.values() if customer_id not in missing]
        )
    return rows


def _of_ids(
    scope: Scope, columns: Mapping[str, Column], data_date: date | None, ids: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """The rows of ids as they are stored: of the profile, else of the record, which has what was not calculated."""
    rows: dict[str, tuple[Any, ...]] = {}
    if ids and data_date is not None:
        selected = [_selected(column) for column in columns.values()]
        rows = {row[0].lower(): row for row in lookups(scope.stores).profiles(scope, data_date, selected, ids)}
    others = [customer_id for customer_id in ids if customer_id.lower() not in rows]
    if others:
        written = {
            name for name, info in customer_attributes.attributes(scope).items() if info.source in STORED_SOURCES
        }
        stored = (_selected(column) if name in written else "NULL" for name, column in columns.items())
        sql = CUSTOMERS.format(columns=", ".join(stored))
        rows |= {row[0].lower(): row for row in scope.warehouse.rows(sql, ids=others)}
    return rows


def _selected(column: Column) -> str:
    """A column; times as a number, which no time zone of the process shifts."""
    name = identifier(column.name)
    return f"toUnixTimestamp64Micro(toDateTime64({name}, 6, 'UTC'))" if column.kind in TIMES else name


def _values(row: Sequence[Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    return {name: _typed(value, column) for (name, column), value in zip(columns.items(), row, strict=True)}


def _typed(value: Any, column: Column) -> Any:
    """A value as facts hold it: wall-clock times naive, instants aware."""
    if column.kind not in TIMES or value is None:
        return value
    at = EPOCH + timedelta(microseconds=value)
    return at if column.kind is Kind.INSTANT else at.replace(tzinfo=None)


def _more(scope: Scope, ids: Sequence[str], needs: Needs, schema: Schema, today: date) -> dict[str, dict[str, Any]]:
    """Histories, groups and lists of customers, as members of Facts."""
    members: dict[str, dict[str, Any]] = defaultdict(dict)
    if not ids:
        return members
    series_of = partial(_series_of, scope)
    for customer_id, rows in load_histories(scope.warehouse, ids, needs.histories, schema, today, series_of).items():
        members[customer_id]["histories"] = rows
    for name, pairs in (("groups", _groups(scope, ids, needs.groups)), ("lists", _lists(scope, ids, needs.lists))):
        numbers_by_customer: dict[str, set[int]] = defaultdict(set)
        for customer_id, number in pairs:
            numbers_by_customer[customer_id].add(int(number))
        for customer_id, numbers in numbers_by_customer.items():
            members[customer_id][name] = frozenset(numbers)
    return members


def _groups(scope: Scope, ids: Sequence[str], groups: Iterable[int]) -> list[tuple[Any, ...]]:
    """Membership as it was last computed of each group."""
    computed = membership.newest_snapshots(scope, groups) if groups else {}
    if not computed:
        return []
    snapshots = ", ".join(f"(toDate('{day.isoformat()}'), {int(number)})" for number, day in computed.items())
    return scope.warehouse.rows(MEMBERS.format(groups=snapshots), ids=list(ids))


def _lists(scope: Scope, ids: Sequence[str], lists: Iterable[int]) -> list[tuple[Any, ...]]:
    list_ids = sorted(lists)
    return scope.warehouse.rows(LISTED, ids=list(ids), lists=list_ids) if list_ids else []


def _series_of(scope: Scope, campaign_ids: Iterable[int]) -> dict[int, int]:
    """The series of campaigns by their ids."""
    parameters = {"tenant_id": scope.tenant_id, "campaigns": sorted(campaign_ids)}
    with scope.reads() as session:
        return {row[0]: row[1] for row in session.execute(text(queries.SERIES_OF_CAMPAIGNS), parameters)}
