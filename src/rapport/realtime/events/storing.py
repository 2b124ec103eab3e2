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
from rapport.realtime.recording.profile_queue import put_in_line, tells
from rapport.realtime.states import EventStatus, Origin
from rapport.stores.records import Records
from rapport.stores.workers.listening import Topic

# One statement stores events, notes what the log and the counts say of them, and wakes who waits for them: each
# trip to the records would let other threads of this process go first. Keys go in in order, so that two processes
# never wait for each other crosswise. Answers the positions of events that were there already, or come twice.
STORE = text(f"""
    WITH submitted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS sent_event(
            number int, tenant_id int, key uuid, may_repeat boolean, event text, origin text, customer_id text,
            visitor_id text, parameters jsonb, event_at timestamptz, received_at timestamptz, day date, status text
        )
    ),
    entries AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json)) AS log_entry(
            number int, tenant_id int, at timestamptz, day date, status text, origin text, event text, person text,
            reason text, body text, logged boolean
        )
    ),
    firsts AS MATERIALIZED (
        SELECT DISTINCT ON (tenant_id, key) number, tenant_id, key, day FROM submitted WHERE may_repeat
        ORDER BY tenant_id, key, number
    ),
    fresh AS (
        INSERT INTO event_keys (tenant_id, key, received_date)
        SELECT tenant_id, key, day FROM firsts ORDER BY tenant_id, key
        ON CONFLICT DO NOTHING RETURNING tenant_id, key
    ),
    repeated AS MATERIALIZED (
        SELECT number FROM submitted WHERE may_repeat AND number NOT IN (
            SELECT firsts.number FROM firsts JOIN fresh ON fresh.tenant_id = firsts.tenant_id AND fresh.key = firsts.key
        )
    ),
    stored AS (
        INSERT INTO accepted_events
            (tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, state)
        SELECT tenant_id, key, event, origin, customer_id, visitor_id, parameters, event_at, received_at, 0
        FROM submitted WHERE number NOT IN (SELECT number FROM repeated) ORDER BY number
    ),
    written AS (
        INSERT INTO event_log (tenant_id, at, status, origin, event, person, reason, body)
        SELECT tenant_id, at, status, origin, event, person, reason, body FROM entries
        WHERE logged AND (number IS NULL OR number NOT IN (SELECT number FROM repeated)) ORDER BY coalesce(number, 0)
    ),
    counted AS (
        INSERT INTO event_counts AS earlier (tenant_id, day, status, count)
        SELECT tenant_id, day, status, count(*) FROM (
            SELECT tenant_id, day,
                CASE WHEN number IN (SELECT number FROM repeated) THEN '{EventStatus.DUPLICATE}' ELSE status END
                    AS status
            FROM submitted
            UNION ALL
            SELECT tenant_id, day, status FROM entries WHERE number IS NULL AND status = '{EventStatus.ERROR}'
        ) AS every
        GROUP BY tenant_id, day, status ORDER BY tenant_id, day, status
        ON CONFLICT (tenant_id, day, status) DO UPDATE SET count = earlier.count + excluded.count
    ),
    notified AS MATERIALIZED (
        SELECT pg_notify(:channel, CAST(tenant_id AS text))
        FROM (SELECT DISTINCT tenant_id FROM submitted WHERE number NOT IN (SELECT number FROM repeated)) AS tenants
    )
    SELECT (SELECT array_agg(number) FROM repeated) AS repeated, (SELECT count(*) FROM notified) AS notified
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


def key_of(event: Incoming) -> uuid.UUID:
    """The key of an event by the sender's id: that of apps, which anybody can send, is never that of a server.

    Apps repeat an event as it was, so that the hour of its timestamp comes first: keys of now lie side by side,
    and telling a repetition costs the same however many are remembered.
    """
    if event.event_id is None:
        return uuid.uuid4()
    digest = hashlib.blake2b(f"{event.origin}\0{event.event_id.lower()}".encode(), digest_size=16).digest()
    if event.origin == Origin.SDK:
        digest = event.sent_hour.to_bytes(4, "big") + digest[:12]
    return uuid.UUID(bytes=digest)


class Store:
    """Writes submissions, on a connection of its own where one statement is enough."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._links = Links()
        self._connection: Connection | None = None
        self._used = 0.0

    def keep(self, submissions: Sequence[Submission]) -> list[list[Accepted]]:
        """Store what was submitted, in one transaction; what became of each event, by submission."""
        keys = [[key_of(event) for event in submission.events] for submission in submissions]
        events, entries = _rows(submissions, keys)
        parameters = {"events": orjson.dumps(events).decode(), "entries": orjson.dumps(entries).decode()}
        new_links = [link for submission in submissions for link in _links(submission)]
        details = _details(submissions)
        if details or self._links.are_new(new_links):
            with self._records.engine.begin() as connection:
                repeated = connection.execute(STORE, parameters).scalar()
                kept_links = self._links.keep(connection, new_links)
                for tenant_id, now, rows in _new_details(details, set(repeated or ())):
                    put_in_line(connection, tenant_id, now, rows)
            self._links.kept(kept_links)
        else:
            repeated = self._alone(parameters)
        return _answers(keys, set(repeated or ()))

    def _alone(self, parameters: dict[str, str]) -> list[int] | None:
        """The one statement, which is a transaction by itself."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        if self._connection is None:
            self._connection = self._records.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            repeated: list[int] | None = self._connection.execute(STORE, parameters).scalar()
            self._used = time.monotonic()
        except BaseException:
            self._connection.invalidate()
            self.close()
            raise
        return repeated

    def close(self) -> None:
        """Give back the connection, if one is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _rows(
    submissions: Sequence[Submission], keys: Sequence[Sequence[uuid.UUID]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Events and entries of the log as STORE takes them."""
    events: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for submission, event_keys in zip(submissions, keys, strict=True):
        entries += (_entry(submission, entry, None) for entry in submission.entries)
        for event, key in zip(submission.events, event_keys, strict=True):
            status = EventStatus.WARNING if event.warnings else EventStatus.SUCCESS
            if submission.recording or (event.warnings and event.logged):
                entries.append(_entry(submission, _log_entry(event, status), len(events)))
            events.append(_row(submission, event, key, len(events), status))
    return events, entries


def _row(submission: Submission, event: Incoming, key: uuid.UUID, number: int, status: str) -> dict[str, Any]:
    return {
        "number": number,
        "tenant_id": submission.tenant_id,
        "key": key,
        "may_repeat": event.event_id is not None,
        "event": event.event,
        "origin": event.origin,
        "customer_id": event.customer_id,
        "visitor_id": event.visitor_id,
        "parameters": event.parameters,
        "event_at": event.event_at,
        "received_at": submission.now,
        "day": submission.day,
        "status": status,
    }


def _links(submission: Submission) -> list[Link]:
    return [
        link
        for event in submission.events
        for link in links(
            submission.tenant_id,
            event.event,
            event.customer_id,
            event.visitor_id,
            event.parameters,
            min(event.event_at, submission.now),
            event.origin,
        )
    ]


def _details(submissions: Sequence[Submission]) -> dict[int, tuple[Submission, Incoming]]:
    """The events that tell details of their customers, by their places among all."""
    every = ((submission, event) for submission in submissions for event in submission.events)
    return {number: detail for number, detail in enumerate(every) if tells(detail[1].event, detail[1].origin)}


def _new_details(
    details: dict[int, tuple[Submission, Incoming]], repeated: set[int]
) -> Iterator[tuple[int, datetime, list[dict[str, Any]]]]:
    """By tenant, in order, those that were not stored before."""
    by_tenant: dict[int, list[tuple[Submission, Incoming]]] = {}
    for number, (submission, event) in details.items():
        if number not in repeated:
            by_tenant.setdefault(submission.tenant_id, []).append((submission, event))
    for tenant_id, tenant_details in sorted(by_tenant.items(), key=itemgetter(0)):
        yield tenant_id, tenant_details[-1][0].now, [_detail(submission, event) for submission, event in tenant_details]


def _detail(submission: Submission, event: Incoming) -> dict[str, Any]:
    return {
        "event": event.event,
        "origin": event.origin,
        "customer": event.customer_id,
        "visitor": event.visitor_id,
        "verified": event.verified,
        "parameters": event.parameters,
        "at": min(event.event_at, submission.now).isoformat(),
    }


def _answers(keys: Sequence[Sequence[uuid.UUID]], repeated: set[int]) -> list[list[Accepted]]:
    answers, n = [], 0
    for event_keys in keys:
        answers.append([Accepted(key, n + number in repeated) for number, key in enumerate(event_keys)])
        n += len(event_keys)
    return answers


def _log_entry(event: Incoming, status: str) -> LogEntry:
    person = (event.customer_id or event.visitor_id).lower()
    return LogEntry(status, event.origin, event.event, person, "; ".join(event.warnings), event.body)


def _entry(submission: Submission, entry: LogEntry, number: int | None) -> dict[str, Any]:
    body = "" if entry.body is None or not entry.logged else _shown(entry.body)
    return {
        "number": number,
        "tenant_id": submission.tenant_id,
        "at": submission.now,
        "day": submission.day,
        "status": entry.status,
        "origin": entry.origin,
        "event": _storable(entry.event, MAX_EVENT),
        "person": _storable(entry.person, MAX_PERSON),
        "reason": _storable(entry.reason, MAX_REASON),
        "body": _storable(body, MAX_BODY),
        "logged": entry.logged or submission.recording,
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
        return {name: _shortened(member, levels - 1) for name, member in value.items()}
    return [_shortened(member, levels - 1) for member in value]


def _storable(words: str, longest: int) -> str:
    return words[:longest].replace("\0", "\ufffd")
