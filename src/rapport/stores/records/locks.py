"""Advisory locks of the records database: every number in use, and the statements that take and release them.

A lock is named by a class and a key within it, most often a tenant, or by one number of 64 bits. That of a session is
held until it is released or its connection ends, that of a transaction until the transaction ends. Processes of other
releases may run on the same records, so no number may change.
"""

from collections.abc import Sequence
from enum import IntEnum, unique
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import Connection, Row, TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from rapport.errors import Unavailable

# A psycopg connection is one that belongs to no pool.
Asked = Connection | Session | psycopg.Connection[Any]


@unique
class Lock(IntEnum):
    """The classes of locks, with what the key is; MIGRATIONS is a number by itself."""

    IMPORTS = 7001  # tenant; imports share it, each with the lock of its kind
    CUSTOMER_WRITES = 7002  # tenant
    # Tenant. Event types have had the number of accepted writes from the start: each waits for the other in vain, but
    # briefly, since both are of transactions.
    WRITES_AND_EVENT_TYPES = 7003
    INTERACTIONS = 7011  # tenant
    IMPORTS_OF_CUSTOMERS = 7021  # tenant, as of the next four
    IMPORTS_OF_TRANSACTIONS = 7022
    IMPORTS_OF_ITEMS = 7023
    IMPORTS_OF_PRODUCTS = 7024
    IMPORTS_OF_ACTIVITY = 7025
    LEADERS = 7100  # a Leadership
    VISITOR_MERGES = 7102  # tenant
    ROLES = 7300  # the number of a role
    PROCESS_NAMES = 7301  # hash of a name
    MIGRATIONS = 7_246_773


class Leadership(IntEnum):
    """Work that one process of a deployment does: keys of Lock.LEADERS."""

    PROCESSOR = 1
    FILER = 2
    MAIL_EVENTS = 3
    SMS = 4


HOLDERS = """
    SELECT objid, count(*) AS sessions FROM pg_locks
    WHERE classid = {lock} AND locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY objid
"""


def take(connection: Asked, *key: int) -> None:
    """Wait for a lock, and hold it for the session."""
    _call(connection, "pg_advisory_lock", key)


def take_if_free(connection: Asked, *key: int) -> bool:
    """Hold a lock for the session unless another session does; whether this one holds it."""
    return bool(_call(connection, "pg_try_advisory_lock", key))


def take_shared(connection: Asked, *key: int) -> None:
    """Hold a lock for the session beside others that share it."""
    _call(connection, "pg_advisory_lock_shared", key)


def take_shared_if_free(connection: Asked, *key: int) -> bool:
    """The same unless a session holds it alone; whether this one shares it now."""
    return bool(_call(connection, "pg_try_advisory_lock_shared", key))


def take_for_transaction(connection: Connection | Session, *key: int) -> None:
    """Wait for a lock, and hold it until the transaction ends."""
    _call(connection, "pg_advisory_xact_lock", key)


def take_name_for_transaction(connection: Connection | Session, name: str) -> None:
    """The same for a lock whose number is the hash of a name."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def take_names_for_transaction(connection: Connection | Session, names: Sequence[str]) -> None:
    """The same of several names, one after the other."""
    each = "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(CAST(:names AS text[])) AS names (name)"
    connection.execute(text(each), {"names": list(names)})


def share_name_for_transaction(connection: Connection | Session, name: str) -> None:
    """The same beside others that share it."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"), {"name": name})


def take_name_if_free(connection: psycopg.Connection[Any], lock: Lock, name: str) -> bool:
    """take_if_free() of the key that is the hash of a name."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (lock, name)).fetchone()
    return bool(row and row[0])


def release(connection: Connection, *key: int) -> None:
    """Release a lock of the session. An outage may have done so: nobody can use the connection any more then."""
    _let_go(connection, "pg_advisory_unlock", key)


def release_shared(connection: Asked, *key: int) -> None:
    """The same of a lock that the session shares."""
    if isinstance(connection, Connection):
        _let_go(connection, "pg_advisory_unlock_shared", key)
    else:
        _call(connection, "pg_advisory_unlock_shared", key)


def _let_go(connection: Connection, function: str, key: Sequence[int]) -> None:
    try:
        _call(connection, function, key)
    except (SQLAlchemyError, Unavailable):
        connection.invalidate()


def release_all(connection: Asked) -> None:
    """Release every lock of the session."""
    _call(connection, "pg_advisory_unlock_all", ())


def holders(connection: Asked, lock: Lock) -> dict[int, int]:
    """How many sessions hold a class of locks, by key; keys that nobody holds are missing."""
    sql = HOLDERS.format(lock=int(lock))
    rows: Sequence[Row[Any] | tuple[Any, ...]]
    if isinstance(connection, psycopg.Connection):
        rows = connection.execute(sql.encode()).fetchall()
    else:
        rows = connection.execute(text(sql)).all()
    return {int(key): int(sessions) for key, sessions in rows}


def keep_locks(first: Connection, second: Connection, number: int) -> bool:
    """Whether two connections are sessions of their own, which keep their locks from one statement to the next.

    number is one that nobody else locks. Behind a pooler of transactions they are one session to the server, or a
    connection is another session at its next statement.
    """
    parameters = {"number": number}
    mine = first.execute(text("SELECT pg_backend_pid() FROM pg_advisory_lock(:number)"), parameters).scalar_one()
    is_shared = take_if_free(second, number)
    is_same = first.execute(text("SELECT pg_backend_pid()")).scalar_one() == mine
    for connection in (first, second):
        release_all(connection)
    return is_same and not is_shared


@cache
def _statement(function: str, numbers: int) -> TextClause:
    return text(f"SELECT {function}({', '.join(f':n{n}' for n in range(numbers))})")


def _call(connection: Asked, function: str, key: Sequence[int]) -> Any:
    numbers = [int(number) for number in key]
    if isinstance(connection, psycopg.Connection):
        marks = ", ".join(["%s"] * len(numbers))
        row = connection.execute(f"SELECT {function}({marks})".encode(), numbers).fetchone()
        return row and row[0]
    parameters = {f"n{n}": number for n, number in enumerate(numbers)}
    return connection.execute(_statement(function, len(numbers)), parameters).scalar()
