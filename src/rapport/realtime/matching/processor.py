"""The processor: takes accepted events in the order of their acceptance and fires the triggers that they meet.

What events come to (firings, what is told of them, states) and that they were handled is one records
transaction, so a kill at any point neither loses nor doubles a firing. There is one processor in a
deployment: whoever holds the lock; the others wait for it.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from rapport.customers.person_ids import person_of
from rapport.customers.writes import ordering
from rapport.errors import RapportError, Unavailable
from rapport.realtime.closing_days import tidy
from rapport.realtime.events.owners import Owners, owners
from rapport.realtime.matching.catalogue import Catalogue, Catalogues
from rapport.realtime.matching.deciding import decide
from rapport.realtime.matching.evaluating import Arrival, candidates, watched
from rapport.realtime.matching.followers import Follower, followed, followers
from rapport.realtime.matching.timers import (
    AT_ONCE,
    GRACE,
    LOOK,
    drop_sequence,
    due_firings,
    due_sequences,
    end_sequences,
    give_up,
    resume,
)
from rapport.realtime.metrics import HANDLED_SECONDS
from rapport.realtime.models import EventLogEntry
from rapport.realtime.states import EventStatus
from rapport.stores import Stores
from rapport.stores.isolating import isolate
from rapport.stores.outages import outage
from rapport.stores.records.locks import Leadership
from rapport.stores.workers.listening import Topic
from rapport.stores.workers.rounds import RoundWorker

T = TypeVar("T")
log = structlog.get_logger("rapport.realtime")

BATCH, SHORTEST_TURN = 500, 50
POLL_SECONDS = 0.5
PAUSE_SECONDS = 1.0
LOOK_SECONDS = 0.5
GATHER_SECONDS, LONGEST_GATHERING = 0.04, 0.1
TIDY_SECONDS = 300.0
# How long triggers wait for what events and the API say of customers, while another changes the tenant's tables.
UNWRITTEN_SECONDS = 60.0
# Engine faults that may pass are waited for; a single event that keeps causing one is put aside after so many tries.
TRIES = 5

WAITING = text("""
    SELECT tenant.id FROM tenants AS tenant
    WHERE EXISTS (SELECT 1 FROM accepted_events AS accepted WHERE accepted.tenant_id = tenant.id AND accepted.state = 0)
    ORDER BY tenant.id
""")
TAKE = text("""
    SELECT seq, key, event, customer_id, visitor_id, parameters, event_at, received_at FROM accepted_events
    WHERE tenant_id = :tenant_id AND state = 0 ORDER BY seq LIMIT :batch
""")
HANDLED = text("""
    UPDATE accepted_events SET state = 1
    WHERE tenant_id = :tenant_id AND seq = ANY(CAST(:seqs AS bigint[])) AND state = 0
