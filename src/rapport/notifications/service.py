"""Rules of notifications: who listens, and one durable delivery for each thing that a listener is to be told."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog
from prometheus_client import Gauge
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.errors import Conflict, Invalid, NotFound
from rapport.hosts import checked_url
from rapport.masks import unmasked
from rapport.notifications import queries
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.notifications.models import CALLBACK, Delivery, Listener
from rapport.notifications.states import DeliveryState, ListenerStatus
from rapport.stores import Stores
from rapport.stores.outside.posting import GRACE_HOURS, new_secret
from rapport.stores.parts import Part, part
from rapport.stores.records import next_id
from rapport.stores.workers.listening import Topic, publish

CLEARANCE, REAL_TIME, FILES = 5, 11, 14
GROUP_CHANGED, TRANSACTIONAL_EVENT, JOURNEY_STEP = 101, 102, 103  # from 101 on they are Rapport's own
EVENT_TYPES = (1, 2, 3, 4, 5, 11, 13, 14, GROUP_CHANGED, TRANSACTIONAL_EVENT, JOURNEY_STEP)
OF_NO_CHANNEL = (CLEARANCE, GROUP_CHANGED, JOURNEY_STEP)
DELIVERIES_WAITING = Gauge("rapport_deliveries_waiting", "Deliveries that listeners have not accepted yet")
DELIVERIES_PARKED = Gauge("rapport_deliveries_parked", "Deliveries that were given up and can be replayed")
LISTENERS_DISABLED = Gauge("rapport_listeners_disabled", "Disabled listeners")
MOST_COUNTED = 1_000_000
log = structlog.get_logger("rapport.notifications")
GENERAL = 0  # the channel of a listener that is told whatever the channel
MAX_ID = 2**31 - 1
ENDED_KEPT, PARKED_KEPT = timedelta(days=7), timedelta(days=30)


def listeners(scope: Scope, *, with_callbacks: bool = False) -> list[Listener]:
    """The tenant's listeners, by event type and channel, the general one first; and the hosts of callbacks if asked."""
    statement = select(Listener).where(Listener.tenant_id == scope.tenant_id)
    if not with_callbacks:
        statement = statement.where(Listener.event_type_id != CALLBACK)
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(Listener.event_type_id, Listener.channel_id)))


def listener(scope: Scope, listener_id: int) -> Listener:
    """A listener by id. Raises NotFound."""
    with scope.records() as session:
        return _get(scope, session, listener_id)


def _get(scope: Scope, session: Session, listener_id: int) -> Listener:
    listener = session.get(Listener, (scope.tenant_id, listener_id)) if listener_id <= MAX_ID else None
    if listener is None:
        raise NotFound(f"There is no listener {listener_id}.")
    return listener


def _known_type(event_type_id: int) -> None:
    if event_type_id not in EVENT_TYPES:
        raise Invalid(f"EventTypeID must be one of {', '.join(map(str, EVENT_TYPES))}.")


def register_listener(scope: Scope, event_type_id: int, url: str, channel_id: int | None = None) -> Listener:
    """Have events of a type (on a channel) posted to a URL, in place of any URL before. Raises Invalid.

    There is one listener of a type and channel; the audit log and the log tell whose place another one took. Secrets
    in the URL that are masked are those of the URL before, as long as it leads to the same place.
    """
    _known_type(event_type_id)
    if channel_id is not None and event_type_id in OF_NO_CHANNEL:
        raise Invalid(f"ChannelID must not be given with EventTypeID {event_type_id}.")
    if channel_id is None and event_type_id == FILES:
        raise Invalid("ChannelID is required with EventTypeID 14.")
    if channel_id is not None:
        try:
            channels.channel(scope, channel_id)
        except NotFound as error:
            raise Invalid(f"ChannelID {channel_id} is not a channel.") from error
    url = checked_url(url, "ListenerURL", allow_private=scope.stores.settings.allow_private_addresses)
    now = scope.clock.now()
    with scope.records() as session:
        before = _url_before(scope, session, event_type_id, channel_id or 0)
        url = unmasked(url, before, "ListenerURL")
        statement = insert(Listener).values(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "listener"),
            event_type_id=event_type_id,
            channel_id=channel_id or 0,
            url=url,
            secret=new_secret(),
            created_at=now,
            updated_at=now,
        )
        replaced = {"url": url, "status": ListenerStatus.ACTIVE, "failures": 0, "paused_until": None, "updated_at": now}
        statement = statement.on_conflict_do_update(
            index_elements=["tenant_id", "event_type_id", "channel_id"], set_=replaced
        )
        listener = session.scalars(statement.returning(Listener), execution_options={"populate_existing": True}).one()
        details = {"event_type_id": event_type_id, "channel_id": channel_id, "host": _host(url)}
        if before is not None and before != url:
            details["replaces"] = _host(before)
            log.warning(
                "a listener is replaced", tenant=scope.tenant_id, listener=listener.id, actor=scope.actor, **details
            )
        scope.audit(session, "register", f"listener {listener.id}", **details)
    return listener


