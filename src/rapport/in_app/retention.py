"""In-app messages that have ended are dropped after a time, some pages of the table at a time."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

# Until then, a device that was switched off meanwhile learns that another one has shown or deleted a message.
KEPT = timedelta(days=90)
TABLE = "in_app_messages"
# A message has ended when it has expired, when its user has deleted it, and, if it is in no inbox, when it was shown.
DROP = text(f"""
    DELETE FROM {TABLE} WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)
        AND least(expires_at, inbox_deleted_at, CASE WHEN inbox IS NULL THEN opened_at END) < :before
""")  # noqa: S608 - ours


def drop_old(session: Session, first: str, last: str, now: datetime) -> None:
    """Drop what ended long ago, on the pages from first to last (tid)."""
    session.execute(DROP, {"first": first, "last": last, "before": now - KEPT})
