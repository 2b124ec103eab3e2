"""Handled events into the warehouse. What comes of them besides (details, interactions) comes first.

An event is taken out of the records after the warehouse has it. What is written is what the warehouse does
not have by number and id, so that a kill at any point, or records from a backup, neither lose nor repeat any.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import structlog
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.customers import activity
from rapport.customers.activity import ACTIVITY
from rapport.customers.privacy import anonymisation
from rapport.customers.writes import locks, ordering
from rapport.realtime.events.names import Names
from rapport.realtime.events.owners import owners
from rapport.realtime.metrics import FILED
from rapport.realtime.models import EventLogEntry
from rapport.realtime.recording import profile_updates, vendor_metrics
from rapport.realtime.recording.handled_event import FiledEvent
from rapport.realtime.recording.profile_queue import KIND
from rapport.realtime.states import EventStatus
from rapport.stores.isolating import isolate
from rapport.stores.workers.leader import FAULTS

log = structlog.get_logger("rapport.realtime")
AT_ONCE = 10_000
TAKE = text("""
    SELECT seq, key, event, origin, customer_id, visitor_id, parameters, event_at
    FROM accepted_events WHERE tenant_id = :tenant_id AND state > 0 ORDER BY seq LIMIT :most
""")
DONE = text("DELETE FROM accepted_events WHERE tenant_id = :tenant_id AND seq = ANY(CAST(:numbers AS bigint[]))")
# A number alone does not name an event: records from a backup give out numbers again.
PRESENT = "SELECT seq, event_id FROM {table} WHERE seq BETWEEN {{first:UInt64}} AND {{last:UInt64}}"
# Late events may belong to many months, each of which is a partition.
SETTINGS = {"max_partitions_per_insert_block": 0}
VISITORS = pa.schema([field for field in ACTIVITY if field.name != "customer_id"])


ordering.register_handler(KIND, profile_updates.overwrite)


def file_batch(scope: Scope, names: Names, *, apart: bool = False) -> int:
    """File a tenant's oldest handled events; how many there were, 0 while its tables are held by another.

    One caller at a time in a deployment. With apart, an event that cannot be written while others can be is
    logged and left out; whoever calls does so when a batch has failed again and again.
    """
    with locks.writing_if_free(scope) as free:
        # Read under the lock: what an erasure takes out before it clears the warehouse is not written after.
        events = _taken(scope, AT_ONCE) if free else []
        if not events:
            return 0
        while ordering.carry_out(scope):
            pass
        if apart:
            _write_apart(scope, names, events)
        else:
            _write(scope, names, events)
    with scope.records() as session:
        session.execute(DONE, {"tenant_id": scope.tenant_id, "numbers": [event.seq for event in events]})
    FILED.inc(len(events))
    return len(events)


def _taken(scope: Scope, most: int) -> list[FiledEvent]:
    with scope.stores.records.reading() as connection:
        return [FiledEvent(*row) for row in connection.execute(TAKE, {"tenant_id": scope.tenant_id, "most": most})]


def _write_apart(scope: Scope, names: Names, events: Sequence[FiledEvent]) -> None:
    """Write events, but for those that cannot be. Raises when none can be: then it is not the events' fault."""
    failed: list[tuple[FiledEvent, Exception]] = []
    isolate(
        events,
        lambda items: _write(scope, names, items),
        aside=lambda event, error: failed.append((event, error)),
        is_fatal=lambda error: isinstance(error, FAULTS),
    )
    if failed and len(failed) == len(events):
        raise failed[0][1]
    for event, error in failed:
        _put_aside(scope, event, error)


def _put_aside(scope: Scope, event: FiledEvent, error: Exception) -> None:
    log.error("event cannot be filed", tenant_id=scope.tenant_id, seq=event.seq, error=str(error)[:300])
    with scope.records() as session:
        session.add(
            EventLogEntry(
                tenant_id=scope.tenant_id,
                at=scope.clock.now(),
                status=EventStatus.ERROR,
                origin=event.origin,
                event=event.event,
                person=(event.customer_id or event.visitor_id).lower(),
                reason="The event cannot be written to the warehouse.",
                body=str(event.parameters)[:8000],
            )
        )


def _write(scope: Scope, names: Names, events: Sequence[FiledEvent]) -> None:
    missing = _missing(scope, events)
    if not missing:
        return
    _name_customers(scope, names, missing)
    vendor_metrics.interactions(scope, missing)
    types = names.event_types(scope, missing)
    removed, hidden = anonymisation.identifying_names(
        scope, {event.customer_id for event in missing if event.customer_id}
    )
    rows = [_row(event, types[event.event], hidden if event.customer_id in removed else None) for event in missing]
    activity.add_activity(scope, [row for row in rows if row["customer_id"]])
    if nobody := [row for row in rows if not row["customer_id"]]:
        scope.warehouse.insert_arrow("visitor_events", pa.Table.from_pylist(nobody, schema=VISITORS), SETTINGS)


def _name_customers(scope: Scope, names: Names, events: Sequence[FiledEvent]) -> None:
    """Give visitors who are known their customers, and customers the warehouse's spelling."""
    with scope.records() as session:
        owned = owners(scope, session, (event.visitor_id for event in events if not event.customer_id))
    for event in events:
        event.customer_id = event.customer_id or owned.at(event.visitor_id, event.event_at)
    spelled = names.customers(scope, {event.customer_id for event in events if event.customer_id})
    for event in events:
        event.customer_id = spelled.get(event.customer_id, "")


def _missing(scope: Scope, events: Sequence[FiledEvent]) -> list[FiledEvent]:
    """Those that the warehouse does not have yet."""
    span = {"first": events[0].seq, "last": events[-1].seq}
    present: set[tuple[int, str]] = set()
    for table in ("activity_events", "visitor_events"):
        present.update(scope.warehouse.rows(PRESENT.format(table=table), **span))
    return [event for event in events if (event.seq, str(event.key)) not in present]


def _row(event: FiledEvent, event_type_id: int, hidden: set[str] | None) -> dict[str, Any]:
    """The row of an event; hidden are the identifying attributes of a removed person."""
    return {
        "event_id": str(event.key),
        "event_type_id": event_type_id,
        "customer_id": event.customer_id,
        "event_at": event.event_at,
        "properties": [
            (name, _shown(value))
            for name, value in event.parameters.items()
            if hidden is None or not anonymisation.is_identifying(name, value, hidden)
        ],
        "visitor_id": event.visitor_id,
        "origin": event.origin,
        "seq": event.seq,
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
