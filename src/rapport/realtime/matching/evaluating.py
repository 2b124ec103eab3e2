"""A batch of accepted events against the triggers of a tenant: who has met which trigger, and how far others are."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.triggered.schemas import RepeatedTrigger, SequenceTrigger
from rapport.customers.person_ids import person_of
from rapport.realtime.events.owners import IS_FIRST
from rapport.realtime.matching import progress
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, Role, Trigger, Watch
from rapport.realtime.matching.progress import OpenSequence, Progress

STATES = text("""
    SELECT state.series_id, state.person, state.times, state.deadline, state.closed_at, state.opened
    FROM json_to_recordset(CAST(:keys AS json)) AS wanted(series_id int, person text, version int)
    JOIN trigger_states AS state ON state.tenant_id = :tenant_id AND state.series_id = wanted.series_id
        AND state.person = wanted.person AND state.trigger_version = wanted.version
    FOR UPDATE OF state
""")
# What visitors have done who turned out to be one of these customers.
VISITORS_STATES = text(f"""
    SELECT state.series_id, state.person, owner.person, state.times, state.deadline, state.closed_at, state.opened
    FROM visitor_owners AS owner
    CROSS JOIN json_to_recordset(CAST(:series AS json)) AS wanted(series_id int, version int)
    JOIN trigger_states AS state ON state.tenant_id = owner.tenant_id AND state.person = 'v:' || owner.visitor_id
        AND state.series_id = wanted.series_id AND state.trigger_version = wanted.version
    WHERE owner.tenant_id = :tenant_id AND owner.person = ANY(CAST(:customers AS text[])) AND {IS_FIRST}
    ORDER BY state.series_id, state.person FOR UPDATE OF state
""")  # noqa: S608 - ours
KEEP_STATES = text("""
    INSERT INTO trigger_states
        (tenant_id, series_id, person, trigger_version, times, deadline, closed_at, opened, updated_at)
    SELECT :tenant_id, series_id, person, version,
        ARRAY(SELECT CAST(at AS timestamptz) FROM json_array_elements_text(times) AS at),
        deadline, closed_at, opened, :now
    FROM json_to_recordset(CAST(:rows AS json)) AS given(
        series_id int, person text, version int, times json, deadline timestamptz, closed_at timestamptz, opened jsonb
    )
    ON CONFLICT (tenant_id, series_id, person) DO UPDATE
    SET trigger_version = excluded.trigger_version, times = excluded.times,
        deadline = excluded.deadline, closed_at = excluded.closed_at,
        opened = excluded.opened, updated_at = excluded.updated_at
""")
DROP_STATES = text("""
    DELETE FROM trigger_states AS state USING json_to_recordset(CAST(:keys AS json)) AS gone(series_id int, person text)
    WHERE state.tenant_id = :tenant_id AND state.series_id = gone.series_id AND state.person = gone.person
""")

Key = tuple[int, str]
LATER = "later"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An accepted event with whom it is about. at is the sender's time, never after the event was received."""

    seq: int
    key: str
    event: str
    customer_id: str
    visitor_id: str
    parameters: Mapping[str, Any]
    at: datetime
    received_at: datetime

    @property
    def person(self) -> str:
        """Whom it is about."""
        return person_of(self.customer_id, self.visitor_id)


def watched(catalogue: Catalogue, arrival: Arrival, day: date) -> list[Watch]:
    """The triggers that an event matters to: it matches, and has not come too late for anything but closing."""
    late = arrival.received_at - arrival.at
    facts = catalogue.parameters(arrival.event, arrival.parameters, day)
    return [
        watch
        for watch in catalogue.watches.get(arrival.event, ())
        if (watch.role is Role.CLOSES or late <= watch.trigger.lateness) and watch.passes(facts)
    ]


