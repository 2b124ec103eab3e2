"""Whose turn it is, where tenants share a number of places: what one asks for much of holds up no other."""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueues(Generic[T]):
    """Lines of tenants in front of places. Not for several threads at once.

    A tenant takes a place as long as it holds fewer than are free: one tenant alone takes half of them, another half of
    the rest, and for whoever comes then there is one left. Tenants that hold the same number take turns.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[int] = Counter()
        self._lines: dict[int, deque[T]] = {}  # tenants in the order of their turns

    def waiting(self, tenant_id: int) -> int:
        """How many wait in a tenant's line."""
        return len(self._lines.get(tenant_id, ()))

    def join(self, tenant_id: int, request: T) -> None:
        """Put a request at the end of its tenant's line."""
        self._lines.setdefault(tenant_id, deque()).append(request)

    def leave(self, tenant_id: int, request: T) -> None:
        """Take a request out of its tenant's line, if it still waits there."""
        if request in self._lines.get(tenant_id, ()):
            self._lines[tenant_id].remove(request)

    def admitted(self) -> Iterator[tuple[int, T]]:
        """Those whose turn it is, with their tenants; each of them holds a place from now on."""
        while (tenant_id := self._next()) is not None:
            line = self._lines.pop(tenant_id)
            request = line.popleft()
            if line:  # at the end of all
                self._lines[tenant_id] = line
            self._held[tenant_id] += 1
            self._free -= 1
            yield tenant_id, request

    def give_back(self, tenant_id: int) -> None:
        """Leave a place of a tenant to others."""
        self._free += 1
        self._held[tenant_id] -= 1
        if not self._held[tenant_id]:
            del self._held[tenant_id]

    def _next(self) -> int | None:
        """The tenant that holds the fewest places, the one that waits longest of several."""
        waiting = (waiting_id for waiting_id, line in self._lines.items() if line)
        tenant_id = min(waiting, key=self._held.__getitem__, default=None)
        return tenant_id if tenant_id is not None and self._held[tenant_id] < self._free else None
