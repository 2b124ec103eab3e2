"""Leases: at most one worker at a time carries out a piece of work, and a late one cannot write.

The lock is PostgreSQL's own session lock, so that it is free the moment its holder dies and never
runs out under a holder that is only slow. The fencing token grows with every holder; writes that
name it have no effect once somebody else has taken over.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from rapport.access.scope import Scope
from rapport.stores.records import locks
from rapport.stores.workflows import work

POLL_SECONDS = 0.1

TAKE = """
    INSERT INTO campaign_leases (tenant_id, name, token, acquired_at) VALUES (:tenant_id, :name, 1, :at)
    ON CONFLICT (tenant_id, name) DO UPDATE SET token = campaign_leases.token + 1, acquired_at = :at
    RETURNING token
"""


class LeaseLost(RuntimeError):
    """Another worker has taken the work over; this one must stop."""


@dataclass(frozen=True)
class Held:
    """A lease in hand. connection commits every statement by itself; it holds the lock."""

    connection: Connection
    tenant_id: int
    name: str
    token: int

    def note(self, statement: str, bound: dict[str, Any]) -> int:
        """Enter what has happened outside, waiting while the records are away; how many rows that changed.

        The statement must be safe to repeat and name the token. Raises LeaseLost when somebody else took the work
        over meanwhile.
        """

        def enter() -> int:
            if self.connection.invalidated:  # an outage has let go of the lock
                self.connection.rollback()
                if not locks.take_if_free(self.connection, self._number):
                    raise LeaseLost(f"Another worker has taken over {self.name}.")
            return self.connection.execute(text(statement), bound).rowcount

        return work.waiting(enter, "campaigns.note", bounded=False)()

    @property
    def _number(self) -> int:
        return lock_number(self.tenant_id, self.name)


def lock_number(tenant_id: int, name: str) -> int:
    """The number of the session lock of a piece of work: 64 bits, signed."""
    digest = hashlib.blake2b(f"campaigns/{tenant_id}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


@contextmanager
def lease(scope: Scope, name: str) -> Iterator[Held]:
    """Hold a piece of work for the length of the block, waiting while another worker holds it."""
    number = lock_number(scope.tenant_id, name)
    engine = scope.stores.records.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not locks.take_if_free(connection, number):
            time.sleep(POLL_SECONDS)
        try:
            at = scope.clock.now()
            taken = connection.execute(text(TAKE), {"tenant_id": scope.tenant_id, "name": name, "at": at})
            yield Held(connection, scope.tenant_id, name, taken.scalar_one())
        finally:
            locks.release(connection, number)