""")


class AlreadyHandled(RuntimeError):
    """Another processor has handled some of these events; what this one did with them must not count."""


def _away(error: Exception) -> bool:
    """Whether an engine is away, so that trying again later may help."""
    return outage(error) is not None or isinstance(error, Unavailable | AlreadyHandled)


class Processor(RoundWorker):
    """The thread of one process."""

    name = "processor"
    topics = (Topic.EVENTS, Topic.TRIGGERS)
    leadership = Leadership.PROCESSOR
    pauses_while_held = True

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores
        self._catalogues = Catalogues(stores)
        self._tidied = self._taken = self._looked = float("-inf")
        self._waiting: list[int] = []  # tenants of whom more waits than the last round took, or whom nobody tells of
        self._more_due = False
        self._took = 0.0
        self._tries: dict[int, int] = {}
        self._rests: dict[int, float] = {}  # tenants with a fault, and until when they are left alone
        self._unwritten: dict[int, float] = {}  # tenants whose triggers wait, and since when

    def begun(self) -> None:
        """Find who waits already."""
        self._waiting = [row.id for row in self.leading(WAITING)]
        self._looked, self._more_due = float("-inf"), False

    def round(self, words: Sequence[psycopg.Notify]) -> float:
        """Handle what came: a batch of each tenant in turn. Now and then, look for what came without a word."""
        tenants = list(dict.fromkeys([*self._notified_tenants(words), *self._waiting]))
        rest, seen = self._turns(tenants), list[int]()
        if self._more_due or time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            due = self.leading(LOOK, self._now())
            tenants_due = {row.id for row in due if row.due}
            for follower in followers():
                tenants_due |= {row.id for row in self.leading(follower.tenants_due, {"now": self._stores.clock.now()})}
            self._more_due = self._look(sorted(tenants_due))
            seen = [row.id for row in due if row.waits]  # nobody tells of those who had to wait
        self._waiting = [*seen, *rest]
        if not rest:
            self._gather()
        return 0.0 if self._waiting or self._more_due else POLL_SECONDS

    def _notified_tenants(self, words: Sequence[psycopg.Notify]) -> list[int]:
        """The tenants whose events words tell of, in order; triggers that have changed are read again."""
        tenants: set[int] = set()
        for word in words:
            if word.channel == Topic.TRIGGERS:
                self._catalogues.forget(int(word.payload))
            else:
                tenants.add(int(word.payload))
        return sorted(tenants)

    def _turns(self, tenants: Sequence[int]) -> list[int]:
        """A turn of each tenant, the shorter the more there are; those of whom more waits."""
        most = max(SHORTEST_TURN, BATCH // max(1, len(tenants)))
        return [
            tenant_id for tenant_id in self._ready(tenants) if not self.stopping and self.turn(tenant_id, most) == most
        ]

    def _ready(self, tenants: Sequence[int]) -> list[int]:
        return [tenant_id for tenant_id in tenants if self._rests.get(tenant_id, 0.0) <= time.monotonic()]

    def _gather(self) -> None:
        """Let events gather for a moment when the last batch was taken only just before: a batch costs more than
        what is in it. Where a batch takes long more gathers; whoever sends one event now and then waits for nothing.
        """
        pause = min(max(GATHER_SECONDS, 2 * self._took), LONGEST_GATHERING)
        self._stopping.wait(max(0.0, self._taken + pause - time.monotonic()))

    def _now(self) -> dict[str, Any]:
        return {"now": self._stores.clock.now(), "grace": GRACE}

    def _look(self, tenants: Sequence[int]) -> bool:
        """A batch of each tenant of what comes due by the clock, and the days that are over; whether more is due."""
        # What was accepted before a deadline is handled before it.
        handled = {tenant_id: self.turn(tenant_id, BATCH) for tenant_id in self._ready(tenants)}
        drained = [tenant_id for tenant_id, events in handled.items() if events is not None and events < BATCH]
        more = [self._due_turn(tenant_id) for tenant_id in drained]
        if time.monotonic() - self._tidied >= TIDY_SECONDS:
            self._tidied = time.monotonic()
            tidy(self._stores)
        return any(more)

    def drain(self, tenant_id: int) -> bool:
        """Handle what waits of a tenant; whether all of it was."""
        handled: int | None = BATCH
        while handled == BATCH and not self.stopping:
            handled = self.turn(tenant_id, BATCH)
        return handled is not None and handled < BATCH

    def turn(self, tenant_id: int, most: int) -> int | None:
        """Handle some of what waits of a tenant; how many, None when they have to wait.

        A tenant's fault is logged, and the tenant left alone for a moment: it holds up no other.
        """
        try:
            return self.batch(tenant_id, most)
        except Exception:
            log.exception("events cannot be handled", tenant_id=tenant_id)
            self._rests[tenant_id] = time.monotonic() + PAUSE_SECONDS
            return None

    def batch(self, tenant_id: int, most: int) -> int | None:
        """Handle the oldest events of a tenant; how many, None when they have to wait."""
        catalogue = self._catalogues.of(tenant_id, time.monotonic())
        with self._stores.records.reading() as connection:
            rows = connection.execute(TAKE, {"tenant_id": tenant_id, "batch": most}).all()
        if rows:
            self._taken = time.monotonic()
            matters = catalogue.watches.keys() | followed(catalogue)
            if any(row.event in matters for row in rows) and not self._written(catalogue):
                return None
            self._together(
                rows, lambda session, part: handle(session, catalogue, part), partial(self._put_aside, catalogue)
            )
            self._took = time.monotonic() - self._taken
            now = self._stores.clock.now()
            for row in rows:
                HANDLED_SECONDS.observe((now - row.received_at).total_seconds())
        return len(rows)

    def _written(self, catalogue: Catalogue) -> bool:
        """Whether triggers may be judged: what was said of customers until now stands in their attributes."""
        tenant_id = catalogue.scope.tenant_id
        if ordering.carry_out_if_free(catalogue.scope):
            self._unwritten.pop(tenant_id, None)
            return True
        since = self._unwritten.setdefault(tenant_id, time.monotonic())
        if time.monotonic() - since < UNWRITTEN_SECONDS:
            return False
        log.warning("triggers are judged without the newest attributes", tenant_id=tenant_id)
        return True

    def due(self, tenant_id: int) -> None:
        """Fire what has come due by the clock."""
        while self._due_turn(tenant_id) and not self.stopping:
            pass

    def _due_turn(self, tenant_id: int) -> bool:
        """A batch of what is due; whether there may be more. A tenant's fault is logged and holds up no other."""
        try:
            return self._due(tenant_id)
        except Exception:
            log.exception("what is due cannot be fired", tenant_id=tenant_id)
            self._rests[tenant_id] = time.monotonic() + PAUSE_SECONDS
            return False

    def _due(self, tenant_id: int) -> bool:
        """A batch of what is due; whether there may be more."""
        catalogue = self._catalogues.of(tenant_id, time.monotonic())
        scope = catalogue.scope
        with scope.records() as session:
            keys, firings = due_sequences(scope, session), due_firings(scope, session)
            numbers = [(follower, follower.due(scope, session)) for follower in followers()]
        most = max(len(keys), len(firings), *(len(due) for _, due in numbers))
        if most and not self._written(catalogue):
            return False
        if keys:
            self._together(
                keys, lambda session, part: end_sequences(session, catalogue, part), partial(drop_sequence, scope)
            )
        if firings:
            self._together(firings, partial(resume, scope), partial(give_up, scope))
        for follower, due in numbers:
            if due:
                self._carry_out(catalogue, follower, due)
        return most >= AT_ONCE

    def _carry_out(self, catalogue: Catalogue, follower: Follower, due: Sequence[int]) -> None:
        """Carry out what is due of a follower, and fire what it leads to."""
        self._together(
            due,
            lambda session, part: decide(session, catalogue, follower.carry_out(session, catalogue, part)),
            partial(follower.give_up, catalogue.scope),
        )

    def _together(
        self, batch: Sequence[T], work: Callable[[Session, Sequence[T]], object], aside: Callable[[T, Exception], None]
    ) -> None:
        """Do work on a batch in one transaction, or in several when a part of it fails, which goes to aside."""

        def carry_out(items: Sequence[T]) -> None:
            with self._stores.records.session() as session:
                work(session, items)

        isolate(batch, carry_out, aside, _away)

    def _put_aside(self, catalogue: Catalogue, row: Any, error: Exception) -> None:
        """Log an event whose triggers cannot be evaluated, and go on without it."""
        self._tries[row.seq] = self._tries.get(row.seq, 0) + 1
        if isinstance(error, OperationalError | ClickHouseError) and self._tries[row.seq] < TRIES:
            raise error
        self._tries.pop(row.seq, None)
        log.error("event put aside", tenant_id=catalogue.scope.tenant_id, seq=row.seq, error=str(error)[:300])
        with self._stores.records.session() as session:
            session.add(_entry(catalogue, row, error))
            _mark(session, catalogue.scope.tenant_id, [row.seq])


