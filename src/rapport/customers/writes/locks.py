"""Locks of a tenant in the records database: held by a connection, so a killed process lets go of them.

An outage of the records lets go of them too, while their holder works on. Nobody else of the process comes in then;
whoever puts a table in another's place notes it before by the session that has the lock, and another process that
takes the lock over drops what is noted: the exchange has taken place before it looks at anything, or never does.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from rapport.access.scope import Scope
from rapport.customers.agreeing import agree
from rapport.errors import Away, Unavailable
from rapport.stores.records import locks
from rapport.stores.records.connecting import LOCK_SECONDS, statements_within, unhurried
from rapport.stores.records.locks import Lock
from rapport.stores.warehouse import identifier

STILL = "SELECT 1"
NOTE = """
    INSERT INTO table_exchanges (tenant_id, name) SELECT :tenant_id, unnest(CAST(:names AS text[]))
    ON CONFLICT DO NOTHING
"""
NOTED = "SELECT name FROM table_exchanges WHERE tenant_id = :tenant_id"
FORGET = "DELETE FROM table_exchanges WHERE tenant_id = :tenant_id AND name = ANY(:names)"
BUSY = "Another write of this tenant takes very long: try again later."

# The locks of imports by kind.
IMPORTS_OF = {
    "customers": Lock.IMPORTS_OF_CUSTOMERS,
    "transactions": Lock.IMPORTS_OF_TRANSACTIONS,
    "items": Lock.IMPORTS_OF_ITEMS,
    "products": Lock.IMPORTS_OF_PRODUCTS,
    "activity": Lock.IMPORTS_OF_ACTIVITY,
}

# Who of this process has a lock, and the connections of those that are held, by tenant and lock.
_turns: defaultdict[tuple[int, Lock], threading.Lock] = defaultdict(threading.Lock)
_in_hand: dict[tuple[int, Lock], Connection] = {}


@contextmanager
def _connected(scope: Scope) -> Iterator[Connection]:
    with scope.stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def _registered(scope: Scope, connection: Connection, lock: Lock) -> Iterator[None]:
    """A lock that the connection has, for the length of the block; an outage may have let go of it before the end."""
    key = (scope.tenant_id, lock)
    _in_hand[key] = connection
    try:
        if lock == Lock.CUSTOMER_WRITES:
            drop_noted(scope, connection)
        yield
    finally:
        del _in_hand[key]
        locks.release(connection, lock, scope.tenant_id)


@contextmanager
def _turn(scope: Scope, lock: Lock) -> Iterator[None]:
    turn = _turns[scope.tenant_id, lock]
    if not turn.acquire(timeout=LOCK_SECONDS):
        raise Away(BUSY)
    try:
        yield
    finally:
        turn.release()


@contextmanager
def _locked(scope: Scope, lock: Lock) -> Iterator[Connection]:
    with _turn(scope, lock), _connected(scope) as connection:
        if not locks.take_if_free(connection, lock, scope.tenant_id):
            unhurried(connection)
            with statements_within(LOCK_SECONDS):
                locks.take(connection, lock, scope.tenant_id)
        with _registered(scope, connection, lock):
            yield connection


@contextmanager
def importing(scope: Scope, kind: str) -> Iterator[None]:
    """One import of a tenant and kind at a time, beside those of other kinds; waits for the one before."""
    with _locked(scope, IMPORTS_OF[kind]) as connection:
        if not locks.take_shared_if_free(connection, Lock.IMPORTS, scope.tenant_id):
            unhurried(connection)
            with statements_within(LOCK_SECONDS):
                locks.take_shared(connection, Lock.IMPORTS, scope.tenant_id)
        try:
            yield
        finally:
            locks.release_shared(connection, Lock.IMPORTS, scope.tenant_id)


@contextmanager
def no_imports(scope: Scope) -> Iterator[None]:
    """Held by whoever changes what imports go by, or what they have staged; waits for those under way."""
    with ExitStack() as stack:
        for lock in IMPORTS_OF.values():
            stack.enter_context(_turn(scope, lock))
        stack.enter_context(_locked(scope, Lock.IMPORTS))
        yield


@contextmanager
def writing(scope: Scope) -> Iterator[None]:
    """Held by whoever changes the tables of customers: imports while they swap, writes through the API.

    Take it around reading customers and swapping in what was built from them, so that no write in
    between is lost.
    """
    with _locked(scope, Lock.CUSTOMER_WRITES):
        yield


@contextmanager
def writing_if_free(scope: Scope) -> Iterator[bool]:
    """The same for a caller who comes again when it is held by another: whether it was free, and is held now."""
    turn = _turns[scope.tenant_id, Lock.CUSTOMER_WRITES]
    if not turn.acquire(blocking=False):
        yield False
        return
    try:
        with _connected(scope) as connection:
            if not locks.take_if_free(connection, Lock.CUSTOMER_WRITES, scope.tenant_id):
                yield False
                return
            with _registered(scope, connection, Lock.CUSTOMER_WRITES):
                yield True
    finally:
        turn.release()


def drop_noted(scope: Scope, connection: Connection) -> None:
    """Take from whoever had the lock of writes before what it was about to put in the place of a table.

    Nothing is noted unless it was ended or lost the lock in that moment. Where it had put its tables there already,
    the records are told what it could not tell them.
    """
    names = connection.execute(text(NOTED), {"tenant_id": scope.tenant_id}).scalars().all()
    if names:
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {', '.join(map(identifier, names))} SYNC")
        agree(scope)
        connection.execute(text(FORGET), {"tenant_id": scope.tenant_id, "names": list(names)})


@contextmanager
def replacing(scope: Scope, *aside: str) -> Iterator[None]:
    """Call it under writing(), around the one statement that puts tables aside in the places of those that are read.

    Raises Away, and nothing is put anywhere, when an outage has let go of the lock, so that others may have written.
    """
    connection = _in_hand[scope.tenant_id, Lock.CUSTOMER_WRITES]
    parameters = {"tenant_id": scope.tenant_id, "names": list(aside)}
    connection.execute(text(NOTE), parameters)
    try:
        yield
    except Exception:
        require_writing(scope)
        raise
    with suppress(SQLAlchemyError, Unavailable):  # whoever takes the lock next finds a name of no table
        connection.execute(text(FORGET), parameters)


def require_writing(scope: Scope) -> None:
    """Call it under writing(). Raises Away when an outage has let go of the lock, so that others may have written."""
    _in_hand[scope.tenant_id, Lock.CUSTOMER_WRITES].execute(text(STILL))
