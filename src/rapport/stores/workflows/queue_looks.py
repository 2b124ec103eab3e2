"""What the engine of durable work asks of the records, asked less: an idle process would ask thirty times a second.

Each queue has a thread, which at every look reads the queue's settings and what waits on it, also when there is
nothing. Here settings are read once a minute, and what waits on any queue is asked for all of them at once.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine, text

R = TypeVar("R")
# How old an answer may be. With the pause of a thread it is how much later than at once work may be found.
LOOK_SECONDS = 0.4
# Nothing of Rapport's is delayed or ends by time, and queues stay as they are registered.
SETTINGS_SECONDS = 60.0
SELDOM = ("get_queue", "list_queues", "list_schedules", "transition_delayed_workflows", "cancel_timed_out_workflows")
WAITING = text("""
    SELECT names.queue FROM unnest(CAST(:names AS text[])) AS names (queue)
    WHERE EXISTS (
        SELECT 1 FROM dbos.workflow_status AS workflow
        WHERE workflow.queue_name = names.queue AND workflow.status = 'ENQUEUED'
    )
""")


class WaitingQueues:
    """Which of some queues have work that waits, by one statement for all who ask within a moment."""

    def __init__(self, engine: Engine, names: Sequence[str]) -> None:
        self._engine, self._names = engine, list(names)
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._looked = float("-inf")
        self._sent: dict[str, float] = {}  # when a thread was last sent to the records, by queue

    def at(self, name: str) -> list[None]:
        """What a thread is to take work from: nothing when none waits on its queue. Raises what the records raise."""
        if name not in self._names:
            return [None]
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= LOOK_SECONDS:
                with self._engine.connect() as connection:
                    self._waiting = set(connection.execute(WAITING, {"names": self._names}).scalars())
                self._looked = now
            # What waits because a tenant's places are taken is no reason to ask at every look.
            if name not in self._waiting or now - self._sent.get(name, float("-inf")) < LOOK_SECONDS:
                return []
            self._sent[name] = now
            return [None]

    def put(self, name: str) -> None:
        """This process has put work on a queue: it is found at the next look of its thread."""
        with self._lock:
            self._waiting.add(name)
            self._sent.pop(name, None)


def kept(function: Callable[..., R], seconds: float) -> Callable[..., R]:
    """A function whose answers are good for so long."""
    answers: dict[str, tuple[float, R]] = {}

    def answer(*arguments: Any, **named: Any) -> R:
        key, now = repr((arguments, named)), time.monotonic()
        answer_at = answers.get(key)
        if answer_at is None or now - answer_at[0] >= seconds:
            answer_at = answers[key] = now, function(*arguments, **named)
        return answer_at[1]

    return answer


def spare(system: Any, engine: Engine, names: Sequence[str]) -> WaitingQueues:
    """Have the engine's own access to the records ask less. Call it once all queues are registered."""
    waiting = WaitingQueues(engine, names)
    for method in SELDOM:
        setattr(system, method, kept(getattr(system, method), SETTINGS_SECONDS))
    system.dequeue_scopes = waiting.at
    return waiting
