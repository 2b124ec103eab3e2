"""A tenant with customers, an outside channel and declared events, to fire triggers in; and what comes of it."""

import itertools
import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.campaigns import definitions
from rapport.campaigns.models import Series
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.customers.writes import ordering
from rapport.messaging import templates
from rapport.notifications import service as notifications
from rapport.notifications.models import Delivery
from rapport.realtime.events.visitors import Links, links
from rapport.realtime.matching.processor import Processor
from rapport.realtime.models import AcceptedEvent, Firing, TriggerState
from rapport.realtime.recording.ended_firings import file_ended
from rapport.realtime.recording.profile_queue import TELLING, put_in_line
from rapport.realtime.states import FiringState

DATA_DATE = date(2026, 3, 9)
NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 10:00 in Berlin
SMS, PUSH, TEMPLATE = 505, 506, 11
NUMBERS = itertools.count(1)


def fill(scope: Scope, customers_of: Sequence[dict[str, Any]] = ()) -> None:
    """Stand at NOW, with a channel, an action 2 with a code, and the declared events."""
    scope.clock.set(NOW)
    channels.create_channel(scope, "SMS", "external")
    templates.save_template(scope, SMS, "Offer", id=TEMPLATE)
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["FREE5"]))
    numbers = {"amount": "Number", "brand": "String", "first": "Boolean"}
    for name in ("add_to_cart", "purchase", "page_view", "level_up"):
        event_types.declare_event_type(scope, name, numbers)
    add_customers(scope, customers_of or [{"customer_id": f"C{n}"} for n in range(20)])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    notifications.register_listener(scope, 11, "http://127.0.0.1:9/event11", SMS)


def channel(scope: Scope, number: int, name: str) -> None:
    """One more outside channel with the template."""
    channels.create_channel(scope, name, "external", id=number)
    templates.save_template(scope, number, "Offer", id=TEMPLATE)


def add_customers(scope: Scope, rows: Sequence[dict[str, Any]]) -> None:
    """Profiles of the data date, and records; rows name customer_id and any attributes."""
    names = sorted({name for row in rows for name in row})
    values = [[row.get(name) for name in names] for row in rows]
    scope.warehouse.insert("profiles", ["data_date", *names], [[DATA_DATE, *row] for row in values])
    scope.warehouse.insert("customers", names, values)


def trigger(scope: Scope, kind: dict[str, Any] | None = None, **more: Any) -> Series:
    """A triggered campaign to one group on SMS without control, unless told otherwise."""
    group = {"action_id": 2, "channels": [{"channel_id": SMS, "template_id": TEMPLATE}]}
    body = {
        "name": f"Trigger {next(NUMBERS)}",
        "trigger": kind or {"kind": "simple", "event": "add_to_cart"},
        "groups": [group],
        "control_share": 0,
        "re_entry": "unlimited",
        **more,
    }
    return campaign_definitions.create_triggered(scope, TriggeredBody.model_validate(body))


def event(
    scope: Scope,
    name: str,
    customer: str = "",
    minutes: float = 0,
    visitor: str = "",
    received: float | None = None,
    notify: bool = False,
    **parameters: Any,
) -> uuid.UUID:
    """An accepted event so many minutes after NOW, received then or (received) later, told of if asked; its key."""
    key = uuid.uuid4()
    at = NOW + timedelta(minutes=minutes)
    with scope.records() as session:
        if name in TELLING:
            said = {
                "event": name,
                "origin": "server",
                "customer": customer,
                "visitor": visitor,
                "at": at.isoformat(),
                "parameters": parameters,
            }
            put_in_line(session.connection(), scope.tenant_id, scope.clock.now(), [said])
        session.add(
            AcceptedEvent(
                tenant_id=scope.tenant_id,
                key=key,
                event=name,
                origin="server",
                customer_id=customer,
                visitor_id=visitor,
                parameters=parameters,
                event_at=at,
                received_at=at if received is None else NOW + timedelta(minutes=received),
                state=0,
            )
        )
        if notify:
            session.execute(select(func.pg_notify("rapport_events", str(scope.tenant_id))))
    return key


def identify(scope: Scope, visitor: str, customer: str, minutes: float | None = None) -> None:
    """Say which customer a visitor is, now or so many minutes after NOW."""
    at = scope.clock.now() if minutes is None else NOW + timedelta(minutes=minutes)
    said = {"originalVisitorId": visitor, "userId": customer}
    with scope.stores.records.engine.begin() as connection:
        Links().keep(connection, links(scope.tenant_id, "set_user_id_event", customer, visitor, said, at))