class States:
    """How far the persons of a batch are in triggers that need more than one event."""

    def __init__(self, scope: Scope, session: Session, triggers: Mapping[int, Trigger]) -> None:
        self._scope, self._session, self._triggers = scope, session, triggers
        self._loaded: set[Key] = set()
        self._states: dict[Key, Progress] = {}
        self._stored: set[Key] = set()
        self._gone: set[Key] = set()

    def load(self, keys: Iterable[Key]) -> None:
        """Read the states of these, of the triggers as they are now."""
        current = {(series, person) for series, person in keys if series in self._triggers}
        self._loaded |= current
        rows = [
            {"series_id": series, "person": person, "version": self._version(series)}
            for series, person in sorted(current)
        ]
        if not rows:
            return
        parameters = {"tenant_id": self._scope.tenant_id, "keys": orjson.dumps(rows).decode()}
        for series, person, times, deadline, closed_at, opened in self._session.execute(STATES, parameters):
            self._states[series, person] = _progress(times, deadline, closed_at, opened)
            self._stored.add((series, person))

    def _version(self, series: int) -> int:
        return self._triggers[series].series.trigger_version

    def was_stored(self, key: Key) -> bool:
        """Whether there was a state when it was read, of the trigger as it is now."""
        return key in self._stored

    def of(self, trigger: Trigger, person: str) -> Progress:
        """The state of a person in a trigger."""
        return self._states.setdefault((trigger.id, person), Progress())

    def adopt(self, customers: Mapping[str, str]) -> None:
        """Give customers, as persons with their ids, what visitors have done who turned out to be them."""
        series = sorted({number for number, person in self._loaded if person in customers})
        if not series:
            return
        rows = orjson.dumps([{"series_id": number, "version": self._version(number)} for number in series]).decode()
        parameters = {"tenant_id": self._scope.tenant_id, "series": rows, "customers": sorted(customers)}
        for number, visitor, person, times, *more in self._session.execute(VISITORS_STATES, parameters).all():
            if (number, person) in self._loaded:
                self._states[number, visitor] = _progress(times, *more)
                self.join(self._triggers[number], visitor, person, customers[person])

    def join(self, trigger: Trigger, visitor: str, person: str, customer_id: str) -> None:
        """Give what a visitor has done to the customer that it turned out to be."""
        visitor_progress = self._states.pop((trigger.id, visitor), None)
        if visitor_progress is None or visitor_progress.is_empty:
            return
        merged = progress.joined(self.of(trigger, person), visitor_progress, trigger.window)
        for sequence in merged.sequences:
            sequence.opened = {**sequence.opened, "customer_id": sequence.opened["customer_id"] or customer_id}
        self._states[trigger.id, person] = merged
        self._gone.add((trigger.id, visitor))

    def drop(self, key: Key) -> None:
        """Forget a state."""
        self._states.pop(key, None)
        self._gone.add(key)

    def keep(self) -> None:
        """Write what has changed."""
        changed = [(key, self._states[key]) for key in sorted(self._states) if self._states[key].changed]
        rows = [_row(key, state) | {"version": self._version(key[0])} for key, state in changed]
        tenant_id = self._scope.tenant_id
        if rows:
            parameters = {"tenant_id": tenant_id, "now": self._scope.clock.now(), "rows": orjson.dumps(rows).decode()}
            self._session.execute(KEEP_STATES, parameters)
        if self._gone:
            keys = [{"series_id": series, "person": person} for series, person in sorted(self._gone)]
            self._session.execute(DROP_STATES, {"tenant_id": tenant_id, "keys": orjson.dumps(keys).decode()})


def _progress(
    times: Sequence[datetime], deadline: datetime | None, closed_at: datetime | None, opened: dict[str, Any] | None
) -> Progress:
    """What is kept of a person: of several open sequences the later ones stand in the first, with their deadlines."""
    state = Progress(list(times), closed_at)
    if opened is not None and deadline is not None:
        first = {name: value for name, value in opened.items() if name != LATER}
        later = [
            OpenSequence(sequence["opened"], datetime.fromisoformat(sequence["deadline"]))
            for sequence in opened.get(LATER, [])
        ]
        state.sequences = [OpenSequence(first, deadline), *later]
    return state


