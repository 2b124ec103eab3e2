"""Names as the warehouse knows them, remembered between batches: CustomerIDs and types of event."""

import time
from collections.abc import Iterable, Sequence

from rapport.access.scope import Scope
from rapport.customers import event_types as customer_event_types
from rapport.customers.writes import attribute_writes
from rapport.realtime.recording.handled_event import FiledEvent

KNOWN_SECONDS, UNKNOWN_SECONDS = 600.0, 30.0
MOST = 500_000


class Names:
    """The memory of one filer."""

    def __init__(self) -> None:
        self._spelled: dict[tuple[int, str], tuple[str, float]] = {}
        self._types: dict[tuple[int, str], tuple[int, set[str]]] = {}

    def customers(self, scope: Scope, customer_ids: Iterable[str]) -> dict[str, str]:
        """The spelling that each CustomerID is filed under: the warehouse's, else the one that came first."""
        now, tenant = time.monotonic(), scope.tenant_id
        if len(self._spelled) > MOST:
            self._spelled.clear()
        ids = sorted(customer_ids)
        stale = [
            customer_id for customer_id in ids if self._spelled.get((tenant, customer_id.lower()), ("", 0.0))[1] < now
        ]
        spellings = attribute_writes.spellings(scope, stale) if stale else {}
        for customer_id in stale:
            key = (tenant, customer_id.lower())
            spelling = spellings.get(customer_id.lower())
            before = self._spelled.get(key, (customer_id, 0.0))[0]
            if key not in self._spelled or self._spelled[key][1] < now:
                self._spelled[key] = (spelling or before, now + (KNOWN_SECONDS if spelling else UNKNOWN_SECONDS))
        return {customer_id: self._spelled[tenant, customer_id.lower()][0] for customer_id in ids}

    def event_types(self, scope: Scope, events: Sequence[FiledEvent]) -> dict[str, int]:
        """The number of each event's type, making types and noting parameters that were not seen before."""
        seen: dict[str, set[str]] = {}
        for event in events:
            seen.setdefault(event.event, set()).update(event.parameters)
        new = {
            name: parameters
            for name, parameters in seen.items()
            if (event_type := self._types.get((scope.tenant_id, name))) is None or not parameters <= event_type[1]
        }
        if new:
            numbers = customer_event_types.note_event_types(scope, new)
            for name, parameters in new.items():
                before = self._types.get((scope.tenant_id, name), (0, set()))[1]
                self._types[scope.tenant_id, name] = (numbers[name], before | parameters)
        return {name: self._types[scope.tenant_id, name][0] for name in seen}
