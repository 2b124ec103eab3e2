"""Places in the work of a served process at which a test holds it, and its clocks: lines on standard input say which.

{"hold": [place, ...]} lets whoever comes there first say {"place"} and wait for {"go": true}; {"later": seconds} moves
all clocks on.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rapport.campaigns.cycle import daily
from rapport.customers.importing import imports
from rapport.delivery import worker
from rapport.insight import service as insight
from rapport.notifications import deliverer
from rapport.stores.backups import backup
from rapport.stores.clock import Clock, SharedClock
from rapport.stores.workers import claiming
from rapport.stores.workflows import work


class Held:
    """Where work is held, and how far the clocks are ahead, in seconds."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        self.going = threading.Event()
        self.ahead = 0.0

    def stop(self, place: str) -> None:
        """Come to a place."""
        if place in self.places:
            self.places.discard(place)
            print(json.dumps({"place": place}), flush=True)
            self.going.wait()

    def hear(self) -> None:
        """Do what lines say, until there are no more."""
        for line in sys.stdin:
            said = json.loads(line)
            self.ahead += said.get("later", 0)
            if "hold" in said:
                self.places = set(said["hold"])
                self.going.clear()
            if "go" in said:
                self.going.set()


def _before(held: Held, place: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **flags: Any) -> Any:
        held.stop(place)
        return function(*arguments, **flags)

    return wrapped


def _after(held: Held, place: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **flags: Any) -> Any:
        result = function(*arguments, **flags)
        held.stop(place)
        return result

    return wrapped


def _later(held: Held, now: Callable[[Any], datetime]) -> Callable[[Any], datetime]:
    return lambda self: now(self) + timedelta(seconds=held.ahead)


class Time:
    """The module of time for whoever measures by its monotonic clock how long he was held up."""

    def __init__(self, held: Held) -> None:
        self.monotonic = lambda: time.monotonic() + held.ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def listen() -> None:
    """Begin to do what lines say."""
    held = Held()
    merge = _before(held, "merging", imports.merging.merge)  # type: ignore[attr-defined]
    imports.merging.merge = _after(held, "merged", merge)  # type: ignore[attr-defined]
    steps = tuple((name, _before(held, name, step)) for name, step in insight.MODEL_STEPS)
    daily.insight.MODEL_STEPS = steps  # type: ignore[attr-defined]
    write = _before(held, "copying", backup._write_database)
    backup._write_database = _after(held, "copied", write)
    backup.write = _after(held, "written", backup.write)
    for kind in (Clock, SharedClock):
        kind.now = _later(held, kind.__dict__["now"])  # type: ignore[method-assign]
    for module in (worker, deliverer, claiming):
        module.time = Time(held)  # type: ignore[attr-defined]
    now = work._patience.now
    work._patience.now = lambda: now() + held.ahead  # type: ignore[method-assign]
    threading.Thread(target=held.hear, daemon=True).start()
