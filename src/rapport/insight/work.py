"""Working tables of the daily model: one set a data date, made anew by every run and dropped at its end."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.stores.warehouse import Database, identifier

PREFIX = "work_"


def table(name: str, data_date: date) -> str:
    """The quoted name of a working table of a date, for SQL."""
    return identifier(plain(name, data_date))


def plain(name: str, data_date: date) -> str:
    """The name of a working table of a date, for a slice."""
    return f"{PREFIX}{name}_{data_date:%Y%m%d}"


def fill(
    scope: Scope,
    name: str,
    day: date,
    select: str,
    /,
    engine: str = "MergeTree ORDER BY customer_id",
    parts: Iterable[Database] = (),
    **parameters: Any,
) -> str:
    """Make a working table from a SELECT; a table left by an earlier run is replaced. Answers its quoted name.

    parts: slices of the database that together give the rows, for a SELECT that cannot hold all of them.
    """
    target = table(name, day)
    sql = f"CREATE OR REPLACE TABLE {target} ENGINE = {engine} AS {select}"
    for part in parts or (scope.warehouse,):
        part.execute(sql, None, **parameters)
        sql = f"INSERT INTO {target} {select}"
    return target


def drop(scope: Scope, day: date) -> None:
    """Drop the working tables of a date."""
    rows = scope.warehouse.rows(
        "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})",
        database=scope.warehouse.name,
        prefix=PREFIX,
    )
    tables = ", ".join(identifier(name) for (name,) in rows if name.endswith(f"_{day:%Y%m%d}"))
    if tables:
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {tables}")


def replace_partition(
    scope: Scope, name: str, day: date, columns: Sequence[str], selects: Iterable[tuple[Database, str, dict[str, Any]]]
) -> None:
    """Fill a table of the same shape from SELECTs with what they bind, and put it in the date's place at once.

    Each SELECT comes with the database, or the slice of it, that it reads. A date that is not published and of which
    there is nothing is filled where it is: nobody reads it yet, and what a kill leaves of it is replaced as any other.
    """
    listed = ", ".join(identifier(column) for column in columns)
    if _is_new(scope, name, day):
        for part, select, parameters in selects:
            part.execute(f"INSERT INTO {identifier(name)} ({listed}) {select}", None, **parameters)
        return
    aside = table(name, day)
    scope.warehouse.execute(f"CREATE OR REPLACE TABLE {aside} AS {identifier(name)}")
    for part, select, parameters in selects:
        part.execute(f"INSERT INTO {aside} ({listed}) {select}", None, **parameters)
    change = f"REPLACE PARTITION '{day:%Y-%m-%d}' FROM {aside}"
    if not scope.warehouse.value(f"SELECT count() FROM {aside}"):  # noqa: S608 - ours
        change = f"DROP PARTITION '{day:%Y-%m-%d}'"  # the engine refuses to put nothing in a partition's place
    scope.warehouse.execute(f"ALTER TABLE {identifier(name)} {change}")


def _is_new(scope: Scope, name: str, day: date) -> bool:
    """Whether a date is later than what is published, and a table has nothing of it."""
    published = scope.data_date()
    if published is not None and day <= published:
        return False
    rows = f"SELECT count() FROM {identifier(name)} WHERE data_date = {{day:Date}}"  # noqa: S608 - ours
    return not scope.warehouse.value(rows, day=day)
