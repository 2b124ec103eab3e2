"""Pickles that lie in the records, read so that none of them can call anything but what it is made of.

A pickle may name any function to be called, so whoever writes one for a backup would run commands at its restore.
"""

import base64
import enum
import io
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, text

from rapport.errors import Invalid
from rapport.stores.records import Records
from rapport.stores.records.connecting import unhurried

Allowed = Callable[[str, str], bool]
# Where durable work keeps what it was given, what came of it, and what went wrong.
COLUMNS = text("""
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'dbos' AND data_type = 'text'
        AND column_name IN ('inputs', 'output', 'error', 'value', 'message', 'context')
""")
FAULT = "error"
# Of packages whose errors a step may have ended with.
ERRORS_OF = {"builtins", "rapport", "dbos", "sqlalchemy", "psycopg", "clickhouse_connect"}
FORGOTTEN = base64.b64encode(pickle.dumps(RuntimeError("What went wrong is not known after the restore."))).decode()


class Refused(Exception):
    """A pickle that names something it may not."""


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes, allowed: Allowed) -> None:
        super().__init__(io.BytesIO(content))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if not self._allowed(module, name):
            raise Refused(f"{module}.{name}")
        return super().find_class(module, name)


def loads(content: bytes, allowed: Allowed) -> Any:
    """What a pickle holds. allowed: whether it may name a member of a module.

    Raises Refused, and any error for what is no pickle.
    """
    return _Reader(content, allowed).load()


def require_plain(records: Records) -> None:
    """See to it that durable work of a restored backup holds names, numbers and errors only. Raises Invalid.

    An error of another kind is forgotten: it says what went wrong, and nothing goes on from it.
    """
    with records.engine.begin() as connection:
        unhurried(connection)
        for table, column in connection.execute(COLUMNS).all():
            refused = [row_id for row_id, value in _values(connection, table, column) if not _is_plain(value)]
            if refused and column != FAULT:
                raise Invalid("The backup was changed: its durable work contains more than names and numbers.")
            forget = text(f"UPDATE dbos.{table} SET {column} = :value WHERE ctid = CAST(:row_id AS tid)")  # noqa: S608 - of the schema
            for row_id in refused:
                connection.execute(forget, {"value": FORGOTTEN, "row_id": row_id})


def _values(connection: Connection, table: str, column: str) -> Iterator[tuple[str, str]]:
    """Place and value of each row that has one, without holding all of them."""
    sql = f"SELECT CAST(ctid AS text), {column} FROM dbos.{table} WHERE {column} IS NOT NULL"  # noqa: S608 - of the schema
    yield from connection.execute(text(sql), execution_options={"yield_per": 1000})


def _is_plain(value: str) -> bool:
    try:
        loads(base64.b64decode(value), _is_error)
    except Refused:
        return False
    except Exception:  # no pickle, or a broken one, which calls nothing either
        return True
    return True


def _is_error(module: str, name: str) -> bool:
    """Whether it is an error, or a member of an enum that an error has; of modules that are loaded already."""
    loaded = getattr(sys.modules.get(module), name, None)
    return (
        module.partition(".")[0] in ERRORS_OF
        and isinstance(loaded, type)
        and issubclass(loaded, (Exception, enum.Enum))
    )