def stitch(scope: Scope, source: str, target: str, minutes: float) -> None:
    """Merge two visitors, so many minutes after NOW."""
    said = {"sourceVisitorId": source, "targetVisitorId": target}
    at = NOW + timedelta(minutes=minutes)
    with scope.stores.records.engine.begin() as connection:
        Links().keep(connection, links(scope.tenant_id, "stitch_event", "", target, said, at))


def events(scope: Scope, some: Sequence[tuple[str, str]]) -> None:
    """Many accepted events of (name, customer) at once, in this order, a second apart."""
    with scope.records() as session:
        for n, (name, customer) in enumerate(some):
            at = NOW + timedelta(seconds=n)
            one = AcceptedEvent(event=name, customer_id=customer, visitor_id="", parameters={}, event_at=at)
            one.tenant_id, one.key, one.origin, one.received_at, one.state = scope.tenant_id, uuid.uuid4(), "sdk", at, 0
            session.add(one)


def minutes_to(instant: datetime) -> float:
    """How many minutes after NOW an instant is."""
    return (instant - NOW) / timedelta(minutes=1)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def process(scope: Scope, minutes: float | None = None) -> None:
    """Let the processor handle what waits, so many minutes after NOW when told; and what is due by then."""
    if minutes is not None:
        scope.clock.set(NOW + timedelta(minutes=minutes))
    _let_writes_end(scope)
    processor = Processor(scope.stores)
    processor.drain(scope.tenant_id)
    processor.due(scope.tenant_id)


def _let_writes_end(scope: Scope) -> None:
    """A processor leaves events for its next look while attributes are being written, and here it looks once."""
    end = time.monotonic() + 10
    with suppress(*ordering.FAULTS):
        while not ordering.carry_out_if_free(scope) and time.monotonic() < end:
            time.sleep(0.01)


def process_in_time(scope: Scope) -> None:
    """Handle the waiting events at the times at which they were received, in order of time."""
    of_tenant = AcceptedEvent.tenant_id == scope.tenant_id
    with scope.records() as session:
        times = sorted(session.scalars(select(AcceptedEvent.received_at).where(of_tenant, AcceptedEvent.state == 0)))
        session.execute(update(AcceptedEvent).where(of_tenant, AcceptedEvent.state == 0).values(state=9))
    for at in dict.fromkeys(times):
        then = update(AcceptedEvent).where(of_tenant, AcceptedEvent.state == 9, AcceptedEvent.received_at == at)
        with scope.records() as session:
            session.execute(then.values(state=0))
        process(scope, minutes_to(at))


def file(scope: Scope, some: int = 1000) -> None:
    """Enter what has ended into the accounts, in batches of some."""
    ended = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.DONE)
    while True:
        with scope.records() as session:
            found = list(session.scalars(ended.order_by(Firing.id).limit(some)))
        if not found:
            return
        file_ended(scope, found)


def firings(scope: Scope, series: Series | None = None) -> list[Firing]:
    """All firings, or those of a trigger, in order."""
    wanted = select(Firing).where(Firing.tenant_id == scope.tenant_id)
    if series is not None:
        wanted = wanted.where(Firing.series_id == series.id)
    with scope.records() as session:
        return list(session.scalars(wanted.order_by(Firing.id)))


def fired(scope: Scope, series: Series) -> list[tuple[str, str, str]]:
    """(customer, outcome or state, reason) of a trigger's firings, in order."""
    return [(one.customer_id, one.outcome or one.state, one.reason) for one in firings(scope, series)]


def told(scope: Scope, series: Series | None = None) -> list[dict[str, Any]]:
    """The payloads of event 11, in order."""
    wanted = select(Delivery).where(Delivery.tenant_id == scope.tenant_id, Delivery.event_type_id == 11)
    with scope.records() as session:
        found = [json.loads(one.body) for one in session.scalars(wanted.order_by(Delivery.id))]
    if series is None:
        return found
    days = {one.campaign_id for one in firings(scope, series)}
    return [one for one in found if one["campaignID"] in days]


def states(scope: Scope, series: Series) -> list[TriggerState]:
    """What is kept of persons in a trigger."""
    wanted = select(TriggerState).where(TriggerState.tenant_id == scope.tenant_id, TriggerState.series_id == series.id)
    with scope.records() as session:
        return list(session.scalars(wanted.order_by(TriggerState.person)))


def waiting(scope: Scope) -> int:
    """How many events wait for the triggers."""
    sql = text("SELECT count(*) FROM accepted_events WHERE tenant_id = :tenant_id AND state = 0")
    with scope.records() as session:
        return int(session.scalar(sql, {"tenant_id": scope.tenant_id}) or 0)
