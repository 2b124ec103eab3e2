"""The deliverer: takes due deliveries from the durable queue and posts them, many listeners side by side.

A delivery is leased while it is posted; the lease of a process that died runs out and the delivery
is due again, so every listener is told at least once.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from rapport.notifications import queries
from rapport.notifications.models import DELIVERED, PARKED, PENDING
from rapport.stores import Stores
from rapport.stores.clock import Clock
from rapport.stores.posting import TIMEOUT_SECONDS, Answer, Poster, signed_headers
from rapport.stores.taking import FAULTS, Taker

log = structlog.get_logger("rapport.notifications")
POSTS = Counter("rapport_notification_posts_total", "Posts to listeners by outcome", ["outcome"])

# Receivers and retries live in real time, whatever day a demo or backfill has moved the tenants' clock to.
OUTSIDE_CLOCK = Clock()

MAX_IN_FLIGHT = 256
PER_LISTENER = 8
LEASE = timedelta(seconds=TIMEOUT_SECONDS + 20)
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=24)
TROUBLE_AFTER = 5  # failures in a row
LONGEST_PAUSE = timedelta(minutes=5)
GONE = 410


@dataclass(frozen=True)
class Task:
    """One leased delivery with what is needed to post it."""

    id: int
    tenant_id: int
    listener_id: int
    event_type_id: int
    message_id: str
    body: str
    attempts: int
    first_attempt_at: datetime
    url: str
    secret: str
    previous_secret: str | None


def backoff(failures: int, longest: timedelta) -> timedelta:
    """The wait after the n-th failure: 5 s doubled each time up to a longest, give or take half of it."""
    doubled: timedelta = FIRST_RETRY * 2.0 ** min(failures - 1, 20)
    return min(doubled, longest) * random.uniform(0.5, 1.5)


class DeliveryQueue:
    """The durable queue in the records, seen by one process."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._records = stores.records
        self._clock = clock

    def claim(self, free: int) -> list[Task]:
        """Lease up to `free` due deliveries."""
        now = self._clock.now()
        bound = {"now": now, "lease": now + LEASE, "free": free, "trouble": TROUBLE_AFTER, "per_listener": PER_LISTENER}
        with self._records.session() as session:
            return [Task(*row) for row in session.execute(text(queries.CLAIM), bound)]

    def settle(self, task: Task, answer: Answer) -> None:
        """Record how a post went: delivered, due again later, or parked; and how the listener fares."""
        whose = {"tenant_id": task.tenant_id, "listener_id": task.listener_id}
        now = self._clock.now()
        with self._records.session() as session:
            if answer.ok:
                session.execute(text(queries.LISTENER_WELL), whose)
                self._end(session, task, answer, DELIVERED, None)
            elif answer.status == GONE:
                session.execute(text(queries.LISTENER_GONE), {**whose, "now": now, "url": task.url})
                self._end(session, task, answer, PARKED, None)
                session.execute(text(queries.PARK_ALL), {**whose, "now": now})
            else:
                due_at = self._failed(session, task, answer)
                late = due_at - task.first_attempt_at > GIVE_UP_AFTER
                self._end(session, task, answer, PARKED if late else PENDING, None if late else due_at)

    def _failed(self, session: Any, task: Task, answer: Answer) -> datetime:
        """Note a failure with its listener, pausing one in trouble; when the delivery is due again."""
        now = self._clock.now()
        whose = {"tenant_id": task.tenant_id, "listener_id": task.listener_id}
        failures = session.execute(text(queries.LISTENER_FAILED), whose).scalar() or 0
        asked = answer.retry_after or timedelta()
        pause = backoff(failures - TROUBLE_AFTER + 1, LONGEST_PAUSE) if failures >= TROUBLE_AFTER else timedelta()
        if max(pause, asked):
            session.execute(text(queries.LISTENER_PAUSED), {**whose, "until": now + max(pause, asked)})
        return now + max(backoff(task.attempts, LONGEST_RETRY), asked)

    def _end(self, session: Any, task: Task, answer: Answer, state: str, due_at: datetime | None) -> None:
        bound = {
            "id": task.id,
            "attempts": task.attempts,
            "state": state,
            "due_at": due_at,
            "status": answer.status,
            "error": answer.error[:300],
            "finished_at": None if state == PENDING else self._clock.now(),
        }
        session.execute(text(queries.SETTLE), bound)


class Deliverer(Taker):
    """A thread with an event loop that posts what is due until it is stopped."""

    name = "deliverer"
    told = "rapport_deliveries"

    def __init__(self, stores: Stores, clock: Clock = OUTSIDE_CLOCK, timeout: float = TIMEOUT_SECONDS) -> None:
        super().__init__(stores, threads=4)
        self._clock, self._timeout = clock, timeout
        self._queue = DeliveryQueue(stores, clock)
        # Names may take long to resolve and must not hold up the records, so each has threads of its own.
        self._resolvers = ThreadPoolExecutor(16, "resolve")

    async def opened(self) -> None:
        """Get ready to post."""
        self._poster = Poster(self.stores.settings.allow_private_addresses, self._resolvers, self._timeout)

    async def closed(self) -> None:
        """Close every connection."""
        await self._poster.close()
        self._resolvers.shutdown(wait=False)

    async def take(self) -> None:
        """Claim what there is room for and begin to post it."""
        for task in await self.in_thread(self._queue.claim, MAX_IN_FLIGHT - self.in_flight):
            self.begin(self._deliver(task))

    async def _deliver(self, task: Task) -> None:
        keys = [task.secret, *([task.previous_secret] if task.previous_secret else [])]
        headers = signed_headers(task.message_id, task.body, self._clock.now(), keys)
        answer = await self._poster.post(task.url, headers, task.body.encode())
        POSTS.labels("delivered" if answer.ok else "failed").inc()
        if not answer.ok:
            log.warning("delivery failed", tenant=task.tenant_id, listener=task.listener_id, error=answer.error)
        try:
            await self.in_thread(self._queue.settle, task, answer)
        except FAULTS:
            log.exception("delivery cannot be settled; its lease will run out", delivery=task.id)


_deliverer: Deliverer | None = None


def start(stores: Stores) -> None:
    """Deliver in this process from now on."""
    global _deliverer
    if _deliverer is None:
        _deliverer = Deliverer(stores)
        _deliverer.start()


def stop() -> None:
    """Stop delivering in this process; what is in flight ends first."""
    global _deliverer
    if _deliverer is not None:
        _deliverer.stop()
        _deliverer = None
