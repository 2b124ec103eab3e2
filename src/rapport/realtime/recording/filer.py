"""The filer: the thread that files for the whole deployment, in rounds of about a second."""

import threading
import time

import structlog
from sqlalchemy import select, text

from rapport.access.scope import Scope, scope_of
from rapport.realtime.chores import Purge
from rapport.realtime.events.joining import join
from rapport.realtime.events.names import Names
from rapport.realtime.leading import Lead
from rapport.realtime.matching import firings
from rapport.realtime.models import DONE, Firing
from rapport.realtime.recording.filing import AT_ONCE, file_batch
from rapport.stores import Stores
from rapport.stores.locks import Leadership
from rapport.stores.services import Service

log = structlog.get_logger("rapport.realtime")
ROUND_SECONDS = 1.0
RETRY_SECONDS = 5.0
PURGE_SECONDS = 3600.0
FIRINGS_AT_ONCE = 2000
# After so many rounds in vain a batch is taken apart, to find the event that cannot be written.
TRIES = 5
# Tenants of whom something is to be filed: handled events, identified visitors, ended firings.
BUSY = text("""
    SELECT t.id FROM tenants AS t
    WHERE EXISTS (SELECT 1 FROM accepted_events AS e WHERE e.tenant_id = t.id AND e.state > 0)
       OR EXISTS (
           SELECT 1 FROM visitors AS v WHERE v.tenant_id = t.id AND NOT v.joined AND v.customer_id <> ''
       )
       OR EXISTS (SELECT 1 FROM trigger_firings AS f WHERE f.tenant_id = t.id AND f.state = 'done')
    ORDER BY t.id
""")


class Filer:
    """The thread of a process, which waits until it is its turn."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lead = Lead(stores, Leadership.FILER)
        self._names = Names()
        self._failed: dict[int, int] = {}  # rounds in a row, by tenant
        self._purge = Purge(stores)
        self._purged = float("-inf")
        self._stopping = threading.Event()
        self._thread = Service("filer", self._run, self._stopping)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the batch under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause = ROUND_SECONDS
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                busy = self._lead.ask(BUSY) if self._lead.taken() else None
                filed = self._file([tenant_id for (tenant_id,) in busy]) if busy is not None else 0
                pause = 0.0 if filed >= AT_ONCE else max(0.0, ROUND_SECONDS - (time.monotonic() - began))
            except Exception:
                log.exception("events cannot be filed")
                pause = RETRY_SECONDS
        self._lead.give_up()

    def round(self) -> int:
        """File a batch of every tenant of whom there is something; the most events that one had. And chores."""
        with self._stores.records.reading() as connection:
            return self._file(list(connection.execute(BUSY).scalars()))

    def _file(self, tenants: list[int]) -> int:
        filed = max((self._tenant(tenant_id) for tenant_id in tenants if not self._stopping.is_set()), default=0)
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
    ended = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.state == DONE)
    with scope.reads() as session:
        found = list(session.scalars(ended.order_by(Firing.id).limit(FIRINGS_AT_ONCE)))
    if found:
        firings.file_batch(scope, found)
