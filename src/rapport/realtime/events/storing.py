"""Accepted events into the records: one transaction for all that wait, however many requests sent them."""

import codecs
import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, text

from rapport.realtime.events.visitors import Link, Links, links
from rapport.realtime.recording.telling import put_in_line, tells
from rapport.realtime.states import EventStatus, Origin
from rapport.stores.records import Records
from rapport.stores.workers.listening import Topic

# One statement stores events, notes what the log and the counts say of them, and wakes who waits for them: each
# trip to the records would let other threads of this process go first. Keys go in in order, so that two processes
# never wait for each other crosswise. Answers the positions of events that were there already, or come twice.
STORE = text(f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS g(
            place int, tenant_id int, key uuid, may_repeat boolean, event text, origin text, customer_id text,
            visitor_id text, parameters jsonb, event_at timestamptz, received_at timestamptz, day date, status text
        )
    ),
    entries AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json)) AS g(
            place int, tenant_id int, at timestamptz, day date, status text, origin text, event text, person text,
            reason text, body text, logged boolean
        )
    ),
    firsts AS MATERIALIZED (
        SELECT DISTINCT ON (tenant_id, key) place, tenant_id, key, day FROM given WHERE may_repeat
        ORDER BY tenant_id, key, place
    ),
    fresh AS (
        INSERT INTO event_keys (tenant_id, key, received_date)
        SELECT tenant_id, key, day FROM firsts ORDER BY tenant_id, key
        ON CONFLICT DO NOTHING RETURNING tenant_id, key
    ),
    repeated AS MATERIALIZED (
        SELECT place FROM given WHERE may_repeat AND place NOT IN (
            SELECT firsts.place FROM firsts JOIN fresh ON fresh.tenant_id = firsts.tenant_id AND fresh.key = firsts.key
        )
    ),
    stored AS (
        INSERT INTO accepted_events
            (tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, state)
        SELECT tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, 0
        FROM given WHERE place NOT IN (SELECT place FROM repeated) ORDER BY place
    ),
    written AS (
        INSERT INTO event_log (tenant_id, at, status, origin, event, person, reason, body)
        SELECT tenant_id, at, status, origin, event, person, reason, body FROM entries
        WHERE logged AND (place IS NULL OR place NOT IN (SELECT place FROM repeated)) ORDER BY coalesce(place, 0)
    ),
    counted AS (
        INSERT INTO event_counts AS known (tenant_id, day, status, count)
        SELECT tenant_id, day, status, count(*) FROM (
            SELECT tenant_id, day,
                CASE WHEN place IN (SELECT place FROM repeated) THEN '{EventStatus.DUPLICATE}' ELSE status END AS status
            FROM given
            UNION ALL
            SELECT tenant_id, day, status FROM entries WHERE place IS NULL AND status = '{EventStatus.ERROR}'
        ) AS every
        GROUP BY tenant_id, day, status ORDER BY tenant_id, day, status
        ON CONFLICT (tenant_id, day, status) DO UPDATE SET count = known.count + excluded.count
    ),
    told AS MATERIALIZED (
        SELECT pg_notify(:channel, CAST(tenant_id AS text))
        FROM (SELECT DISTINCT tenant_id FROM given WHERE place NOT IN (SELECT place FROM repeated)) AS tenants
    )
    SELECT (SELECT array_agg(place) FROM repeated) AS repeated, (SELECT count(*) FROM told) AS told
""").bindparams(channel=Topic.EVENTS.value)  # noqa: S608 - ours
# A connection that was not used for so long goes back to the pool, which makes sure that it still works.
IDLE_SECONDS = 2.0
MAX_EVENT, MAX_PERSON, MAX_REASON, MAX_BODY = 255, 300, 500, 8000
# Of a body that is nested too deeply to be written.
SHOWN_LEVELS, TOO_DEEP = 10, "(nested too deeply to be shown)"
# Does not mind a character that was cut in two at the end.
UTF_8 = codecs.getincrementaldecoder("utf-8")


@dataclass(slots=True)
class Incoming:
    """An event as it was validated. event_id is the sender's own, None when it gave none.

    event_at is never in the future; sent_hour is that of the timestamp as it was given, in hours since 1970.

    warnings tell what of it could not be used; logged is false when as much like it is in the log already.
    body is what was sent, for the log. verified: an app proved that its user is the customer.
    """

    event: str
    origin: str
    event_at: datetime
    customer_id: str = ""
    visitor_id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    event_id: str | None = None
    sent_hour: int = 0
    warnings: list[str] = field(default_factory=list)
    body: Any = None
    logged: bool = True
    verified: bool = False


@dataclass(slots=True)
class LogEntry:
    """Something for the event log. body is an event as JSON reads it, or the bytes of a body that holds none."""

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

    @property
    def size(self) -> int:
        """How much there is to store."""
        return len(self.events) + len(self.entries)


def key_of(one: Incoming) -> uuid.UUID:
    """The key of an event by the sender's id: that of apps, which anybody can send, is never that of a server.

    Apps repeat an event as it was, so that the hour of its timestamp comes first: keys of now lie side by side,
    and telling a repetition costs the same however many are remembered.
    """
    if one.event_id is None:
        return uuid.uuid4()
    digest = hashlib.blake2b(f"{one.origin}\0{one.event_id.lower()}".encode(), digest_size=16).digest()
    if one.origin == Origin.SDK:
        digest = one.sent_hour.to_bytes(4, "big") + digest[:12]
    return uuid.UUID(bytes=digest)


class Store:
    """Writes submissions, on a connection of its own where one statement is enough."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._links = Links()
        self._kept: Connection | None = None
        self._used = 0.0

    def keep(self, submissions: Sequence[Submission]) -> list[list[Accepted]]:
        """Store what was submitted, in one transaction; what became of each event, by submission."""
        keys = [[key_of(one) for one in each.events] for each in submissions]
        events, entries = _rows(submissions, keys)
        bound = {"events": orjson.dumps(events).decode(), "entries": orjson.dumps(entries).decode()}
        found = [link for each in submissions for link in _links(each)]
        told = _details(submissions)
        if told or self._links.are_new(found):
            with self._records.engine.begin() as connection:
                repeated = connection.execute(STORE, bound).scalar()
                new = self._links.keep(connection, found)
                for tenant_id, now, some in _new_details(told, set(repeated or ())):
                    put_in_line(connection, tenant_id, now, some)
            self._links.kept(new)
        else:
            repeated = self._alone(bound)
        return _answers(keys, set(repeated or ()))

    def _alone(self, bound: dict[str, str]) -> list[int] | None:
        """The one statement, which is a transaction by itself."""
        if self._kept is not None and time.monotonic() - self._used > IDLE_SECONDS:
            self._kept.close()
            self._kept = None
        if self._kept is None:
            self._kept = self._records.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            repeated: list[int] | None = self._kept.execute(STORE, bound).scalar()
            self._used = time.monotonic()
        except BaseException:
            self._kept.invalidate()
            self._kept.close()
            self._kept = None
            raise
        return repeated


