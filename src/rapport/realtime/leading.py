"""Work that one process of a deployment does: whoever holds a lock on a connection of its own."""

from typing import Any

from sqlalchemy import Connection, Row, TextClause
from sqlalchemy.exc import SQLAlchemyError

from rapport.errors import Unavailable
from rapport.stores import Stores
from rapport.stores.locks import Leadership, Lock, take_if_free

FAULTS = (SQLAlchemyError, Unavailable)  # what the records raise when they are away


class Lead:
    """The lock of one kind of work. It is let go of when the connection ends, however that comes about."""

    def __init__(self, stores: Stores, leadership: Leadership) -> None:
        self._stores, self._leadership = stores, leadership
        self._connection: Connection | None = None

    def taken(self) -> bool:
        """Whether this process leads, as far as it knows; it tries to if it does not. Raises what the records raise."""
        return self._connection is not None or self._try()

    def ask(self, sql: TextClause, bound: dict[str, Any] | None = None) -> list[Row[Any]] | None:
        """The rows of a SELECT, which show that this process leads; None when it does not any more.

        They are read on the connection of the lock, so that nobody has to ask whether it is still there.
        """
        if self._connection is None:
            return None
        try:
            return list(self._connection.execute(sql, bound or {}))
        except FAULTS:
            self.give_up()
            return None

    def _try(self) -> bool:
        connection = self._stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            got = take_if_free(connection, Lock.LEADERS, self._leadership)
        except BaseException:
            connection.invalidate()
            raise
        if got:
            self._connection = connection
        else:
            connection.close()
        return got

    def give_up(self) -> None:
        """Let another process lead."""
        if self._connection is not None:
            # The connection must not go back to the pool with the lock.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
