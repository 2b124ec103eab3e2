"""The recorder: the worker that hands on what came back about messages, in rounds, for a whole deployment."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

import psycopg
import structlog
from sqlalchemy import delete, func, select, text

from rapport.access.scope import scope_of
from rapport.delivery.models import MailEvent, MailEventKind
from rapport.delivery.returns import link_clicks
from rapport.delivery.returns.events import EventSink
from rapport.delivery.returns.machines import AT_ONCE, clicks_at_once
from rapport.errors import NotFound
from rapport.messaging.tracking.tokens import SentFor
from rapport.stores import Stores
from rapport.stores.records.locks import Leadership
from rapport.stores.workers.listening import Topic
from rapport.stores.workers.rounds import RoundWorker

log = structlog.get_logger("rapport.delivery")
AT_MOST = 2000
ROUND_SECONDS, RETRY_SECONDS = 1.0, 5.0
# Outcomes of messages are known soon after they left; what is about a message that never was is dropped after this.
PATIENCE = timedelta(hours=1)
WAITING = text("SELECT DISTINCT tenant_id FROM mail_events ORDER BY tenant_id")
# Clicks are ripe when no other on the same message is to be expected in the time that counts as at once.
RIPE = text("""
    SELECT event.id FROM mail_events AS event
    WHERE event.tenant_id = :tenant_id AND event.id > :after AND (event.kind <> :clicked OR NOT EXISTS (
        SELECT 1 FROM mail_events AS later
        WHERE later.tenant_id = event.tenant_id AND later.message_key = event.message_key AND later.kind = :clicked
            AND later.received_at > now() - CAST(:gathering AS interval)
    ) OR event.received_at < now() - 20 * CAST(:gathering AS interval))
    ORDER BY event.id LIMIT :at_most
""")

Sinks = Mapping[SentFor, EventSink]


class MailEventRecorder(RoundWorker):
    """The thread of a process, which waits until it leads."""

    name = "mail events"
    leadership = Leadership.MAIL_EVENTS
    topics = (Topic.MAIL_EVENTS,)
    gathers = 0.2
    pause_after_fault = RETRY_SECONDS

    def __init__(self, stores: Stores, sinks: Sinks) -> None:
        super().__init__(stores)
        self._stores, self._sinks = stores, sinks

    def round(self, words: Sequence[psycopg.Notify]) -> float:
        """Hand on what is ripe of every tenant."""
        waiting = [row.tenant_id for row in self.leading(WAITING)]
        for tenant_id in waiting:
            if not self.stopping:
                _record_tenant(self._stores, self._sinks, tenant_id, AT_ONCE)
        return ROUND_SECONDS if waiting else RETRY_SECONDS


def record_all(stores: Stores, sinks: Sinks, gathering: timedelta = AT_ONCE) -> None:
    """Hand on what is ripe, in a process that need not lead since it is alone."""
    with stores.records.reading() as connection:
        waiting = list(connection.execute(WAITING).scalars())
    for tenant_id in waiting:
        _record_tenant(stores, sinks, tenant_id, gathering)


def _record_tenant(stores: Stores, sinks: Sinks, tenant_id: int, gathering: timedelta) -> None:
    """Events of one tenant; its fault is logged and holds up no other."""
    after = 0
    try:
        while ids := _ripe(stores, tenant_id, after, gathering):
            _record(stores, sinks, tenant_id, ids)
            after = ids[-1]
            if len(ids) < AT_MOST:
                return
    except Exception:
        log.exception("events of messages cannot be recorded", tenant_id=tenant_id)


def _ripe(stores: Stores, tenant_id: int, after: int, gathering: timedelta) -> list[int]:
    parameters = {"tenant_id": tenant_id, "after": after, "clicked": MailEventKind.CLICKED, "at_most": AT_MOST}
    with stores.records.session() as session:
        return list(session.scalars(RIPE, {**parameters, "gathering": gathering}))


def _record(stores: Stores, sinks: Sinks, tenant_id: int, ids: Sequence[int]) -> None:
    with stores.records.reads() as session:
        events = list(session.scalars(select(MailEvent).where(MailEvent.id.in_(ids)).order_by(MailEvent.id)))
        now = session.scalars(select(func.now())).one()
    machines = clicks_at_once(events)
    by_purpose: dict[int, list[MailEvent]] = defaultdict(list)
    for event in events:
        event.by_machine = event.by_machine or event.id in machines
        by_purpose[event.sent_for].append(event)
    later: list[MailEvent] = []
    try:
        scope = scope_of(stores, tenant_id, actor="mail")
        for sent_for, of_purpose in by_purpose.items():
            if sink := sinks.get(SentFor(sent_for)):
                later += sink.record(scope, of_purpose)
    except NotFound:
        log.warning("events of messages of a tenant that is gone", tenant_id=tenant_id, events=len(events))
    kept = {event.id for event in later if now - event.received_at < PATIENCE}
    recorded = [event for event in events if event.id not in kept]
    with stores.records.session() as session:
        link_clicks.add(session, recorded)
        session.execute(delete(MailEvent).where(MailEvent.id.in_([event.id for event in recorded])))
