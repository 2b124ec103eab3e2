"""Rows of a few customers, read together: whoever asks while a statement runs goes into the next one.

A statement costs some milliseconds however few customers it is about, and many callers ask for one customer each at
the same time. Nothing is kept: each caller gets what a statement read that began after the caller had asked.
"""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.stores import Stores

PROFILES = """
    SELECT {columns} FROM profiles
    WHERE data_date = {{data_date:Date}} AND customer_id IN {{ids:Array(String)}}
"""
# Of so many ids and columns a statement is still a quick one.
MOST_IDS, MOST_COLUMNS = 500, 100
# Who asks for more customers than these holds up nobody who asks for few.
FEW = 20

Rows = list[tuple[Any, ...]]


@dataclass(eq=False)
class _Asked:
    """What one caller waits for: rows of customers with SQL expressions; is_turn when it is to run the statement."""

    columns: Sequence[str]
    ids: Sequence[str]
    answered: threading.Event = field(default_factory=threading.Event)
    is_turn: bool = False
    is_failed: bool = True
    rows: Rows = field(default_factory=list)


@dataclass
class _Line:
    """Those who wait for the profiles of a tenant and data date, while a statement of one of them runs."""

    is_busy: bool = False
    waiting: list[_Asked] = field(default_factory=list)


class Lookups:
    """The callers of a process that ask for profiles of customers at the same time."""

    def __init__(self, stores: Stores) -> None:
        self._lines: defaultdict[tuple[int, date], _Line] = defaultdict(_Line)
        self._lock = threading.Lock()

    def profiles(self, scope: Scope, data_date: date, columns: Sequence[str], ids: Sequence[str]) -> Rows:
        """customer_id and SQL expressions over the profiles of a data date, of the ids that have one.

        Raises what the statement raises.
        """
        asked, key = _Asked(columns, ids), (scope.tenant_id, data_date)
        if len(ids) > FEW:
            return _read(scope, data_date, [asked])[0]
        with self._lock:
            line = self._lines[key]
            line.waiting.append(asked)
            asked.is_turn = not line.is_busy
            line.is_busy = True
        if not asked.is_turn:
            asked.answered.wait()
        if asked.is_turn:
            self._run(scope, data_date, line, asked)
        if asked.is_failed:  # by another's columns, perhaps
            asked.rows = _read(scope, data_date, [asked])[0]
        return asked.rows

    def stop(self) -> None:
        """There is nothing to end."""

    def _run(self, scope: Scope, data_date: date, line: _Line, own: _Asked) -> None:
        """Run the statement of all who wait, and give the turn to the first who came meanwhile."""
        with self._lock:
            together = _together(own, line.waiting)
            line.waiting = [asked for asked in line.waiting if asked not in together]
        try:
            for asked, rows in zip(together, _read(scope, data_date, together), strict=True):
                asked.rows, asked.is_failed = rows, False
        except Exception:
            if len(together) == 1:
                raise
        finally:
            self._next(scope.tenant_id, data_date, line)
            for asked in together:
                asked.answered.set()

    def _next(self, tenant_id: int, data_date: date, line: _Line) -> None:
        with self._lock:
            if line.waiting:
                line.waiting[0].is_turn = True
                line.waiting[0].answered.set()
            else:
                del self._lines[tenant_id, data_date]


def _together(own: _Asked, waiting: Sequence[_Asked]) -> list[_Asked]:
    """Whose questions one statement answers: the first of all is who runs it."""
    together, ids, columns = [own], set(own.ids), set(own.columns)
    for asked in waiting:
        if asked is own:
            continue
        if len(ids | set(asked.ids)) > MOST_IDS or len(columns | set(asked.columns)) > MOST_COLUMNS:
            break
        together.append(asked)
        ids.update(asked.ids)
        columns.update(asked.columns)
    return together


def _read(scope: Scope, data_date: date, together: Sequence[_Asked]) -> list[Rows]:
    """The rows of each who asks, read by one statement."""
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
