"""The event log: what was refused or only partly used and why, and, while everything is recorded, all of it."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.realtime.events.storing import MAX_BODY, MAX_PERSON, MAX_REASON
from rapport.realtime.models import EventCount, EventLogEntry, EventRecording
from rapport.realtime.states import EventStatus

STATUSES = (EventStatus.SUCCESS, EventStatus.WARNING, EventStatus.ERROR)
RECORDING = timedelta(minutes=5)
COUNTED_DAYS = 14
# Of the same thing said of the same event only so much is logged a minute; all of it is counted.
ALIKE_A_MINUTE, ALL_A_MINUTE = 100, 3000
MINUTE_SECONDS = 60.0


class LogQuota:
    """How often each thing was logged in the present minute, in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute, self._logged = 0, Counter[tuple[int, str, str, str]]()

    def is_exhausted(self, tenant_id: int, status: str, event: str, reason: str) -> bool:
        """Whether one more entry like this is too many."""
        minute = int(time.monotonic() / MINUTE_SECONDS)
        with self._lock:
            if minute != self._minute:
                self._minute, self._logged = minute, Counter()
            logged, key, whole = self._logged, (tenant_id, status, event, reason), (tenant_id, "", "", "")
            if logged[key] >= ALIKE_A_MINUTE or logged[whole] >= ALL_A_MINUTE:
                return True
            logged[key] += 1
            logged[whole] += 1
            return False


def entries(
    scope: Scope,
    filters: Mapping[str, str | None],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: int,
) -> list[EventLogEntry]:
    """Entries of the log, newest first: of a status, an event, an origin, a person; older than the entry `before`."""
    statement = select(EventLogEntry).where(EventLogEntry.tenant_id == scope.tenant_id)
    for name, value in filters.items():
        if value is not None:
            wording = value.lower() if name == "person" else value
            statement = statement.where(getattr(EventLogEntry, name) == wording)
    if since is not None:
        statement = statement.where(EventLogEntry.at >= since)
    if until is not None:
        statement = statement.where(EventLogEntry.at < until)
    if before:
        statement = statement.where(EventLogEntry.id < before)
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(EventLogEntry.id.desc()).limit(limit)))


def counts(scope: Scope) -> list[tuple[date, dict[str, int]]]:
    """How many events there were of each status, on each of the tenant's last 14 days, today last."""
    today = scope.today()
    first = today - timedelta(days=COUNTED_DAYS - 1)
    statement = select(EventCount).where(EventCount.tenant_id == scope.tenant_id, EventCount.day >= first)
    with scope.reads() as session:
        numbers = {(count.day, count.status): count.count for count in session.scalars(statement)}
    days = [first + timedelta(days=number) for number in range(COUNTED_DAYS)]
    return [(day, {status: numbers.get((day, status), 0) for status in (*STATUSES, "duplicate")}) for day in days]


def record_all(scope: Scope) -> datetime:
    """Log every event for five minutes from now; the end of that."""
    until = scope.clock.now() + RECORDING
    statement = insert(EventRecording).values(tenant_id=scope.tenant_id, until_at=until)
    with scope.records() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_={"until_at": until}))
        scope.audit(session, "record", "events", until=until.isoformat())
    return until


def recording_until(scope: Scope) -> datetime | None:
    """Until when every event is logged; None when that is over."""
    with scope.reads() as session:
        until = session.scalar(select(EventRecording.until_at).where(EventRecording.tenant_id == scope.tenant_id))
    return until if until is not None and until > scope.clock.now() else None


def warn(
    scope: Scope, session: Session, origin: str, event: str, person: str, reasons: Iterable[str], body: str
) -> None:
    """Log what of an accepted event could not be used, in the caller's transaction."""
    session.add(
        EventLogEntry(
            tenant_id=scope.tenant_id,
            at=scope.clock.now(),
            status=EventStatus.WARNING,
            origin=origin,
            event=event,
            person=person.lower()[:MAX_PERSON],
            reason="; ".join(reasons)[:MAX_REASON].replace("\0", "\ufffd"),
            body=body[:MAX_BODY],
        )
    )
