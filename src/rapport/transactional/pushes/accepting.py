"""Requests for push messages are accepted and entered in the outbox; what is scheduled can be canceled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.apps import service as apps
from rapport.apps.models import App, Install
from rapport.audiences import membership
from rapport.channels.models import Channel
from rapport.channels.push.serving import channel_of_app
from rapport.delivery import outbox
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Entry
from rapport.errors import Conflict, Invalid, NotFound
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.transactional.models import PushNotification, PushRecipient
from rapport.transactional.pushes.orders import GRACE, PushOrder, Target

PASSED, CANCELED = "the time had passed in the zone of the device", "canceled"
# Recipients that are entered by one statement.
TOGETHER = 2000


class Unreachable(Invalid):
    """Nobody of those to whom something is to be sent has a device."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A customer or an install, and the zone of its device."""

    customer_id: str
    install_id: str
    zone: str


def send(scope: Scope, app: App, order: PushOrder) -> PushNotification:
    """Accept a request of an app; its messages leave at once or when they are due.

    Raises NotFound when no channel serves the app or there is no such target group, Unreachable when none of its target
    has a device, and Invalid for a time that has passed.
    """
    channel, now = channel_of_app(scope, app.id), OUTSIDE_CLOCK.now()
    places = list(_places(scope, app, order.target))
    if not places:
        raise Unreachable("None of the targeted users has a device that can get push messages.")
    schedule = order.schedule
    due_at = now if schedule is None else schedule.due_in("", scope.time_zone)
    if schedule is not None and all(_due(scope, order, place, now) is None for place in places):
        raise Invalid("schedule.sendAt has passed.")
    with scope.records() as session:
        notification = PushNotification(
            tenant_id=scope.tenant_id,
            app_id=app.id,
            channel_id=channel.id,
            template_id=order.template_id,
            content=order.content.written(),
            is_scheduled=schedule is not None,
            due_at=due_at,
            accepted_at=scope.clock.now(),
        )
        session.add(notification)
        session.flush()
        for begin in range(0, len(places), TOGETHER):
            _enter(scope, session, notification, channel, order, places[begin : begin + TOGETHER], now)
    return notification


def cancel(scope: Scope, app: App, notification_id: int) -> None:
    """Take back what of a notification has not begun to leave. Raises NotFound, and Conflict when nothing is left."""
    with scope.records() as session:
        this = (PushNotification.tenant_id == scope.tenant_id, PushNotification.app_id == app.id)
        query = select(PushNotification).where(*this, PushNotification.id == notification_id).with_for_update()
        notification = session.scalars(query).one_or_none()
        if notification is None:
            raise NotFound(f"There is no notification {notification_id}.")
        of_it = (PushRecipient.tenant_id == scope.tenant_id, PushRecipient.notification_id == notification.id)
        open_ids = session.scalars(select(PushRecipient.id).where(*of_it, PushRecipient.ended_at.is_(None))).all()
        withdrawn = outbox.withdraw(scope, session, Source.PUSH, open_ids)
        if not withdrawn:
            raise Conflict(f"Notification {notification_id} has been sent, or canceled.")
        ended = {"state": State.SKIPPED, "reason": CANCELED, "ended_at": scope.clock.now()}
        session.execute(update(PushRecipient).where(*of_it, PushRecipient.id.in_(withdrawn)).values(ended))
        notification.canceled_at = scope.clock.now()


def _places(scope: Scope, app: App, target: Target) -> Iterator[_Place]:
    """Those of a target who have a device that can be reached."""
    if target.is_broadcast:
        for install in apps.installs_with_token(scope, app.id):
            if install.install_id not in target.without_installs:
                yield _Place(install.customer_id or "", install.install_id, install.time_zone)
        return
    for install in apps.installs_by_id(scope, app.id, target.install_ids):
        if _is_reachable(install, target):
            yield _Place(install.customer_id or "", install.install_id, install.time_zone)
    for customer_ids in _customers(scope, target):
        for customer_id, installs in apps.installs_of(scope, customer_ids, app.id).items():
            reachable = [install for install in installs if _is_reachable(install, target)]
            if reachable:
                yield _Place(customer_id, "", reachable[0].time_zone)


def _customers(scope: Scope, target: Target) -> Iterator[list[str]]:
    """The customers of a target, some at a time."""
    if target.target_group_id is None:
        yield list({customer_id.lower(): customer_id for customer_id in target.customer_ids}.values())
        return
    offset = 0
    while part := membership.members(scope, target.target_group_id, None, TOGETHER, offset):
        yield part
        offset += len(part)


def _is_reachable(install: Install, target: Target) -> bool:
    return install.token is not None and install.install_id not in target.without_installs


def _due(scope: Scope, order: PushOrder, place: _Place, now: datetime) -> datetime | None:
    """When the message for a place leaves; None when it is not to leave, since the time has passed there."""
    if order.schedule is None:
        return now
    due_at = order.schedule.due_in(place.zone, scope.time_zone)
    if due_at < now - GRACE:
        return None if order.schedule.skips_past else now
    return max(due_at, now)


def _enter(
    scope: Scope,
    session: Session,
    notification: PushNotification,
    channel: Channel,
    order: PushOrder,
    places: Sequence[_Place],
    now: datetime,
) -> None:
    due = [_due(scope, order, place, now) for place in places]
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "notification_id": notification.id,
            "customer_id": place.customer_id,
            "person": place.customer_id.lower(),
            "install_id": place.install_id,
            "state": State.SKIPPED if due_at is None else State.PENDING,
            "reason": PASSED if due_at is None else "",
            "ended_at": notification.accepted_at if due_at is None else None,
        }
        for place, due_at in zip(places, due, strict=True)
    ]
    ordered = insert(PushRecipient).returning(PushRecipient.id, sort_by_parameter_order=True)
    numbers = session.scalars(ordered, rows).all()
    entries = [
        Entry(number, channel.id, place.customer_id, 0, notification.template_id, 0, "", due_at=due_at)
        for number, place, due_at in zip(numbers, places, due, strict=True)
        if due_at is not None
    ]
    outbox.enter(scope, session, Source.PUSH, entries)
