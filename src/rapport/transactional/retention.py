"""What is kept of transactional mail for a time only: it is dropped some pages of a table at a time."""

# ruff: noqa: S608 - statements are put together of constants

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.transactional.settings import TransactionalSettings


def _before(setting: str) -> str:
    """SQL of the instant before which what a setting of the row's tenant keeps for so many days is too old."""
    default = int(TransactionalSettings.model_fields[setting].default)
    days = f"coalesce(CAST(tenants.settings #>> '{{{TransactionalSettings.section},{setting}}}' AS int), {default})"
    return f":now - make_interval(days => {days})"


PAGES = "{0}.ctid >= CAST(:first AS tid) AND {0}.ctid < CAST(:last AS tid)".format
RECIPIENTS, SENDS = "transactional_recipients", "transactional_sends"
ATTACHMENTS, KEYS = "transactional_attachments", "transactional_request_keys"
OF_SEND = f"""
    SELECT 1 FROM {RECIPIENTS} AS logged
    WHERE logged.tenant_id = {SENDS}.tenant_id AND logged.send_id = {SENDS}.id"""
PUSHES, PUSHED = "push_notifications", "push_recipients"
OF_PUSH = f"""
    SELECT 1 FROM {PUSHED} AS pushed
    WHERE pushed.tenant_id = {PUSHES}.tenant_id AND pushed.notification_id = {PUSHES}.id"""
# A send goes when the last of its recipients has gone, its content when nobody's preview needs it, its files when all
# its messages have ended.
STATEMENTS = {
    RECIPIENTS: (
        f"""
        DELETE FROM {RECIPIENTS} USING tenants
        WHERE {PAGES(RECIPIENTS)} AND tenants.id = {RECIPIENTS}.tenant_id AND ended_at < {_before("log_days")}
        """,
        f"""
        UPDATE {RECIPIENTS} SET personalizations = '', content_dropped = true FROM tenants
        WHERE {PAGES(RECIPIENTS)} AND tenants.id = {RECIPIENTS}.tenant_id AND NOT content_dropped
            AND ended_at < {_before("preview_days")}
        """,
    ),
    SENDS: (
        f"DELETE FROM {SENDS} WHERE {PAGES(SENDS)} AND NOT EXISTS ({OF_SEND})",
        f"""
        UPDATE {SENDS} SET content = ''
        WHERE {PAGES(SENDS)} AND content <> '' AND NOT EXISTS ({OF_SEND} AND NOT logged.content_dropped)
        """,
    ),
    ATTACHMENTS: (
        f"""
        DELETE FROM {ATTACHMENTS} WHERE {PAGES(ATTACHMENTS)} AND NOT EXISTS (
            SELECT 1 FROM {RECIPIENTS} AS logged
            WHERE logged.tenant_id = {ATTACHMENTS}.tenant_id AND logged.send_id = {ATTACHMENTS}.send_id
                AND logged.ended_at IS NULL
        )
        """,
    ),
    PUSHED: (
        f"""
        DELETE FROM {PUSHED} USING tenants
        WHERE {PAGES(PUSHED)} AND tenants.id = {PUSHED}.tenant_id AND ended_at < {_before("log_days")}
        """,
    ),
    PUSHES: (f"DELETE FROM {PUSHES} WHERE {PAGES(PUSHES)} AND NOT EXISTS ({OF_PUSH})",),
    KEYS: (f"DELETE FROM {KEYS} WHERE {PAGES(KEYS)} AND kept_until <= :now",),
}


def drop_old(session: Session, table: str, first: str, last: str, now: datetime) -> None:
    """Drop what is too old of a table of STATEMENTS on pages first to last. May be repeated."""
    for sql in STATEMENTS[table]:
        session.execute(text(sql), {"first": first, "last": last, **({"now": now} if ":now" in sql else {})})
