"""Leases: at most one worker at a time carries out a piece of work.

The lock is PostgreSQL's own session lock, so that it is free the moment its holder dies and never runs out under a
holder that is only slow. What a holder writes on the connection that has the lock is written while it is held; what it
notes after an outage names what it had claimed (see delivery.outbox).
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, text

from rapport.access.scope import Scope
from rapport.stores.records import locks
from rapport.stores.workflows import work

T = TypeVar("T")
POLL_SECONDS = 0.1

TAKE = """
    INSERT INTO campaign_leases (tenant_id, name, acquired_at) VALUES (:tenant_id, :name, :at)
    ON CONFLICT (tenant_id, name) DO UPDATE SET acquired_at = :at
"""


class LeaseLost(RuntimeError):
    """Another worker has taken the work over; this one must stop."""


@dataclass(frozen=True)
class HeldLease:
    """A lease in hand. connection commits every statement by itself; it holds the lock."""

    connection: Connection
    tenant_id: int
    name: str

    def note(self, enter: Callable[[Connection], T]) -> T:
        """Enter what has happened outside, waiting while the records are away; what enter returns.

        It must be safe to repeat, and change nothing that somebody else has claimed since. Raises LeaseLost when
        another worker has the lock by now.
        """

        def entered() -> T:
            if self.connection.invalidated:  # an outage has let go of the lock
                self.connection.rollback()
                if not locks.take_if_free(self.connection, self._number):
                    raise LeaseLost(f"Another worker has taken over {self.name}.")
            return enter(self.connection)

        return work.waiting(entered, "campaigns.note", bounded=False)()

    @property
    def _number(self) -> int:
        return lock_number(self.tenant_id, self.name)


def lock_number(tenant_id: int, name: str) -> int:
    """The number of the session lock of a piece of work: 64 bits, signed."""
    digest = hashlib.blake2b(f"campaigns/{tenant_id}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


@contextmanager
def lease(scope: Scope, name: str) -> Iterator[HeldLease]:
    """Hold a piece of work for the length of the block, waiting while another worker holds it."""
    number = lock_number(scope.tenant_id, name)
    engine = scope.stores.records.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not locks.take_if_free(connection, number):
            time.sleep(POLL_SECONDS)
        try:
            at = scope.clock.now()
            connection.execute(text(TAKE), {"tenant_id": scope.tenant_id, "name": name, "at": at})
            yield HeldLease(connection, scope.tenant_id, name)
        finally:
            locks.release(connection, number)
