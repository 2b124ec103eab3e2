"""Accepted events into the records: one transaction for all that wait, however many requests sent them."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from rapport.realtime.models import DUPLICATE, ERROR, SUCCESS, WARNING
from rapport.realtime.visitors import Link, Links, links
from rapport.stores.records import Records

# Keys go in in order, so that two processes never wait for each other crosswise; answers the positions of
# events that were there already, or come twice.
STORE = text("""
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS g(
            n int, t int, k uuid, u boolean, e text, o text, c text, v text, p jsonb,
            a timestamptz, r timestamptz, d date
        )
    ),
    firsts AS MATERIALIZED (SELECT DISTINCT ON (t, k) n, t, k, d FROM given WHERE u ORDER BY t, k, n),
    fresh AS (
        INSERT INTO event_keys (tenant_id, key, received_date) SELECT t, k, d FROM firsts ORDER BY t, k
        ON CONFLICT DO NOTHING RETURNING tenant_id, key
    ),
    new AS MATERIALIZED (
        SELECT firsts.n FROM firsts JOIN fresh ON fresh.tenant_id = firsts.t AND fresh.key = firsts.k
    ),
    stored AS (
        INSERT INTO accepted_events
            (tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, state)
        SELECT t, k, e, o, c, v, p, a, r, 0 FROM given WHERE NOT u OR n IN (SELECT n FROM new) ORDER BY n
    )
    SELECT n FROM given WHERE u AND n NOT IN (SELECT n FROM new)
""")
LOG = text("""
    INSERT INTO event_log (tenant_id, at, status, origin, event, person, reason, body)
    SELECT t, a, s, o, e, p, r, b FROM json_to_recordset(CAST(:entries AS json)) AS g(
        t int, a timestamptz, s text, o text, e text, p text, r text, b text
    )
""")
# Last in the transaction: these rows are everybody's.
COUNT = text("""
    INSERT INTO event_counts AS known (tenant_id, day, status, count)
    SELECT t, d, s, n FROM json_to_recordset(CAST(:counts AS json)) AS g(t int, d date, s text, n bigint)
    ORDER BY t, d, s
    ON CONFLICT (tenant_id, day, status) DO UPDATE SET count = known.count + excluded.count
""")
MAX_EVENT, MAX_PERSON, MAX_REASON, MAX_BODY = 255, 300, 500, 8000
NOTIFY = text("SELECT pg_notify('rapport_events', t) FROM unnest(CAST(:tenants AS text[])) AS t")


@dataclass(slots=True)
class Incoming:
    """An event as it was validated. event_id is the sender's own, None when it gave none.

    warnings tell what of it could not be used; logged is false when as much like it is in the log already.
    body is what was sent, for the log.
    """

    event: str
    origin: str
    event_at: datetime
    customer_id: str = ""
    visitor_id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    event_id: str | None = None
    warnings: list[str] = field(default_factory=list)
    body: Any = None
    logged: bool = True


@dataclass(slots=True)
class LogEntry:
    """Something for the events log."""

    status: str
    origin: str
    event: str
    person: str
    reason: str
    body: Any
    logged: bool = True


@dataclass(slots=True, frozen=True)
class Accepted:
    """An event that is stored. number is the same for every repetition of it."""

    key: uuid.UUID
    duplicate: bool

    @property
    def number(self) -> int:
        """A number of 16 digits that names the event."""
        return self.key.int % 9 * 10**15 + 10**15 + self.key.int % 10**15


@dataclass(slots=True)
class Submission:
    """What one request wants stored, and where its answer goes."""

    tenant_id: int
    now: datetime
    day: date
    events: Sequence[Incoming]
    entries: Sequence[LogEntry]
    recording: bool
    answer: "Future[list[Accepted]]" = field(default_factory=Future)


def key_of(origin: str, event_id: str | None) -> uuid.UUID:
    """The key of an event by the sender's id: that of apps, which anybody can send, is never that of a server."""
    if event_id is None:
        return uuid.uuid4()
    return uuid.UUID(bytes=hashlib.blake2b(f"{origin}\0{event_id.lower()}".encode(), digest_size=16).digest())