def _entry(catalogue: Catalogue, row: Any, error: Exception) -> EventLogEntry:
    reason = error.message if isinstance(error, RapportError) else f"{type(error).__name__} in a trigger"
    return EventLogEntry(
        tenant_id=catalogue.scope.tenant_id,
        at=catalogue.scope.clock.now(),
        status=EventStatus.ERROR,
        origin="",
        event=row.event,
        person=person_of(row.customer_id, row.visitor_id)[:300],
        reason=f"Triggers could not be evaluated: {reason}"[:500],
        body=str(row.parameters)[:8000].replace("\0", "\ufffd"),
    )


def handle(session: Session, catalogue: Catalogue, rows: Sequence[Any]) -> int:
    """Mark events, evaluate them and fire what they meet, in the caller's transaction; how many fired."""
    scope = catalogue.scope
    today = scope.today()
    # First, so that whoever takes them out of the records waits, or is seen.
    _mark(session, scope.tenant_id, [row.seq for row in rows])
    follows = followed(catalogue)
    watched_rows = [row for row in rows if row.event in catalogue.watches or row.event in follows]
    owned = owners(scope, session, [row.visitor_id for row in watched_rows if not row.customer_id])
    # A sender's batch need not be in order.
    arrivals = sorted((_arrival(row, owned) for row in watched_rows), key=lambda arrival: arrival.at)
    watching = [(arrival, watches) for arrival in arrivals if (watches := watched(catalogue, arrival, today))]
    triggered = candidates(scope, session, watching) if watching else []
    for follower in followers():
        if of_follower := [arrival for arrival in arrivals if arrival.event in follows]:
            triggered += follower.follow(session, catalogue, of_follower)
    return decide(session, catalogue, triggered) if triggered else 0


def _arrival(row: Any, owned: Owners) -> Arrival:
    at = min(row.event_at, row.received_at)
    customer_id = row.customer_id or owned.at(row.visitor_id, at)
    return Arrival(row.seq, str(row.key), row.event, customer_id, row.visitor_id, row.parameters, at, row.received_at)


def _mark(session: Session, tenant_id: int, seqs: list[int]) -> None:
    done = session.execute(HANDLED, {"tenant_id": tenant_id, "seqs": seqs})
    if done.rowcount != len(seqs):  # type: ignore[attr-defined]
        raise AlreadyHandled("Some of the events were handled by another process.")
