"""Threads that serve all tenants: none ends by a fault, and one that did end is told of."""

import threading
from collections.abc import Callable

import structlog

from rapport.stores.warehouse_server import answers_within

log = structlog.get_logger("rapport.services")
# Seconds before a thread that a fault threw out begins again, each time twice as many.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# What they ask of the warehouse is short: a server that says nothing for so many seconds is away.
ANSWER_SECONDS = 30.0

_started: "set[Service]" = set()


class Service(threading.Thread):
    """Carries on until stopping is set: whatever work raises is logged, and it is begun again after a pause."""

    def __init__(self, name: str, work: Callable[[], object], stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._work, self._stopping = work, stopping

    def start(self) -> None:
        """Begin, and be looked after from now on."""
        _started.add(self)
        super().start()

    def run(self) -> None:
        """Work until told to stop."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                with answers_within(ANSWER_SECONDS):
                    self._work()
                break
            except Exception:
                log.exception("a thread begins again", thread=self.name)
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if self._stopping.is_set():
            _started.discard(self)


def ended() -> list[str]:
    """The names of threads that ended although nobody stopped them."""
    return sorted(one.name for one in list(_started) if not one.is_alive())
