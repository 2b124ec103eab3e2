"""What is read of a tenant for many requests, and kept in this process for a time."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from rapport.access.scope import Scope
from rapport.stores import Stores

MOST = 200
V = TypeVar("V")


class Kept:
    """The values that were asked for last, by tenant and what they are."""

    def __init__(self, stores: Stores) -> None:
        self._values: OrderedDict[tuple[int, str], tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, scope: Scope, what: str, seconds: float, read: Callable[[], V]) -> V:
        """A value that is at most so many seconds old, and the time that it takes to read it.

        One request reads it anew; meanwhile others get the last one.
        """
        key = (scope.tenant_id, what)
        with self._lock:
            if key in self._values:
                read_at, value = self._values[key]
                if monotonic() - read_at < seconds:
                    return value  # type: ignore[no-any-return]
                self._values[key] = (monotonic(), value)
        fresh = read()
        with self._lock:
            self._values[key] = (monotonic(), fresh)
            self._values.move_to_end(key)
            while len(self._values) > MOST:
                self._values.popitem(last=False)
        return fresh

    def stop(self) -> None:
        """There is nothing to end."""


def kept(stores: Stores) -> Kept:
    """What this process keeps of an installation."""
    return stores.workers.only(Kept, stores)
