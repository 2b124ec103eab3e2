"""The connections to one mail server: each is used again until anything goes wrong on it.

A server that takes fewer connections than it may be given gets no more than it takes: whoever finds none free waits for
one of those.
"""

import threading
import time
from collections.abc import Callable

from rapport.channels.connection_faults import NO_CONNECTION, failure, is_away
from rapport.channels.connections import Connection

# After a connection could not be opened, none is opened for so many seconds. Where none is open either, messages fail
# at once instead of waiting in line.
DOWN_SECONDS = 2.0


class Down(Exception):
    """A mail server to which no connection could be opened a moment ago; away as in Receipt."""

    def __init__(self, reason: str, *, away: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


class ConnectionPool:
    """Connections of one server, for any number of threads; each has at most one at a time."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._idle: list[Connection] = []
        self._open = 0  # those that are being opened among them
        self._down_until = 0.0
        self._down = ("", False)

    def take(self, *, idle: bool) -> tuple[Connection, bool]:
        """A connection, and whether it was used before; unless an idle one will do, only where no other can be opened.

        Raises Down where none is open and none can be opened.
        """
        refused = False
        while True:
            with self._changed:
                if idle and self._idle:
                    return self._idle.pop(), True
                seconds = self._down_until - time.monotonic()
                if (refused or seconds > 0) and not self._open:
                    reason, away = self._down
                    raise Down(reason, away=away)
                if seconds > 0:
                    idle = True
                    if not self._idle:
                        self._changed.wait(seconds)
                    continue
                self._open += 1
            if (connection := self._opened()) is not None:
                return connection, False
            refused = idle = True

    def _opened(self) -> Connection | None:
        """A new connection, unless none can be opened."""
        try:
            return self._connect()
        except BaseException as error:
            with self._changed:
                self._open -= 1
                if isinstance(error, NO_CONNECTION):
                    self._down_until = time.monotonic() + DOWN_SECONDS
                    self._down = failure(error), is_away(error)
                self._changed.notify_all()
            if not isinstance(error, NO_CONNECTION):
                raise
            return None

    def give_back(self, connection: Connection) -> None:
        """Let others have a connection, unless it is worn or was left in doubt: then leave it."""
        if connection.usable and not connection.is_worn:
            with self._changed:
                self._idle.append(connection)
                self._changed.notify()
            return
        try:
            connection.quit()
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Leave the connections that nobody has."""
        with self._changed:
            leaving, self._idle = self._idle, []
            self._open -= len(leaving)
        for connection in leaving:
            connection.quit()
