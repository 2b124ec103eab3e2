"""Prices and calls are dropped after a time, and whatever a brand had that is gone, some pages of a table at a time."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

PRICES_KEPT, CALLS_KEPT = timedelta(days=90), timedelta(days=7)
PAGES = "ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid)"
IS_GONE = """NOT EXISTS (SELECT 1 FROM brand_groups
    WHERE brand_groups.tenant_id = {table}.tenant_id AND brand_groups.id = {table}.brand_group_id)"""
IS_OLD = {
    "sports_records": "false",
    "sports_prices": "at < :prices_before",
    # The newest call stays, since the next is counted from it.
    "sports_calls": """at < :calls_before AND EXISTS (SELECT 1 FROM sports_calls AS newer
        WHERE newer.tenant_id = sports_calls.tenant_id AND newer.brand_group_id = sports_calls.brand_group_id
            AND newer.number > sports_calls.number)""",
}
STATEMENTS = {
    table: text(f"DELETE FROM {table} WHERE {PAGES} AND ({is_old} OR {IS_GONE.format(table=table)})")  # noqa: S608 - ours
    for table, is_old in IS_OLD.items()
}


def drop_old(session: Session, table: str, first: str, last: str, now: datetime) -> None:
    """Drop what is old from a table of STATEMENTS, on its pages from first to last (tid)."""
    session.execute(
        STATEMENTS[table],
        {"first": first, "last": last, "prices_before": now - PRICES_KEPT, "calls_before": now - CALLS_KEPT},
    )
