"""Locks of a tenant in the records database: held by a connection, so a killed process lets go of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from rapport.access.scope import Scope

IMPORTS = 7001
CUSTOMER_WRITES = 7002
LOCK = "SELECT pg_advisory_lock(:lock, :tenant_id)"
LOCK_IF_FREE = "SELECT pg_try_advisory_lock(:lock, :tenant_id)"
UNLOCK = "SELECT pg_advisory_unlock(:lock, :tenant_id)"


@contextmanager
def _held(scope: Scope, lock: int) -> Iterator[None]:
    bound = {"lock": lock, "tenant_id": scope.tenant_id}
    with scope.stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(LOCK), bound)
        try:
            yield
        finally:
            connection.execute(text(UNLOCK), bound)


@contextmanager
def importing(scope: Scope) -> Iterator[None]:
    """One import of a tenant at a time; waits for the one before."""
    with _held(scope, IMPORTS):
        yield


@contextmanager
def writing(scope: Scope) -> Iterator[None]:
    """Held by whoever changes the tables of customers: imports while they swap, writes through the API.

    Take it around reading customers and swapping in what was built from them, so that no write in
    between is lost.
    """
    with _held(scope, CUSTOMER_WRITES):
        yield


@contextmanager
def writing_if_free(scope: Scope) -> Iterator[bool]:
    """The same for a caller who comes again when it is held by another: whether it was free, and is held now."""
    bound = {"lock": CUSTOMER_WRITES, "tenant_id": scope.tenant_id}
    with scope.stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        free = bool(connection.execute(text(LOCK_IF_FREE), bound).scalar())
        try:
            yield free
        finally:
            if free:
                connection.execute(text(UNLOCK), bound)
