"""The filer: the thread that files for the whole deployment, in rounds of about a second."""

import time
from collections.abc import Sequence

import psycopg
import structlog
from sqlalchemy import select, text

from rapport.access.scope import Scope, scope_of
from rapport.realtime.events.joining import join
from rapport.realtime.events.names import Names
from rapport.realtime.models import Firing
from rapport.realtime.recording.ended_firings import file_ended
from rapport.realtime.recording.warehouse_batches import AT_ONCE, file_batch
from rapport.realtime.retention import Purge
from rapport.realtime.states import FiringState
from rapport.stores import Stores
from rapport.stores.records.locks import Leadership
from rapport.stores.workers.rounds import RoundWorker

log = structlog.get_logger("rapport.realtime")
ROUND_SECONDS = 1.0
RETRY_SECONDS = 5.0
PURGE_SECONDS = 3600.0
FIRINGS_AT_ONCE = 2000
# After so many rounds in vain a batch is taken apart, to find the event that cannot be written.
TRIES = 5
# Tenants of whom something is to be filed: handled events, identified visitors, ended firings.
BUSY = text(f"""
    SELECT tenant.id FROM tenants AS tenant
    WHERE EXISTS (SELECT 1 FROM accepted_events AS accepted WHERE accepted.tenant_id = tenant.id AND accepted.state > 0)
       OR EXISTS (
           SELECT 1 FROM visitors AS visitor
           WHERE visitor.tenant_id = tenant.id AND NOT visitor.joined AND visitor.customer_id <> ''
       )
       OR EXISTS (
           SELECT 1 FROM trigger_firings AS firing
           WHERE firing.tenant_id = tenant.id AND firing.state = '{FiringState.DONE}'
       )
    ORDER BY tenant.id
""")  # noqa: S608 - ours


class Filer(RoundWorker):
    """The thread of a process, which waits until it leads."""

    name = "filer"
    leadership = Leadership.FILER
    pause_after_fault = RETRY_SECONDS

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores
        self._names = Names()
        self._failed: dict[int, int] = {}  # rounds in a row, by tenant
        self._purge = Purge(stores)
        self._purged = float("-inf")

    def round(self, words: Sequence[psycopg.Notify]) -> float:
        """File a batch of every tenant of whom there is something. And chores."""
        began = time.monotonic()
        filed = self._file([row.id for row in self.leading(BUSY)])
        return 0.0 if filed >= AT_ONCE else max(0.0, ROUND_SECONDS - (time.monotonic() - began))

    def file_all(self) -> int:
        """The same of a process that need not lead, since it is alone; the most events that a tenant had."""
        with self._stores.records.reading() as connection:
            return self._file(list(connection.execute(BUSY).scalars()))

    def _file(self, tenants: list[int]) -> int:
        filed = max((self._tenant(tenant_id) for tenant_id in tenants if not self.stopping), default=0)
        now = time.monotonic()
        if now - self._purged >= PURGE_SECONDS:
            self._purged = float("-inf") if self._purge.portion() else now
        return filed

    def _tenant(self, tenant_id: int) -> int:
        """One tenant; its fault is logged and holds up no other."""
        failed = self._failed.pop(tenant_id, 0)
        try:
            scope = scope_of(self._stores, tenant_id)
            filed = file_batch(scope, self._names, apart=failed >= TRIES)
            join(scope, self._names)
            file_firings(scope)
        except Exception:
            log.exception("events of a tenant cannot be filed", tenant_id=tenant_id)
            self._failed[tenant_id] = failed + 1
            return 0
        return filed


def file_firings(scope: Scope) -> None:
    """Enter firings that have ended into the accounts of their campaigns."""
    query = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.DONE)
    with scope.reads() as session:
        ended = list(session.scalars(query.order_by(Firing.id).limit(FIRINGS_AT_ONCE)))
    if ended:
        file_ended(scope, ended)
