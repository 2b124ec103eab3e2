"""Credentials that were refused: a row of the audit log where it is known whose they are, else a log line.

Whoever sends bad ones without end fills no table: a credential that is refused for one reason has one row an hour,
whose count is written at 1, 2, 4, 8, ... so that it says "at least".
"""

import threading
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import Counter
from sqlalchemy import update

from rapport.access.models import AuditEntry
from rapport.stores import Stores
from rapport.stores.records import Records

REFUSED = Counter("rapport_refused_credentials_total", "Keys, logins and passwords that were refused", ["reason"])
WINDOW = timedelta(hours=1)
MOST_REMEMBERED = 10_000
log = structlog.get_logger("rapport.access")

# By tenant, credential and reason: since when, the audit row, how often.
Seen = dict[tuple[int, str, str], tuple[datetime, int, int]]
_SEEN: WeakKeyDictionary[Records, Seen] = WeakKeyDictionary()
_LOCK = threading.Lock()


def note_unknown(reason: str, address: str) -> None:
    """Note a credential that is nobody's. What it was is not logged: it may be good elsewhere."""
    REFUSED.labels(reason).inc()
    log.warning("refused", reason=reason, address=address)


def note_refusal(stores: Stores, tenant_id: int, credential: str, reason: str, address: str) -> None:
    """Note a credential of a tenant (`key rap_5Zk2m1Qa`, `user anna`) that was refused."""
    REFUSED.labels(reason).inc()
    now, refusal = stores.clock.now(), (tenant_id, credential, reason)
    with _LOCK:
        seen = _SEEN.setdefault(stores.records, {})
        since, row, count = seen.get(refusal, (now, 0, 0))
        if now - since >= WINDOW or now < since:
            since, row, count = now, 0, 0
        if refusal not in seen and len(seen) >= MOST_REMEMBERED:
            seen.clear()
        count += 1
        if row and count & (count - 1) == 0:
            _count(stores, refusal, row, address, count)
        elif not row:
            row = _add(stores, refusal, address)
        seen[refusal] = (since, row, count)


def _add(stores: Stores, refusal: tuple[int, str, str], address: str) -> int:
    tenant_id, credential, reason = refusal
    details = {"reason": reason, "address": address, "count": 1}
    entry = AuditEntry(
        tenant_id=tenant_id,
        at=stores.clock.now(),
        actor="nobody",
        action="refuse",
        object=credential[:300],
        details=details,
    )
    with stores.records.session() as session:
        session.add(entry)
        session.flush()
    return entry.id


def _count(stores: Stores, refusal: tuple[int, str, str], row: int, address: str, count: int) -> None:
    tenant_id, _, reason = refusal
    details = {"reason": reason, "address": address, "count": count}
    mine = (AuditEntry.tenant_id == tenant_id, AuditEntry.id == row)
    with stores.records.session() as session:
        session.execute(update(AuditEntry).where(*mine).values(details=details))