def store(records: Records, known: Links, submissions: Sequence[Submission]) -> list[list[Accepted]]:
    """Store what was submitted, in one transaction; what became of each event, by submission."""
    keys = [[key_of(one.origin, one.event_id) for one in each.events] for each in submissions]
    rows = [row for each, its in zip(submissions, keys, strict=True) for row in _rows(each, its)]
    for n, row in enumerate(rows):
        row["n"] = n
    found = [link for each in submissions for link in _links(each)]
    with records.engine.begin() as connection:
        repeated: set[int] = set()
        if rows:
            repeated = set(connection.execute(STORE, {"events": orjson.dumps(rows).decode()}).scalars())
        known.keep(connection, found)
        answers = _answers(submissions, keys, repeated)
        _note(connection, submissions, answers)
    known.kept(found)
    return answers


def _rows(each: Submission, keys: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
    return [
        {
            "t": each.tenant_id,
            "k": key,
            "u": one.event_id is not None,
            "e": one.event,
            "o": one.origin,
            "c": one.customer_id,
            "v": one.visitor_id,
            "p": one.parameters,
            "a": one.event_at,
            "r": each.now,
            "d": each.day,
        }
        for one, key in zip(each.events, keys, strict=True)
    ]


def _links(each: Submission) -> list[Link]:
    return [
        link
        for one in each.events
        for link in links(
            each.tenant_id, one.event, one.customer_id, one.visitor_id, one.parameters, min(one.event_at, each.now)
        )
    ]


def _answers(
    submissions: Sequence[Submission], keys: Sequence[Sequence[uuid.UUID]], repeated: set[int]
) -> list[list[Accepted]]:
    answers, n = [], 0
    for its in keys:
        answers.append([Accepted(key, n + place in repeated) for place, key in enumerate(its)])
        n += len(its)
    return answers


def _note(connection: Connection, submissions: Sequence[Submission], answers: Sequence[Sequence[Accepted]]) -> None:
    """The log, the counts of the day, and word to whoever waits for events."""
    entries: list[dict[str, Any]] = []
    counts: Counter[tuple[int, date, str]] = Counter()
    tenants = set()
    for each, its in zip(submissions, answers, strict=True):
        logged = [*(one for one in each.entries if one.logged or each.recording), *_logged(each, its)]
        entries += [_entry(each, one) for one in logged]
        for one, accepted in zip(each.events, its, strict=True):
            counts[each.tenant_id, each.day, _status(one, accepted)] += 1
            if not accepted.duplicate:
                tenants.add(str(each.tenant_id))
        counts[each.tenant_id, each.day, ERROR] += sum(one.status == ERROR for one in each.entries)
    if entries:
        connection.execute(LOG, {"entries": orjson.dumps(entries).decode()})
    if tenants:
        connection.execute(NOTIFY, {"tenants": sorted(tenants)})
    numbers = [{"t": t, "d": d, "s": s, "n": n} for (t, d, s), n in counts.items() if n]
    if numbers:
        connection.execute(COUNT, {"counts": orjson.dumps(numbers).decode()})


def _status(one: Incoming, accepted: Accepted) -> str:
    if accepted.duplicate:
        return DUPLICATE
    return WARNING if one.warnings else SUCCESS


def _logged(each: Submission, its: Sequence[Accepted]) -> list[LogEntry]:
    """Entries of accepted events: those with a warning, or all while everything is recorded."""
    return [
        LogEntry(
            _status(one, accepted),
            one.origin,
            one.event,
            (one.customer_id or one.visitor_id).lower(),
            "; ".join(one.warnings) or ("met again" if accepted.duplicate else ""),
            one.body,
        )
        for one, accepted in zip(each.events, its, strict=True)
        if each.recording or (one.warnings and not accepted.duplicate and one.logged)
    ]


def _entry(each: Submission, one: LogEntry) -> dict[str, Any]:
    body = "" if one.body is None else orjson.dumps(one.body).decode()
    return {
        "t": each.tenant_id,
        "a": each.now,
        "s": one.status,
        "o": one.origin,
        "e": _storable(one.event, MAX_EVENT),
        "p": _storable(one.person, MAX_PERSON),
        "r": _storable(one.reason, MAX_REASON),
        "b": body[:MAX_BODY],  # as JSON it has no character that cannot be stored
    }


def _storable(words: str, longest: int) -> str:
    return words[:longest].replace("\0", "\ufffd")