def _url_before(scope: Scope, session: Session, event_type_id: int, channel_id: int) -> str | None:
    mine = (Listener.event_type_id == event_type_id, Listener.channel_id == channel_id)
    return session.scalar(select(Listener.url).where(Listener.tenant_id == scope.tenant_id, *mine).with_for_update())


def _host(url: str) -> str:
    """Of an address, what may be told: its query may hold a secret of the receiver's."""
    return urlsplit(url).netloc.rpartition("@")[2]


def unregister_listener(scope: Scope, event_type_id: int, channel_id: int | None = None) -> bool:
    """Stop telling: deliveries not yet made are canceled. False when there was no such listener. Raises Invalid."""
    _known_type(event_type_id)
    with scope.records() as session:
        listener = session.scalars(
            select(Listener).where(
                Listener.tenant_id == scope.tenant_id,
                Listener.event_type_id == event_type_id,
                Listener.channel_id == (channel_id or 0),
            )
        ).one_or_none()
        if listener is None:
            return False
        session.delete(listener)
        session.flush()  # waits for events being announced, so that theirs are canceled too
        _cancel(scope, session, listener.id)
        scope.audit(
            session, "unregister", f"listener {listener.id}", event_type_id=event_type_id, channel_id=channel_id
        )
    return True


def _cancel(scope: Scope, session: Session, listener_id: int, delivery_id: int | None = None) -> int:
    """Cancel what a listener has not been told, or one such delivery; how many."""
    canceled = (
        update(Delivery)
        .where(Delivery.tenant_id == scope.tenant_id, Delivery.listener_id == listener_id)
        .where(Delivery.state.in_([DeliveryState.PENDING, DeliveryState.PARKED]))
    )
    if delivery_id is not None:
        canceled = canceled.where(Delivery.id == delivery_id)
    values = {"state": DeliveryState.CANCELED, "due_at": None, "leased_until": None, "finished_at": scope.clock.now()}
    return len(session.scalars(canceled.values(values).returning(Delivery.id)).all())


def rotate_secret(scope: Scope, listener_id: int, grace_hours: float = GRACE_HOURS) -> Listener:
    """Give a listener a new signing secret; for the grace posts carry signatures of both. Raises NotFound."""
    with scope.records() as session:
        listener = _get(scope, session, listener_id)
        listener.previous_secret = listener.secret
        listener.previous_until = OUTSIDE_CLOCK.now() + timedelta(hours=grace_hours)
        listener.secret = new_secret()
        scope.audit(session, "rotate", f"listener {listener_id}", grace_hours=grace_hours)
    return listener