def _rows(
    submissions: Sequence[Submission], keys: Sequence[Sequence[uuid.UUID]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Events and entries of the log as STORE takes them."""
    events: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for each, its in zip(submissions, keys, strict=True):
        entries += (_entry(each, one, None) for one in each.entries)
        for one, key in zip(each.events, its, strict=True):
            status = EventStatus.WARNING if one.warnings else EventStatus.SUCCESS
            if each.recording or (one.warnings and one.logged):
                entries.append(_entry(each, _told(one, status), len(events)))
            events.append(_row(each, one, key, len(events), status))
    return events, entries


def _row(each: Submission, one: Incoming, key: uuid.UUID, place: int, status: str) -> dict[str, Any]:
    return {
        "place": place,
        "tenant_id": each.tenant_id,
        "key": key,
        "may_repeat": one.event_id is not None,
        "event": one.event,
        "origin": one.origin,
        "customer_id": one.customer_id,
        "visitor_id": one.visitor_id,
        "parameters": one.parameters,
        "event_at": one.event_at,
        "received_at": each.now,
        "day": each.day,
        "status": status,
    }


def _links(each: Submission) -> list[Link]:
    return [
        link
        for one in each.events
        for link in links(
            each.tenant_id,
            one.event,
            one.customer_id,
            one.visitor_id,
            one.parameters,
            min(one.event_at, each.now),
            one.origin,
        )
    ]


def _details(submissions: Sequence[Submission]) -> dict[int, tuple[Submission, Incoming]]:
    """The events that tell details of their customers, by their places among all."""
    every = ((each, one) for each in submissions for one in each.events)
    return {place: told for place, told in enumerate(every) if tells(told[1].event, told[1].origin)}


def _new_details(
    told: dict[int, tuple[Submission, Incoming]], repeated: set[int]
) -> Iterator[tuple[int, datetime, list[dict[str, Any]]]]:
    """By tenant, in order, those that were not stored before."""
    by_tenant: dict[int, list[tuple[Submission, Incoming]]] = {}
    for place, (each, one) in told.items():
        if place not in repeated:
            by_tenant.setdefault(each.tenant_id, []).append((each, one))
    for tenant_id, some in sorted(by_tenant.items(), key=itemgetter(0)):
        yield tenant_id, some[-1][0].now, [_detail(each, one) for each, one in some]


def _detail(each: Submission, one: Incoming) -> dict[str, Any]:
    return {
        "event": one.event,
        "origin": one.origin,
        "customer": one.customer_id,
        "visitor": one.visitor_id,
        "verified": one.verified,
        "parameters": one.parameters,
        "at": min(one.event_at, each.now).isoformat(),
    }


def _answers(keys: Sequence[Sequence[uuid.UUID]], repeated: set[int]) -> list[list[Accepted]]:
    answers, n = [], 0
    for its in keys:
        answers.append([Accepted(key, n + place in repeated) for place, key in enumerate(its)])
        n += len(its)
    return answers


def _told(one: Incoming, status: str) -> LogEntry:
    person = (one.customer_id or one.visitor_id).lower()
    return LogEntry(status, one.origin, one.event, person, "; ".join(one.warnings), one.body)


def _entry(each: Submission, one: LogEntry, place: int | None) -> dict[str, Any]:
    body = "" if one.body is None or not one.logged else _shown(one.body)
    return {
        "place": place,
        "tenant_id": each.tenant_id,
        "at": each.now,
        "day": each.day,
        "status": one.status,
        "origin": one.origin,
        "event": _storable(one.event, MAX_EVENT),
        "person": _storable(one.person, MAX_PERSON),
        "reason": _storable(one.reason, MAX_REASON),
        "body": _storable(body, MAX_BODY),
        "logged": one.logged or each.recording,
    }


def _shown(body: Any) -> str:
    """What was sent, as JSON, or as it came; bytes that are no text are not shown."""
    if isinstance(body, bytes):
        try:
            return UTF_8().decode(body)
        except UnicodeDecodeError:
            return ""
    try:
        return orjson.dumps(body).decode()
    except orjson.JSONEncodeError:  # what is nested more than 254 times can be read but not written
        return orjson.dumps(_shortened(body, SHOWN_LEVELS)).decode()


def _shortened(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, dict):
        return {name: _shortened(one, levels - 1) for name, one in value.items()}
    return [_shortened(one, levels - 1) for one in value]


def _storable(words: str, longest: int) -> str:
    return words[:longest].replace("\0", "\ufffd")
