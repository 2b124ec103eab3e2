"""The leader: of the workers of a kind in a deployment, the one that holds a lock on a connection of its own."""

from typing import Any

from sqlalchemy import Connection, Row, TextClause
from sqlalchemy.exc import SQLAlchemyError

from rapport.errors import Unavailable
from rapport.stores.records import Records
from rapport.stores.records.locks import Leadership, Lock, take_if_free

FAULTS = (SQLAlchemyError, Unavailable)  # what the records raise when they are away


class LeadershipLost(Exception):
    """Another process may lead by now; this one must begin again."""


class Leader:
    """The lock of one kind of work. It is released when the connection ends, however that comes about."""

    def __init__(self, records: Records, leadership: Leadership) -> None:
        self._records, self._leadership = records, leadership
        self._connection: Connection | None = None

    @property
    def leads(self) -> bool:
        """Whether this process leads, as far as it knows."""
        return self._connection is not None

    def take(self) -> bool:
        """Lead unless another process does; whether this one leads, as far as it knows. Raises what the records do."""
        return self.leads or self._try()

    def ask(self, sql: TextClause, parameters: dict[str, Any] | None = None) -> list[Row[Any]]:
        """The rows of a SELECT, which show that this process leads. Raises LeadershipLost when it does not any more.

        They are read on the connection of the lock, so that nobody has to ask whether it is still there.
        """
        if self._connection is None:
            raise LeadershipLost
        try:
            return list(self._connection.execute(sql, parameters or {}))
        except FAULTS as error:
            self.give_up()
            raise LeadershipLost from error

    def give_up(self) -> None:
        """Let another process lead."""
        if self._connection is not None:
            # The connection must not go back to the pool with the lock.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _try(self) -> bool:
        connection = self._records.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            is_taken = take_if_free(connection, Lock.LEADERS, self._leadership)
        except BaseException:
            connection.invalidate()
            raise
        if is_taken:
            self._connection = connection
        else:
            connection.close()
        return is_taken