def notify(
    scope: Scope,
    session: Session,
    event_type_id: int,
    payload: dict[str, Any],
    key: str,
    channel_id: int | None = None,
    channel_ids: Sequence[int] | None = None,
) -> None:
    """Tell listeners of an event, in the caller's transaction: one delivery per matching listener.

    The general listener of the type is always told; one of a channel when the event is of that
    channel (channel_id), when the event's campaign uses it (channel_ids), or when the event is of
    no channel at all. key names the event within the tenant: a repetition adds nothing. EventTypeID
    and TimeStamp are added to the payload. A disabled listener's delivery is parked.
    """
    of_event = None if channel_id is None and channel_ids is None else {0, *(channel_ids or [])} | {channel_id or 0}
    statement = select(Listener).where(Listener.tenant_id == scope.tenant_id, Listener.event_type_id == event_type_id)
    if of_event is not None:
        statement = statement.where(Listener.channel_id.in_(of_event))
    body = _body(scope, event_type_id, payload)
    locked = statement.with_for_update(read=True, key_share=True)  # none is unregistered before this commits
    rows = [_delivery(scope, listener, key, body) for listener in session.scalars(locked)]
    if rows:
        session.execute(insert(Delivery).on_conflict_do_nothing(), rows)
        publish(session, Topic.DELIVERIES)


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to be told of a channel; key names it within the tenant."""

    payload: Mapping[str, Any]
    key: str
    channel_id: int


def notify_many(scope: Scope, session: Session, event_type_id: int, announcements: Sequence[Notification]) -> None:
    """The same as notify for many things of one event type at once, each of one channel; in few statements."""
    if not announcements:
        return
    statement = select(Listener).where(Listener.tenant_id == scope.tenant_id, Listener.event_type_id == event_type_id)
    by_channel: dict[int, list[Listener]] = defaultdict(list)
    for listener in session.scalars(statement.with_for_update(read=True, key_share=True)):
        by_channel[listener.channel_id].append(listener)
    rows = [
        _delivery(scope, listener, announcement.key, body)
        for announcement in announcements
        for body in [_body(scope, event_type_id, announcement.payload)]
        for listener in (*by_channel[GENERAL], *by_channel[announcement.channel_id])
    ]
    if rows:
        session.execute(text(queries.ADD_MANY), {"rows": orjson.dumps(rows).decode()})
        publish(session, Topic.DELIVERIES)


def _body(scope: Scope, event_type_id: int, payload: Mapping[str, Any]) -> str:
    stamp = scope.now_local().strftime("%Y-%m-%d %H:%M")
    names = ("eventTypeID", "timeStamp") if event_type_id == REAL_TIME else ("EventTypeID", "TimeStamp")
    return orjson.dumps({names[0]: event_type_id, names[1]: stamp, **payload}).decode()


def _delivery(scope: Scope, listener: Listener, key: str, body: str) -> dict[str, Any]:
    """A row of deliveries. The message id follows from listener and event, so it is constant whatever happens."""
    identity = f"{scope.tenant_id}/{listener.id}/{key}"
    return {
        "tenant_id": scope.tenant_id,
        "listener_id": listener.id,
        "event_type_id": listener.event_type_id,
        "event_key": key,
        "message_id": "msg_" + hashlib.sha256(identity.encode()).hexdigest()[:40],
        "body": body,
        "state": DeliveryState.PARKED if listener.status == ListenerStatus.DISABLED else DeliveryState.PENDING,
        "attempts": 0,
        "last_error": "listener disabled" if listener.status == ListenerStatus.DISABLED else "",
        "created_at": scope.clock.now(),
    }


def deliveries(
    scope: Scope, listener_id: int | None = None, state: str | None = None, limit: int = 100, offset: int = 0
) -> Part[Delivery]:
    """Deliveries, newest first, of one listener or in one state when asked for."""
    statement = select(Delivery).where(Delivery.tenant_id == scope.tenant_id)
    if listener_id is not None:
        statement = statement.where(Delivery.listener_id == listener_id)
    if state is not None:
        statement = statement.where(Delivery.state == state)
    with scope.reads() as session:
        return part(session, statement.order_by(Delivery.id.desc()), limit, offset)


def replay(scope: Scope, listener_id: int, delivery_id: int | None = None) -> int:
    """Deliver again: one delivery in any state, or all that are parked. The number that will be posted.

    Ids stay the same, so a receiver can tell a repetition. Raises NotFound, and Conflict when the listener is disabled.
    """
    with scope.records() as session:
        listener = _get(scope, session, listener_id)
        if listener.status == ListenerStatus.DISABLED:
            raise Conflict("The listener is disabled: register its URL again first.")
        selected = Delivery.state == DeliveryState.PARKED if delivery_id is None else Delivery.id == delivery_id
        done = session.scalars(
            update(Delivery)
            .where(Delivery.tenant_id == scope.tenant_id, Delivery.listener_id == listener_id, selected)
            .values(
                state=DeliveryState.PENDING, due_at=None, leased_until=None, first_attempt_at=None, finished_at=None
            )
            .returning(Delivery.id)
        ).all()
        if delivery_id is not None and not done:
            raise NotFound(f"There is no delivery {delivery_id} of listener {listener_id}.")
        publish(session, Topic.DELIVERIES)
        scope.audit(session, "replay", f"listener {listener_id}", deliveries=len(done))
    return len(done)


def cancel(scope: Scope, listener_id: int, delivery_id: int | None = None) -> int:
    """Cancel one delivery that waits or is parked, or all of them; how many. They can be replayed one by one.

    A post that is under way may still arrive. Raises NotFound, and Conflict for a delivery that has ended.
    """
    with scope.records() as session:
        _get(scope, session, listener_id)
        canceled = _cancel(scope, session, listener_id, delivery_id)
        if delivery_id is not None and not canceled:
            mine = (Delivery.tenant_id == scope.tenant_id, Delivery.listener_id == listener_id)
            state = session.scalar(select(Delivery.state).where(*mine, Delivery.id == delivery_id))
            if state is None:
                raise NotFound(f"There is no delivery {delivery_id} of listener {listener_id}.")
            raise Conflict(f"Delivery {delivery_id} is {state}: only one that is pending or parked can be canceled.")
        scope.audit(session, "cancel", f"listener {listener_id}", deliveries=canceled)
    return canceled


def measure(stores: Stores) -> None:
    """Tell the metrics how much waits to be delivered or is parked, up to a million, and how many are disabled."""
    with stores.records.reading() as connection:
        waiting, parked, disabled = connection.execute(text(queries.WAITS), {"most": MOST_COUNTED}).one()
    DELIVERIES_WAITING.set(waiting)
    DELIVERIES_PARKED.set(parked)
    LISTENERS_DISABLED.set(disabled)


def leaving(stores: Stores) -> int:
    """How many deliveries of all tenants wait to be posted, up to a million."""
    with stores.records.reading() as connection:
        return int(connection.execute(text(queries.WAITS), {"most": MOST_COUNTED}).one()[0])


def drop_ended(session: Session, first: str, last: str) -> None:
    """Drop deliveries that ended long enough ago, on pages of the table from first to before last."""
    now = OUTSIDE_CLOCK.now()
    parameters = {"ended_before": now - ENDED_KEPT, "parked_before": now - PARKED_KEPT}
    session.execute(text(queries.DROP_ENDED), {"first": first, "last": last, **parameters})
