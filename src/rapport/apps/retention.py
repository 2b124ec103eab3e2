"""What is kept of apps for a time only: it is dropped some pages of a table at a time."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

KEYS_KEPT, ERRORS_KEPT = timedelta(days=30), timedelta(days=30)
PAGES = "ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)"
STATEMENTS = {
    "device_event_keys": (
        text(f"DELETE FROM device_event_keys WHERE {PAGES} AND received_date < CAST(:before AS date)"),  # noqa: S608
        KEYS_KEPT,
    ),
    "provider_errors": (text(f"DELETE FROM provider_errors WHERE {PAGES} AND at < :before"), ERRORS_KEPT),  # noqa: S608
}


def drop_old(session: Session, table: str, first: str, last: str, now: datetime) -> None:
    """Drop what is too old on pages first to last of one of the tables."""
    statement, kept = STATEMENTS[table]
    session.execute(statement, {"first": first, "last": last, "before": now - kept})
