"""The deliverer: takes due deliveries from the durable queue and posts them, many listeners side by side.

A delivery is leased while it is posted; the lease of a process that died runs out and the delivery
is due again, so every listener is told at least once.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter as Metric
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.notifications import queries
from rapport.notifications.callbacks import take_up
from rapport.notifications.models import Delivery, Listener
from rapport.notifications.secret_members import SecretMembers, with_secrets
from rapport.notifications.states import DeliveryState, ListenerStatus
from rapport.stores import Stores
from rapport.stores.clock import OUTSIDE, Clock
from rapport.stores.outside.posting import TIMEOUT_SECONDS, Answer, Poster, signed_headers
from rapport.stores.workers.claiming import ClaimingWorker, is_timely
from rapport.stores.workers.leader import FAULTS
from rapport.stores.workers.listening import Topic

log = structlog.get_logger("rapport.notifications")
POSTS = Metric("rapport_notification_posts_total", "Posts to listeners by outcome", ["outcome"])

OUTSIDE_CLOCK = OUTSIDE

MAX_IN_FLIGHT = 256
PER_LISTENER = 32
# A tenant's slow far ends never take all the room.
PER_TENANT = 64
CALLBACKS_SECONDS = 0.2
GATHER_SECONDS = 0.01
LEASE = timedelta(seconds=TIMEOUT_SECONDS + 20)
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=24)
# Settling takes so long only while the records are away or hang.
HELD_UP_SECONDS = 1.0
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
    own_url: str | None
    listener_url: str
    secret: str
    previous_secret: str | None
    room: int  # how many of the listener's could be leased with it

    @property
    def url(self) -> str:
        """Where to post it."""
        return self.own_url or self.listener_url


Answered = tuple[Task, Answer]


def backoff(failures: int, longest: timedelta) -> timedelta:
    """The wait after the n-th failure: 5 s doubled each time up to a longest, give or take half of it."""
    doubled: timedelta = FIRST_RETRY * 2.0 ** min(failures - 1, 20)
    return min(doubled, longest) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, hides nothing


class DeliveryQueue:
    """The durable queue in the records, seen by one process."""

    def __init__(self, stores: Stores, secret_members: SecretMembers, clock: Clock) -> None:
        self._stores, self._secret_members = stores, secret_members
        self._records = stores.records
        self._clock = clock

    def claim(self, free: int, asked_at: float = 0.0, under_way: Collection[int] = ()) -> list[Task]:
        """Lease up to `free` due deliveries, none of which is under way here.

        asked: since when it is wanted, by the monotonic clock, now by default: what was long in coming leases nothing,
        since leases of what was answered may have run out meanwhile.
        """
        asked_at, now = asked_at or time.monotonic(), self._clock.now()
        if not is_timely(asked_at, LEASE):
            return []
        most = {"free": free, "trouble": TROUBLE_AFTER, "per_listener": PER_LISTENER, "per_tenant": PER_TENANT}
        parameters = {"now": now, "lease": now + LEASE, "under_way": list(under_way), **most}
        claimed = text(queries.CLAIM).columns(
            own_url=Delivery.url.type,
            url=Listener.url.type,
            secret=Listener.secret.type,
            previous_secret=Listener.previous_secret.type,
        )
        with self._records.session() as session:
            tasks = [Task(*row) for row in session.execute(claimed, parameters)]
        if not is_timely(asked_at, LEASE):
            return []
        return [replace(task, body=self._body(task)) for task in tasks]

    def _body(self, task: Task) -> str:
        return with_secrets(self._stores, self._secret_members, task.tenant_id, task.event_type_id, task.body)

    def settle(self, answered: Sequence[Answered]) -> None:
        """Record how posts went: delivered, due again later, or parked; and how the listeners fare."""
        well = [(task, answer) for task, answer in answered if answer.ok]
        if well:
            with self._records.session() as session:
                self._delivered(session, well)
        for task, answer in answered:
            if not answer.ok:
                with self._records.session() as session:
                    self._not_delivered(session, task, answer)

    def _delivered(self, session: Session, well: Sequence[Answered]) -> None:
        """The end of posts that were taken, in two statements however many they are."""
        whose = sorted({(task.tenant_id, task.listener_id) for task, _ in well})
        tenants, listeners = [tenant for tenant, _ in whose], [listener for _, listener in whose]
        session.execute(text(queries.LISTENERS_WELL), {"tenants": tenants, "listeners": listeners})
        parameters = {
            "ids": [task.id for task, _ in well],
            "attempts": [task.attempts for task, _ in well],
            "statuses": [answer.status for _, answer in well],
            "now": self._clock.now(),
        }
        session.execute(text(queries.SETTLE_DELIVERED), parameters)

    def _not_delivered(self, session: Session, task: Task, answer: Answer) -> None:
        whose = {"tenant_id": task.tenant_id, "listener_id": task.listener_id}
        if answer.status == GONE:
            now = self._clock.now()
            listener = session.get(Listener, (task.tenant_id, task.listener_id), with_for_update=True)
            if listener is not None and listener.url == task.url:  # else another address has taken its place
                listener.status, listener.updated_at = ListenerStatus.DISABLED, now
                session.flush()
            self._end(session, task, answer, DeliveryState.PARKED, None)
            session.execute(text(queries.PARK_ALL), {**whose, "now": now})
            return
        due_at = self._failed(session, task, answer)
        late = due_at - task.first_attempt_at > GIVE_UP_AFTER
        self._end(
            session, task, answer, DeliveryState.PARKED if late else DeliveryState.PENDING, None if late else due_at
        )

    def _failed(self, session: Session, task: Task, answer: Answer) -> datetime:
        """Note a failure with its listener, pausing one in trouble; when the delivery is due again."""
        now = self._clock.now()
        whose = {"tenant_id": task.tenant_id, "listener_id": task.listener_id}
        failures = session.execute(text(queries.LISTENER_FAILED), whose).scalar() or 0
        retry_after = answer.retry_after or timedelta()
        pause = backoff(failures - TROUBLE_AFTER + 1, LONGEST_PAUSE) if failures >= TROUBLE_AFTER else timedelta()
        if max(pause, retry_after):
            session.execute(text(queries.LISTENER_PAUSED), {**whose, "until": now + max(pause, retry_after)})
        return now + max(backoff(task.attempts, LONGEST_RETRY), retry_after)

    def _end(self, session: Session, task: Task, answer: Answer, state: str, due_at: datetime | None) -> None:
        parameters = {
            "id": task.id,
            "attempts": task.attempts,
            "state": state,
            "due_at": due_at,
            "status": answer.status,
            "error": answer.error[:300],
            "finished_at": None if state == DeliveryState.PENDING else self._clock.now(),
        }
        session.execute(text(queries.SETTLE), parameters)


class Deliverer(ClaimingWorker):
    """A thread with an event loop that posts what is due until it is stopped.

    secret_members are those of all payloads: the packages that notify of them stand above this one.
    """

    name = "deliverer"
    topic = Topic.DELIVERIES

    def __init__(
        self,
        stores: Stores,
        secret_members: SecretMembers,
        clock: Clock = OUTSIDE_CLOCK,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(stores, threads=4)
        self._clock, self._timeout = clock, timeout
        self._queue = DeliveryQueue(stores, secret_members, clock)
        # Names may take long to resolve and must hold up neither the records nor each other.
        self._resolvers = ThreadPoolExecutor(MAX_IN_FLIGHT, "resolve")

    async def opened(self) -> None:
        """Get ready to post."""
        self._poster = Poster(
            self._resolvers, self._timeout, allow_private=self.stores.settings.allow_private_addresses
        )
        self._answered: list[Answered] = []
        # A process that was stopped for long finds its own leases run out, and answers that it has yet to read.
        self._under_way: set[int] = set()
        self._claimed = self._called_back = float("-inf")
        self._calling_back = False
        self._settling, self._settling_since = asyncio.Lock(), 0.0

    async def closed(self) -> None:
        """Close every connection."""
        await self._poster.close()
        self._resolvers.shutdown(wait=False)

    async def take(self) -> None:
        """Claim what there is room for and begin to post it.

        Under load what comes, and the room for it, gathers for a moment: claims cost the records more than posts do.
        Where all the room was taken more may wait, so its end makes room; elsewhere there is nothing to come back for.
        """
        await asyncio.sleep(max(0.0, self._claimed + GATHER_SECONDS - time.monotonic()))
        self._claimed = time.monotonic()
        self._call_back()
        free = self.room(MAX_IN_FLIGHT)
        if self._settling.locked() and time.monotonic() - self._settling_since > HELD_UP_SECONDS:
            await self.caught_up()
        tasks = await self.in_thread(self._queue.claim, free, time.monotonic(), frozenset(self._under_way))
        self._under_way.update(task.id for task in tasks)
        per_listener = Counter((task.tenant_id, task.listener_id) for task in tasks)
        for task in tasks:
            full = len(tasks) == free or per_listener[task.tenant_id, task.listener_id] == task.room
            self.begin(self._deliver(task), makes_room=full)

    def _call_back(self) -> None:
        """Queue callbacks beside the rest, now and then: nobody waits for them as for events."""
        if not self._calling_back and time.monotonic() - self._called_back >= CALLBACKS_SECONDS:
            self._calling_back = True
            self.begin(self._take_up(), makes_room=False)

    async def _take_up(self) -> None:
        try:
            while await self.in_thread(take_up, self.stores.records, self._clock):
                pass
        finally:
            self._called_back, self._calling_back = time.monotonic(), False

    async def _deliver(self, task: Task) -> None:
        try:
            await self._posted(task)
        finally:
            self._under_way.discard(task.id)

    async def _posted(self, task: Task) -> None:
        keys = [task.secret, *([task.previous_secret] if task.previous_secret else [])]
        headers = signed_headers(task.message_id, task.body, self._clock.now(), keys)
        answer = await self._poster.post(task.url, headers, task.body.encode())
        POSTS.labels("delivered" if answer.ok else "failed").inc()
        if not answer.ok:
            log.warning("delivery failed", tenant=task.tenant_id, listener=task.listener_id, error=answer.error)
        await self._settled(task, answer)

    async def _settled(self, task: Task, answer: Answer) -> None:
        """Settle a post, with all that end while the records are busy with those before; return once it is."""
        self._answered.append((task, answer))
        await self._settle()

    async def caught_up(self) -> None:
        """Settle what was answered in an outage before anything is leased: leases of it may have run out."""
        while self._answered or self._settling.locked():
            await self._settle()

    async def _settle(self) -> None:
        async with self._settling:
            self._settling_since = time.monotonic()
            answered, self._answered = self._answered, []
            if not answered:
                return  # somebody before has settled it along
            well = [post for post in answered if post[1].ok]
            try:
                for batch in [*([well] if well else []), *([post] for post in answered if not post[1].ok)]:
                    await self.in_thread(self.note, self._queue.settle, batch)
            except FAULTS:
                log.exception("deliveries cannot be settled; their leases will run out", deliveries=len(answered))
