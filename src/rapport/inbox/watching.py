"""Which tenants' inboxes have changed, for those who watch one."""

from collections import Counter
from collections.abc import Sequence

import psycopg

from rapport.stores.opened import OpenStores
from rapport.stores.workers.listening import Topic
from rapport.stores.workers.rounds import RoundWorker

# Of a campaign to many customers the inboxes change in many transactions.
GATHERED_SECONDS = 0.2


class InboxWatch(RoundWorker):
    """Counts the changes of inboxes by tenant, whichever process makes them. It works once somebody asks."""

    name = "inbox watch"
    topics = (Topic.INBOX,)
    gathers = GATHERED_SECONDS

    def __init__(self, stores: OpenStores) -> None:
        super().__init__(stores)
        self._changes, self._beginnings = Counter[int](), 0

    def begun(self) -> None:
        """Changes may have been missed: every inbox may be another."""
        self._beginnings += 1

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """Count the changes that words tell of."""
        self._changes.update({int(word.payload) for word in words})
        return None

    def state(self, tenant_id: int) -> tuple[int, int]:
        """What is another one once an inbox of the tenant may have changed."""
        self.start()
        return self._beginnings, self._changes[tenant_id]
