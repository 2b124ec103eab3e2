"""Handled events into the warehouse, and the histories of visitors to the customers that they turn out to be.

An event is taken out of the records after the warehouse has it. What is written is what the warehouse does
not have by number and id, so that a kill at any point, or records from a backup, neither lose nor repeat any.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import structlog
from sqlalchemy import text

from rapport.access.scope import Scope, scope_of
from rapport.customers import service as customers
from rapport.realtime.leading import FAULTS, FILER, Lead
from rapport.realtime.metrics import FILED
from rapport.realtime.names import Names
from rapport.realtime.visitors import customer_of
from rapport.stores import Stores

log = structlog.get_logger("rapport.realtime")
AT_ONCE = 10_000
ROUND_SECONDS = 1.0
RETRY_SECONDS = 5.0

WITH_EVENTS = text("""
    SELECT t.id FROM tenants AS t
    WHERE EXISTS (SELECT 1 FROM accepted_events AS e WHERE e.tenant_id = t.id AND e.state > 0) ORDER BY t.id
""")
TAKE = text("""
    SELECT seq, key, event, origin, customer_id, visitor_id, parameters, event_at
    FROM accepted_events WHERE tenant_id = :tenant_id AND state > 0 ORDER BY seq LIMIT :most
""")
DONE = text("DELETE FROM accepted_events WHERE tenant_id = :tenant_id AND seq = ANY(:numbers)")
# A number alone does not name an event: records from a backup give out numbers again.
PRESENT = """
    SELECT seq, event_id FROM {table} WHERE seq BETWEEN {{first:UInt64}} AND {{last:UInt64}}
"""
PROPERTIES = pa.map_(pa.string(), pa.string())
ACTIVITY = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_type_id", pa.uint32()),
        ("customer_id", pa.string()),
        ("event_at", pa.timestamp("ms", tz="UTC")),
        ("properties", PROPERTIES),
        ("visitor_id", pa.string()),
        ("origin", pa.string()),
        ("seq", pa.uint64()),
    ]
)
VISITORS = pa.schema([field for field in ACTIVITY if field.name != "customer_id"])


@dataclass(slots=True)
class Event:
    """A handled event."""

    seq: int
    key: Any
    event: str
    origin: str
    customer_id: str
    visitor_id: str
    parameters: dict[str, Any]
    event_at: datetime


def file_batch(scope: Scope, names: Names, most: int = AT_ONCE) -> int:
    """File up to `most` of a tenant's handled events; how many there were. None while its tables are held by others.

    One caller at a time in a deployment.
    """
    events = _taken(scope, most)
    if not events:
        return 0
    with customers.writing_if_free(scope) as free:
        if not free:
            return 0
        _write(scope, names, events)
    with scope.records() as session:
        session.execute(DONE, {"tenant_id": scope.tenant_id, "numbers": [one.seq for one in events]})
    FILED.inc(len(events))
    return len(events)


def _taken(scope: Scope, most: int) -> list[Event]:
    with scope.stores.records.reading() as connection:
        return [Event(*row) for row in connection.execute(TAKE, {"tenant_id": scope.tenant_id, "most": most})]


def _write(scope: Scope, names: Names, events: Sequence[Event]) -> None:
    missing = _missing(scope, events)
    if not missing:
        return
    with scope.records() as session:
        found = customer_of(session, scope, (one.visitor_id for one in missing if not one.customer_id))
    for one in missing:
        one.customer_id = one.customer_id or found.get(one.visitor_id, "")
    spelled = names.customers(scope, {one.customer_id for one in missing if one.customer_id})
    types = names.event_types(scope, missing)
    rows = [_row(one, types[one.event], spelled.get(one.customer_id, "")) for one in missing]
    for table, schema, own in (
        ("activity_events", ACTIVITY, [row for row in rows if row["customer_id"]]),
        ("visitor_events", VISITORS, [row for row in rows if not row["customer_id"]]),
    ):
        if own:
            scope.warehouse.insert_arrow(table, pa.Table.from_pylist(own, schema=schema))


def _missing(scope: Scope, events: Sequence[Event]) -> list[Event]:
    """Those that the warehouse does not have yet."""
    span = {"first": events[0].seq, "last": events[-1].seq}
    present: set[tuple[int, str]] = set()
    for table in ("activity_events", "visitor_events"):
        present.update(scope.warehouse.rows(PRESENT.format(table=table), **span))
    return [one for one in events if (one.seq, str(one.key)) not in present]


def _row(one: Event, event_type_id: int, customer_id: str) -> dict[str, Any]:
    return {
        "event_id": str(one.key),
        "event_type_id": event_type_id,
        "customer_id": customer_id,
        "event_at": one.event_at,
        "properties": [(name, _shown(value)) for name, value in one.parameters.items()],
        "visitor_id": one.visitor_id,
        "origin": one.origin,
        "seq": one.seq,
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


class Filer:
    """The thread of a process that files for the deployment, or waits until it is its turn."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lead = Lead(stores, FILER)
        self._names = Names()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="filer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the batch under way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = ROUND_SECONDS
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                filed = self.round() if self._lead.taken() else 0
                pause = 0.0 if filed >= AT_ONCE else max(0.0, ROUND_SECONDS - (time.monotonic() - began))
            except FAULTS:
                log.exception("events cannot be filed")
                pause = RETRY_SECONDS
        self._lead.give_up()

    def round(self) -> int:
        """File a batch of every tenant that has events; the largest number that one had."""
        with self._stores.records.reading() as connection:
            tenants = list(connection.execute(WITH_EVENTS).scalars())
        return max((self._tenant(tenant_id) for tenant_id in tenants if not self._stopping.is_set()), default=0)

    def _tenant(self, tenant_id: int) -> int:
        """One tenant; its fault is logged and holds up no other."""
        try:
            return file_batch(scope_of(self._stores, tenant_id), self._names)
        except Exception:
            log.exception("events of a tenant cannot be filed", tenant_id=tenant_id)
            return 0
