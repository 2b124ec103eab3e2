"""Names as the warehouse knows them, remembered between batches: CustomerIDs and types of event."""

import time
from collections.abc import Iterable, Sequence

from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.realtime.recording.filed import Filed

KNOWN_SECONDS, UNKNOWN_SECONDS = 600.0, 30.0
MOST = 500_000


class Names:
    """The memory of one filer."""

    def __init__(self) -> None:
        self._spelled: dict[tuple[int, str], tuple[str, float]] = {}
        self._types: dict[tuple[int, str], tuple[int, set[str]]] = {}

    def customers(self, scope: Scope, wanted: Iterable[str]) -> dict[str, str]:
        """The spelling that each CustomerID is filed under: the warehouse's, else the one that came first."""
        now, tenant = time.monotonic(), scope.tenant_id
        if len(self._spelled) > MOST:
            self._spelled.clear()
        ids = sorted(wanted)
        asked = [one for one in ids if self._spelled.get((tenant, one.lower()), ("", 0.0))[1] < now]
        found = customers.spellings(scope, asked) if asked else {}
        for one in asked:
            key = (tenant, one.lower())
            known = found.get(one.lower())
            before = self._spelled.get(key, (one, 0.0))[0]
            if key not in self._spelled or self._spelled[key][1] < now:
                self._spelled[key] = (known or before, now + (KNOWN_SECONDS if known else UNKNOWN_SECONDS))
        return {one: self._spelled[tenant, one.lower()][0] for one in ids}

    def event_types(self, scope: Scope, events: Sequence[Filed]) -> dict[str, int]:
        """The number of each event's type, making types and noting parameters that were not seen before."""
        seen: dict[str, set[str]] = {}
        for one in events:
            seen.setdefault(one.event, set()).update(one.parameters)
        new = {
            name: parameters
            for name, parameters in seen.items()
            if (known := self._types.get((scope.tenant_id, name))) is None or not parameters <= known[1]
        }
        if new:
            numbers = customers.note_event_types(scope, new)
            for name, parameters in new.items():
                before = self._types.get((scope.tenant_id, name), (0, set()))[1]
                self._types[scope.tenant_id, name] = (numbers[name], before | parameters)
        return {name: self._types[scope.tenant_id, name][0] for name in seen}
