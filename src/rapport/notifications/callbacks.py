"""Outcomes of accepted writes, to the callbacks that were given with them: deliveries as those of listeners.

Callbacks of one host make one queue, with a secret, retries and pauses of its own.
"""

from urllib.parse import urlsplit

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.customers.writes import ordering
from rapport.customers.writes.ordering import Outcome
from rapport.notifications.models import CALLBACK, Delivery, Listener
from rapport.notifications.states import DeliveryState, ListenerStatus
from rapport.stores.clock import Clock
from rapport.stores.outside.posting import new_secret
from rapport.stores.records import Records, next_id
from rapport.stores.workers.listening import Topic, publish

AT_ONCE = 50


def take_up(records: Records, clock: Clock) -> bool:
    """Make deliveries of outcomes that nobody has told yet; whether there may be more."""
    with records.session() as session:
        outcomes = ordering.take_outcomes(session, AT_ONCE)
        rows = [_delivery(session, clock, outcome) for outcome in outcomes]
        if rows:
            session.execute(insert(Delivery), rows)
            publish(session, Topic.DELIVERIES)
    return len(outcomes) == AT_ONCE


def _delivery(session: Session, clock: Clock, outcome: Outcome) -> dict[str, object]:
    return {
        "tenant_id": outcome.tenant_id,
        "listener_id": _endpoint(session, clock, outcome.tenant_id, outcome.callback_url),
        "event_type_id": CALLBACK,
        "event_key": outcome.job_id,
        "message_id": f"msg_{outcome.job_id}",
        "body": orjson.dumps(outcome.body).decode(),
        "url": outcome.callback_url,
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "last_error": "",
        "created_at": clock.now(),
    }


def _endpoint(session: Session, clock: Clock, tenant_id: int, url: str) -> int:
    """The listener that stands for a callback's host, made when there is none."""
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
    mine = (Listener.tenant_id == tenant_id, Listener.event_type_id == CALLBACK, Listener.callback_host == host)
    listener_id = session.scalar(select(Listener.id).where(*mine))
    if listener_id is not None:
        return listener_id
    number, now = next_id(session, tenant_id, "listener"), clock.now()
    session.execute(
        insert(Listener)
        .values(
            tenant_id=tenant_id,
            id=number,
            event_type_id=CALLBACK,
            channel_id=number,
            url=host,
            callback_host=host,
            secret=new_secret(),
            status=ListenerStatus.ACTIVE,
            failures=0,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )
    return session.scalars(select(Listener.id).where(*mine)).one()
