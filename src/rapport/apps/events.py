"""Events of an install, by the SDKs' bus or a call of an app without an SDK: read, and carried out once."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.apps.install_facts import Change, change_of, customer_of, of_customer, without_token
from rapport.apps.models import App, DeviceEventKey, Install
from rapport.apps.reports import AboutMessage, MessageReport, ReportSink, about_message
from rapport.customers.privacy import persons
from rapport.errors import Invalid
from rapport.stores.records import hold

LONGEST_INSTALL_ID, LONGEST_TYPE = 100, 255
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST = datetime(2010, 1, 1, tzinfo=UTC)
MOVED = "The token is another install's now."


@dataclass(frozen=True)
class DeviceEvent:
    """An event of an install that can be used. at is never in the future; customer_id is whose the install was.

    change is what it changes in the install, about what it says of a message; one with neither only shows that the
    install is in use, unless it is of the app's own kind.
    """

    type: str
    key: uuid.UUID
    at: datetime
    customer_id: str | None
    data: Mapping[str, Any]
    change: Change | None = None
    about: AboutMessage | None = None


@dataclass(frozen=True)
class CarriedOut:
    """What became of events: the install as it is now, and the events that were not carried out before."""

    install: Install
    fresh: list[DeviceEvent] = field(default_factory=list)


def install_id_of(text: str) -> str:
    """The id of an install, as the app chose it. Raises Invalid."""
    if not (0 < len(text) <= LONGEST_INSTALL_ID and text.isprintable() and text == text.strip()):
        raise Invalid(f"installId must be a printable text of at most {LONGEST_INSTALL_ID} characters.")
    return text


def event_of(raw: Any, install_id: str, now: datetime, *, plain_http: bool = False) -> DeviceEvent:
    """An event as the bus carries it. Raises Invalid for one that cannot be used.

    plain_http: see tokens.token_of.
    """
    if not isinstance(raw, dict):
        raise Invalid("The event is not a JSON object.")
    event_type = raw.get("type")
    if not isinstance(event_type, str) or not 0 < len(event_type) <= LONGEST_TYPE or not event_type.isprintable():
        raise Invalid(f"type must be a printable text of at most {LONGEST_TYPE} characters.")
    data = raw.get("data")
    if not isinstance(data, dict | None):
        raise Invalid("data must be an object.")
    return DeviceEvent(
        type=event_type,
        key=_key(raw.get("uuid")),
        at=_instant(raw.get("timestamp"), now),
        customer_id=_user(raw.get("userId"), install_id),
        data=data or {},
        change=change_of(event_type, data or {}, install_id, plain_http=plain_http),
        about=about_message(event_type, data or {}),
    )


def carry_out(
    scope: Scope, app: App, install_id: str, events: Sequence[DeviceEvent], sinks: Collection[ReportSink]
) -> CarriedOut:
    """Carry out events of an install, which is made when it is not there, each event once however often it comes.

    What is told of messages is with the sinks before it counts as carried out: a crash between makes the app tell it
    again.
    """
    erased = _erased(scope, events)
    with scope.records() as session:
        if any(event.change and event.change.values.get("token_key") for event in events):
            hold(session, scope.tenant_id, f"push tokens of app {app.id}")
        install = _locked(scope, session, app, install_id)
        fresh = _fresh(scope, session, app, events)
        reporting = [event for event in fresh if event.about]
        reports: list[MessageReport] = []
        for event in fresh:
            if event.change:
                _change(scope, session, install, event, erased)
            if event.about:
                reports.append(_report(install, event, event.about, erased))
        install.seen_at = scope.clock.now()
        _remember(scope, session, app, [event for event in fresh if not event.about])
    if reports:
        for sink in sinks:
            sink.record(scope, reports)
        with scope.records() as session:
            _remember(scope, session, app, reporting)
    return CarriedOut(install, fresh)


def _user(identifier: Any, install_id: str) -> str | None:
    """The customer of an event; None for an identifier of nobody, since what the event says holds all the same."""
    try:
        return None if identifier is None else customer_of(identifier, install_id)
    except Invalid:
        return None


def _key(text: Any) -> uuid.UUID:
    """The id of an event by which it is told from others; one of its own where the sender gave none."""
    if text is None:
        return uuid.uuid4()
    try:
        return uuid.UUID(str(text))
    except ValueError as error:
        raise Invalid("uuid must be a UUID.") from error


def _instant(timestamp: Any, now: datetime) -> datetime:
    """The instant of a number of milliseconds since 1970; now when there is none, or a later one."""
    if timestamp is None:
        return now
    try:
        at = EPOCH + timedelta(milliseconds=float(timestamp))
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid("timestamp must be a number of milliseconds since 1970.") from error
    if at < OLDEST:
        raise Invalid("timestamp is before 2010; it must be a number of milliseconds since 1970.")
    return min(at, now)


def _erased(scope: Scope, events: Sequence[DeviceEvent]) -> set[str]:
    """The persons, of those whom events name, who were erased: their ids are written nowhere."""
    named = {event.customer_id for event in events} | {
        event.change.values.get("customer_id") for event in events if event.change
    }
    return {customer_id.lower() for customer_id in named if customer_id and persons.is_erased(scope, customer_id)}


def _locked(scope: Scope, session: Session, app: App, install_id: str) -> Install:
    """The row of an install, made when it is not there, held to the end of the transaction."""
    key, now = {"tenant_id": scope.tenant_id, "app_id": app.id, "install_id": install_id}, scope.clock.now()
    new_install = insert(Install).values(
        **key,
        token_end_reason="",
        is_production=True,
        created_at=now,
        seen_at=now,
        badge=0,
        **dict.fromkeys(("bundle_id", "package", "os", "device", "time_zone", "locale", "app_version", "sdk"), ""),
    )
    session.execute(new_install.on_conflict_do_nothing())
    return session.get_one(Install, tuple(key.values()), with_for_update=True)


def _fresh(scope: Scope, session: Session, app: App, events: Sequence[DeviceEvent]) -> list[DeviceEvent]:
    """Events that were not carried out before, each once. The lock of the install is held."""
    by_key = {event.key: event for event in events}
    mine = (DeviceEventKey.tenant_id == scope.tenant_id, DeviceEventKey.app_id == app.id)
    known = set(session.scalars(select(DeviceEventKey.key).where(*mine, DeviceEventKey.key.in_(list(by_key)))))
    return [event for key, event in by_key.items() if key not in known]


def _remember(scope: Scope, session: Session, app: App, events: Sequence[DeviceEvent]) -> None:
    place = {"tenant_id": scope.tenant_id, "app_id": app.id, "received_date": scope.clock.now().date()}
    rows = [{**place, "key": key} for key in sorted(event.key for event in events)]
    if rows:
        session.execute(insert(DeviceEventKey).on_conflict_do_nothing(), rows)


def _change(scope: Scope, session: Session, install: Install, event: DeviceEvent, erased: set[str]) -> None:
    change = event.change
    if change is None or (change.of_person is not None and install.person != change.of_person):
        return
    values = dict(change.values)
    if values.get("person") in erased:
        values |= of_customer(None)
    if "token" in values:
        now = scope.clock.now()
        values |= {"token_at": now, "token_ended_at": None} if values["token"] else {"token_ended_at": now}
        _take_token(scope, session, install, values["token_key"])
    for column, value in values.items():
        setattr(install, column, value)
    session.flush()


def _take_token(scope: Scope, session: Session, install: Install, token_key: str | None) -> None:
    """Take a token from any other install of the app. The tokens of the app are held."""
    if token_key is None:
        return
    others = (
        Install.tenant_id == scope.tenant_id,
        Install.app_id == install.app_id,
        Install.token_key == token_key,
        Install.install_id != install.install_id,
    )
    values = {**without_token(MOVED), "token_ended_at": scope.clock.now()}
    session.execute(update(Install).where(*others).values(**values), execution_options={"synchronize_session": False})


def _report(install: Install, event: DeviceEvent, about: AboutMessage, erased: set[str]) -> MessageReport:
    """What an event tells of a message, as the install stood when it was told.

    The install says whose it is: whatever names another customer is told for nobody, or anybody with the app's key
    could tell things of everybody.
    """
    is_theirs = event.customer_id is None or event.customer_id.lower() == install.person
    customer_id = install.customer_id if is_theirs and install.person not in erased else None
    return MessageReport(*about, install.app_id, install.install_id, customer_id, event.at, event.key, event.data)
