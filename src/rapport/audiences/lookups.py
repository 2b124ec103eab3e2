"""Rows of a few customers, read together: whoever asks while a statement runs goes into the next one.

A statement costs some milliseconds however few customers it is about, and many callers ask for one customer each at
the same time. Nothing is kept: each caller gets what a statement read that began after the caller had asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.stores import Stores
from rapport.stores.gathering import Gathering

# A few granules of a few columns: to plan how to read them and to hand them to threads takes longer than to read them.
PROFILES = """
    SELECT {columns} FROM profiles
    PREWHERE data_date = {{data_date:Date}} AND customer_id IN {{ids:Array(String)}}
    SETTINGS max_threads = 1, local_filesystem_read_method = 'pread'
"""
# Of so many ids and columns a statement is still a quick one.
MOST_IDS, MOST_COLUMNS = 500, 100
# Who asks for more customers than these holds up nobody who asks for few.
FEW = 20

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class _Asked:
    """What one caller asks for: rows of customers of a data date with SQL expressions."""

    scope: Scope
    data_date: date
    columns: Sequence[str]
    ids: Sequence[str]


class Lookups:
    """The callers of a process that ask for profiles of customers at the same time."""

    def __init__(self, stores: Stores) -> None:
        self._gathering: Gathering[_Asked, Rows] = Gathering("lookups", _read, _fitting)

    def profiles(self, scope: Scope, data_date: date, columns: Sequence[str], ids: Sequence[str]) -> Rows:
        """customer_id and SQL expressions over the profiles of a data date, of the ids that have one.

        Raises what the statement raises.
        """
        asked = _Asked(scope, data_date, columns, ids)
        if len(ids) > FEW:
            return _read([asked])[0]
        return self._gathering.ask((scope.tenant_id, data_date), asked)

    def stop(self) -> None:
        """Let the threads end."""
        self._gathering.stop()


def _fitting(waiting: Sequence[_Asked]) -> int:
    """How many of the first questions one statement answers."""
    ids, columns = set(waiting[0].ids), set(waiting[0].columns)
    for count, asked in enumerate(waiting):
        ids.update(asked.ids)
        columns.update(asked.columns)
        if count and (len(ids) > MOST_IDS or len(columns) > MOST_COLUMNS):
            return count
    return len(waiting)


def _read(together: Sequence[_Asked]) -> list[Rows]:
    """The rows of each who asks, of the same tenant and data date, read by one statement."""
    scope, data_date = together[0].scope, together[0].data_date
    columns = sorted({column for asked in together for column in asked.columns})
    ids = sorted({customer_id for asked in together for customer_id in asked.ids})
    sql = PROFILES.format(columns=", ".join(["customer_id", *columns]))
    row_by_id = {row[0]: row for row in scope.warehouse.rows(sql, ids=ids, data_date=data_date)}
    places = {column: place for place, column in enumerate(columns, 1)}
    return [
        [
            (customer_id, *(row_by_id[customer_id][places[column]] for column in asked.columns))
            for customer_id in dict.fromkeys(asked.ids)
            if customer_id in row_by_id
        ]
        for asked in together
    ]


def lookups(stores: Stores) -> Lookups:
    """Those of this process for an installation."""
    return stores.workers.only(Lookups, stores)
