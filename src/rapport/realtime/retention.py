"""Chores of real time: what is kept for a time only is dropped a little at a time; and how much waits is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.apps import retention as of_apps
from rapport.conditions.outcomes import Outcome
from rapport.delivery import outbox
from rapport.delivery.models import Source, State
from rapport.in_app import retention as in_app_retention
from rapport.inbox import forgetting
from rapport.notifications import service as notifications
from rapport.realtime.metrics import UNFILED, WAITING
from rapport.realtime.states import FiringState
from rapport.sports import retention as of_sports
from rapport.stores import Stores
from rapport.transactional.retention import STATEMENTS, drop_old

KEYS_KEPT, LOG_KEPT, COUNTS_KEPT = timedelta(days=8), timedelta(days=30), timedelta(days=60)
FIRINGS_KEPT = timedelta(days=30)
# Rows that have no index by age are gone through page by page.
PAGES_AT_ONCE = 500
ENTRIES_AT_ONCE = 10_000
MOST_COUNTED = 1_000_000

PAGES = text("SELECT pg_relation_size(CAST(:table AS regclass)) / current_setting('block_size')::int")
DROP_KEYS = text("""
    DELETE FROM event_keys
    WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:last AS tid) AND received_date < CAST(:before AS date)
""")
# Firings that are in the accounts, once no rule of their trigger looks back at them: re-entry counts its own over
# its days, caps count those of every trigger of the tenant. One that may be met once remembers whoever met it.
DROP_FIRINGS = text(f"""
    WITH caps AS (
        SELECT tenant_id, max(CAST(rules #>> '{{frequency_cap,days}}' AS int)) AS days FROM campaign_series
        WHERE trigger IS NOT NULL GROUP BY tenant_id
    ),
    looking AS MATERIALIZED (
        SELECT series.tenant_id, series.id, series.trigger ->> 're_entry' = 'once' AS once,
            greatest(caps.days, CAST(series.trigger #>> '{{re_entry,days}}' AS int), 0) AS days
        FROM campaign_series AS series JOIN caps ON caps.tenant_id = series.tenant_id WHERE series.trigger IS NOT NULL
    )
    DELETE FROM trigger_firings AS firing USING looking
    WHERE firing.ctid >= CAST(:first AS tid) AND firing.ctid < CAST(:last AS tid)
        AND firing.state = '{FiringState.FILED}'
        AND looking.tenant_id = firing.tenant_id AND looking.id = firing.series_id
        AND coalesce(firing.due_at, firing.fired_at) < least(:before, :now - make_interval(days => looking.days))
        AND NOT (looking.once AND firing.outcome IN ('{Outcome.SENT}', '{Outcome.FAILED}', '{Outcome.CONTROL}'))
    RETURNING firing.tenant_id, firing.id
""")  # noqa: S608 - ours
DROP_ENTRIES = text("""
    DELETE FROM event_log
    WHERE id IN (SELECT id FROM event_log ORDER BY id LIMIT :most) AND at < :before
""")
DROP_COUNTS = text("DELETE FROM event_counts WHERE day < CAST(:before AS date)")
WAITS = text("""
    SELECT (SELECT count(*) FROM (SELECT 1 FROM accepted_events WHERE state = 0 LIMIT :most) AS waiting),
           (SELECT count(*) FROM (SELECT 1 FROM accepted_events WHERE state > 0 LIMIT :most) AS handled)
""")
LEAVING = text(f"""
    SELECT (SELECT count(*) FROM trigger_firings WHERE state IN ('{FiringState.DELAYED}', '{FiringState.ASKING}')),
           (SELECT count(*) FROM messages WHERE batch IS NULL AND state IN ('{State.PENDING}', '{State.CLAIMED}')),
           (SELECT count(*) FROM (SELECT 1 FROM accepted_events WHERE state = 0 LIMIT :most) AS waiting)
""")  # noqa: S608 - ours


@dataclass(frozen=True)
class PendingWork:
    """What real time would send of all tenants: firings that wait for an hour or a gateway, messages that wait to be
    sent, and events that may fire triggers (up to a million).
    """

    firings: int
    firing_messages: int
    events: int


def leaving(stores: Stores) -> PendingWork:
    """What waits."""
    with stores.records.reading() as connection:
        return PendingWork(*connection.execute(LEAVING, {"most": MOST_COUNTED}).one())


@dataclass
class TableSweep:
    """A sweep through a table, some pages at a time; drop takes out what is too old on pages first to last."""

    table: str
    drop: Callable[[Session, str, str], object]
    page: int = 0
    ended: bool = False

    def portion(self, session: Session) -> None:
        """Go on by some pages; ended is set with the last."""
        pages = int(session.execute(PAGES, {"table": self.table}).scalar_one())
        following = self.page + PAGES_AT_ONCE
        self.drop(session, f"({self.page},0)", f"({following},0)")
        self.page, self.ended = following, following >= pages


class Purge:
    """Drops what is too old; how far it has come in tables without an index by age is remembered in between."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._sweeps = self._begun()

    def _begun(self) -> list[TableSweep]:
        return [
            TableSweep("event_keys", self._drop_keys),
            TableSweep("trigger_firings", self._drop_firings),
            TableSweep("deliveries", notifications.drop_ended),
            *(TableSweep(table, self._drop_ended(table, drop_old)) for table in STATEMENTS),
            *(TableSweep(table, self._drop_ended(table, forgetting.drop_old)) for table in forgetting.STATEMENTS),
            *(TableSweep(table, self._drop_ended(table, of_apps.drop_old)) for table in of_apps.STATEMENTS),
            *(TableSweep(table, self._drop_ended(table, of_sports.drop_old)) for table in of_sports.STATEMENTS),
            TableSweep(in_app_retention.TABLE, self._drop_in_app),
        ]

    def portion(self) -> bool:
        """Drop one portion of what is too old; whether there may be more."""
        now = self._stores.clock.now()
        for sweep in self._sweeps:
            if not sweep.ended:
                with self._stores.records.session() as session:
                    sweep.portion(session)
        with self._stores.records.session() as session:
            parameters = {"before": now - LOG_KEPT, "most": ENTRIES_AT_ONCE}
            dropped = session.execute(DROP_ENTRIES, parameters).rowcount  # type: ignore[attr-defined]
            session.execute(DROP_COUNTS, {"before": now - COUNTS_KEPT})
        sweeping = not all(sweep.ended for sweep in self._sweeps)
        if not sweeping and dropped < ENTRIES_AT_ONCE:
            self._sweeps = self._begun()
            return False
        return True

    def _drop_keys(self, session: Session, first: str, last: str) -> None:
        before = self._stores.clock.now() - KEYS_KEPT
        session.execute(DROP_KEYS, {"first": first, "last": last, "before": before})

    def _drop_ended(
        self, table: str, drop: Callable[[Session, str, str, str, datetime], object]
    ) -> Callable[[Session, str, str], object]:
        return lambda session, first, last: drop(session, table, first, last, self._stores.clock.now())

    def _drop_in_app(self, session: Session, first: str, last: str) -> None:
        in_app_retention.drop_old(session, first, last, self._stores.clock.now())

    def _drop_firings(self, session: Session, first: str, last: str) -> None:
        now = self._stores.clock.now()
        parameters = {"first": first, "last": last, "now": now, "before": now - FIRINGS_KEPT}
        dropped = [(tenant_id, firing_id) for tenant_id, firing_id in session.execute(DROP_FIRINGS, parameters)]
        outbox.drop_sources(session, Source.FIRING, dropped)


def measure(stores: Stores) -> None:
    """Tell the metrics how much waits in the records, up to a million."""
    with stores.records.reading() as connection:
        waiting, unfiled = connection.execute(WAITS, {"most": MOST_COUNTED}).one()
    WAITING.set(waiting)
    UNFILED.set(unfiled)