def _row(key: Key, state: Progress) -> dict[str, Any]:
    series, person = key
    opened = None
    if state.sequences:
        first, *later = state.sequences
        more = {LATER: [{"opened": each.opened, "deadline": each.deadline} for each in later]} if later else {}
        opened = {**first.opened, **more}
    return {
        "series_id": series,
        "person": person,
        "times": state.times,
        "deadline": state.deadline,
        "closed_at": state.closed_at,
        "opened": opened,
    }


def with_parameters(opened: dict[str, Any], kept: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """What is kept of the events that opened sequences, with other parameters in each."""
    changed = {**opened, "parameters": kept(opened.get("parameters") or {})}
    if LATER in opened:
        changed[LATER] = [
            {**sequence, "opened": with_parameters(sequence["opened"], kept)} for sequence in opened[LATER]
        ]
    return changed


def candidates(scope: Scope, session: Session, arrivals: Sequence[tuple[Arrival, Sequence[Watch]]]) -> list[Candidate]:
    """The triggers that events have met, in order of the events; states are read and kept in the transaction."""
    stateful = {
        watch.trigger.id: watch.trigger for _, watches in arrivals for watch in watches if _is_stateful(watch.trigger)
    }
    states = States(scope, session, stateful)
    states.load(
        (watch.trigger.id, arrival.person)
        for arrival, watches in arrivals
        for watch in watches
        if _is_stateful(watch.trigger)
    )
    states.adopt({arrival.person: arrival.customer_id for arrival, _ in arrivals if arrival.customer_id})
    met = []
    for arrival, watches in arrivals:
        taken: set[int] = set()
        for watch in watches:
            trigger = watch.trigger
            if trigger.id in taken:
                continue
            if watch.role is Role.CLOSES:
                taken.add(trigger.id)
            if _meets(watch, arrival, states):
                met.append(_candidate(trigger, arrival))
    states.keep()
    return met


def _is_stateful(trigger: Trigger) -> bool:
    return trigger.body.trigger.kind != "simple"


def _meets(watch: Watch, arrival: Arrival, states: States) -> bool:
    """Whether an event meets a trigger now; what it does to a sequence is noted."""
    trigger, kind = watch.trigger, watch.trigger.body.trigger
    if isinstance(kind, RepeatedTrigger):
        return progress.count(states.of(trigger, arrival.person), arrival.at, trigger.window, kind.times)
    if not isinstance(kind, SequenceTrigger):
        return True
    state = states.of(trigger, arrival.person)
    if watch.role is Role.CLOSES:
        progress.close(state, arrival.at)
    elif watch.role is Role.RESTARTS:
        progress.restart(state, arrival.at, trigger.window)
    else:
        progress.begin(state, arrival.at, trigger.window, _opening(arrival))
    return False


def _opening(arrival: Arrival) -> dict[str, Any]:
    """What is kept of the event that opens a sequence."""
    return {
        "key": arrival.key,
        "at": arrival.at.isoformat(),
        "customer_id": arrival.customer_id,
        "visitor_id": arrival.visitor_id,
        "parameters": arrival.parameters,
    }


def _candidate(trigger: Trigger, arrival: Arrival) -> Candidate:
    is_visitor = not arrival.customer_id
    customer_id = arrival.visitor_id if is_visitor else arrival.customer_id
    return Candidate(trigger, arrival.person, customer_id, is_visitor, arrival.key, arrival.parameters)


def by_tenant(rows: Iterable[Any]) -> dict[int, list[Any]]:
    """Rows that begin with a tenant, by it."""
    tenants: dict[int, list[Any]] = defaultdict(list)
    for tenant_id, *rest in rows:
        tenants[tenant_id].append(rest)
    return tenants
