"""Which tenants something has changed for, whichever process changed it: for those who watch and need not ask again."""

from collections import Counter
from collections.abc import Sequence

import psycopg

from rapport.stores.opened import OpenStores
from rapport.stores.workers.rounds import RoundWorker

# What changes in many transactions is told of once.
GATHERED_SECONDS = 0.2


class TenantWatch(RoundWorker):
    """Counts the words of its topics by tenant. It works once somebody asks."""

    gathers = GATHERED_SECONDS

    def __init__(self, stores: OpenStores) -> None:
        super().__init__(stores)
        self._changes, self._beginnings = Counter[int](), 0

    def begun(self) -> None:
        """Changes may have been missed: everything may be another."""
        self._beginnings += 1

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """Count the changes that words tell of."""
        self._changes.update({int(word.payload) for word in words})
        return None

    def state(self, tenant_id: int) -> tuple[int, int]:
        """What is another one once something may have changed for the tenant."""
        self.start()
        return self._beginnings, self._changes[tenant_id]
