"""Chores of real time: what is kept for a time only is dropped a little at a time; and how much waits is measured."""

from datetime import timedelta

from sqlalchemy import text

from rapport.realtime.metrics import UNFILED, WAITING
from rapport.stores import Stores

KEYS_KEPT, LOG_KEPT, COUNTS_KEPT = timedelta(days=8), timedelta(days=30), timedelta(days=60)
# Keys have no index but the one that tells a repetition, so they are gone through page by page.
PAGES_AT_ONCE = 500
ENTRIES_AT_ONCE = 10_000
MOST_COUNTED = 1_000_000

PAGES = text("SELECT pg_relation_size('event_keys') / current_setting('block_size')::int")
DROP_KEYS = text("""
    DELETE FROM event_keys
    WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid) AND received_date < CAST(:before AS date)
""")
DROP_ENTRIES = text("""
    DELETE FROM event_log
    WHERE id IN (SELECT id FROM event_log ORDER BY id LIMIT :most) AND at < :before
""")
DROP_COUNTS = text("DELETE FROM event_counts WHERE day < CAST(:before AS date)")
WAITS = text("""
    SELECT (SELECT count(*) FROM (SELECT 1 FROM accepted_events WHERE state = 0 LIMIT :most) AS w),
           (SELECT count(*) FROM (SELECT 1 FROM accepted_events WHERE state > 0 LIMIT :most) AS h)
""")


class Purge:
    """Goes through keys and log; where it is in the keys is remembered in between."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._page = 0

    def portion(self) -> bool:
        """Drop one portion of what is too old; whether there may be more."""
        now = self._stores.clock.now()
        with self._stores.records.session() as session:
            pages = int(session.execute(PAGES).scalar_one())
            place = {"first": f"({self._page},0)", "last": f"({self._page + PAGES_AT_ONCE},0)"}
            session.execute(DROP_KEYS, {**place, "before": now - KEYS_KEPT})
            bound = {"before": now - LOG_KEPT, "most": ENTRIES_AT_ONCE}
            dropped = session.execute(DROP_ENTRIES, bound).rowcount  # type: ignore[attr-defined]
            session.execute(DROP_COUNTS, {"before": now - COUNTS_KEPT})
        self._page = self._page + PAGES_AT_ONCE if self._page + PAGES_AT_ONCE < pages else 0
        return self._page > 0 or dropped == ENTRIES_AT_ONCE


def measure(stores: Stores) -> None:
    """Tell the metrics how much waits, up to a million."""
    with stores.records.reading() as connection:
        waiting, unfiled = connection.execute(WAITS, {"most": MOST_COUNTED}).one()
    WAITING.set(waiting)
    UNFILED.set(unfiled)
