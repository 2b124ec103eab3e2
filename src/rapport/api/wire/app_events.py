"""The bus of the SDKs: events of an install, of which a bad one is never refused but told in the event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import Depends, Request
from starlette.responses import Response

from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, device_caller, pace
from rapport.api.wire.event_senders import aside, body_of, events_of, expect_proof, user_of
from rapport.apps.events import DeviceEvent, carry_out, event_of, install_id_of
from rapport.apps.states import EventType
from rapport.errors import Invalid
from rapport.realtime.events import validation
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.storing import Incoming, LogEntry
from rapport.realtime.recording.profile_queue import UPDATE
from rapport.realtime.recording.profile_updates import PREFIX
from rapport.realtime.states import EventStatus, Origin

router = SectionRouter("Apps")

AT_ONCE = 100  # events of an install that are carried out together: as many as an SDK sends
LOGGED_BYTES = 32_000
# Events whose types begin like this are the SDKs' own; others are those of the app, or of its messages.
OF_SDKS = ("k.", "optimove.om.")
EXAMPLE = [
    {
        "type": "k.push.deviceRegistered",
        "uuid": "0e0e0e0e-0000-4000-8000-000000000005",
        "timestamp": 1767225600000,
        "userId": "Q1001",
        "data": {"token": "abc123", "type": 2, "package": "com.example.shop", "areNotificationsEnabled": True},
    }
]
ANSWER = {"status": "success", "message": "1 of 1 events"}


@dataclass
class _Batch:
    """Events of one body: all that can be used, those of the app's own kinds once more, and entries for the log."""

    events: list[DeviceEvent] = field(default_factory=list)
    own: dict[Any, Incoming] = field(default_factory=dict)  # by the key of the event of the install
    entries: list[LogEntry] = field(default_factory=list)


@router.post(
    "/v1/app-installs/{installId}/events",
    summary="Send events of an installation",
    operation_id="AppInstallEvents",
    response_class=Response,
    responses={
        200: {
            "description": "Carried out; the event log has what could not be used",
            "content": {"application/json": {"schema": {"type": "object"}, "example": ANSWER}},
        },
        413: {"description": "The body is larger than 2 MiB, compressed or not"},
        **REFUSALS,
    },
    openapi_extra={
        **BY_KEYS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "array", "items": {"type": "object"}}, "example": EXAMPLE}
            },
        },
    },
)
async def post_app_events(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """What the mobile and web SDKs send: that an app was started, whose it is, its push token, and what became of
    messages. uuid identifies an event; an event that is repeated is carried out once. Events of other types are taken
    as events of the customer, like those of POST /v1/optistream/{tenantToken}. Attributes of k.stats.userAssociated are
    taken as those of ootb_user_details_update: they are set where X-User-JWT proves who the user is.
    """
    user = user_of(request, caller.tenant)
    body = await body_of(request)
    raw_events = await events_of(request, body)
    batch = raw_events if isinstance(raw_events, list) else [raw_events] if raw_events else []
    pace(request, caller, len(batch))
    if not batch and raw_events is None:
        await _log(request, caller, [_entry(body[:LOGGED_BYTES], installId, "the body is not valid JSON")])
    read = await aside(request, _read, caller, installId, batch)
    expect_proof(request, caller.tenant, user, _named(read.events))
    for event in read.own.values():
        event.verified = user is not None and event.customer_id.lower() == user
    fresh: list[DeviceEvent] = []
    for begin in range(0, len(read.events), AT_ONCE):
        part = read.events[begin : begin + AT_ONCE]
        sinks = request.app.state.report_sinks
        carried_out = await aside(request, carry_out, caller.scope, caller.app, installId, part, sinks)
        fresh += carried_out.fresh
    incoming = list(read.own.values())
    if incoming or read.entries:
        await request.app.state.intake.accept(caller.scope, incoming, read.entries, recording=caller.tenant.recording)
    message = f"{len(read.events)} of {len(batch)} events"
    return Response(orjson.dumps({"status": "success", "message": message}), media_type="application/json")


def _read(caller: AppCaller, install_id: str, raw_events: Sequence[RawEvent]) -> _Batch:
    """The events that can be used, and what the log is to have of the others."""
    read, now = _Batch(), caller.scope.clock.now()
    plain_http = caller.scope.stores.settings.allow_private_addresses
    for raw_event in raw_events:
        try:
            if raw_event.fault:
                raise Invalid(raw_event.fault)
            install_id_of(install_id)
            event = event_of(raw_event.value, install_id, now, plain_http=plain_http)
            if not event.type.startswith(OF_SDKS):
                read.own[event.key] = _own(caller, install_id, event, event.type, event.data)
            elif details := _told_attributes(event):
                read.own[event.key] = _own(caller, install_id, event, UPDATE, details)
        except (Invalid, validation.Faulty) as error:
            read.entries.append(_entry(raw_event.value, install_id, str(error)))
        else:
            read.events.append(event)
    return read


def _own(caller: AppCaller, install_id: str, event: DeviceEvent, name: str, context: Mapping[str, Any]) -> Incoming:
    """An event of the app's own kind, as one of its customer, or of the visitor that the install is. Raises Faulty."""
    customer = event.change.values.get("customer_id") if event.change else event.customer_id
    raw = {
        "event": name,
        "customer": customer,
        "visitor": install_id,
        "timestamp": event.at.isoformat(),
        "context": dict(context),
        "metadata": {"eventId": str(event.key)},
    }
    return validation.event_of(raw, Origin.SDK, caller.tenant, caller.scope.clock.now())


def _told_attributes(event: DeviceEvent) -> dict[str, Any]:
    """What an app says of a customer when it tells whose the install is, as the event that sets attributes has it."""
    attributes = event.data.get("attributes") if event.type == EventType.USER_ASSOCIATED else None
    if not isinstance(attributes, dict) or event.change is None or event.change.values["customer_id"] is None:
        return {}
    return {f"{PREFIX}{name.strip().lower()}": value for name, value in attributes.items()}


def _named(events: Sequence[DeviceEvent]) -> set[str]:
    """The persons whom events name."""
    changed = {event.change.values.get("customer_id") for event in events if event.change}
    return {customer.lower() for customer in changed | {event.customer_id for event in events} if customer}


def _entry(event: Any, install_id: str, reason: str) -> LogEntry:
    """What the log keeps of an event that cannot be used."""
    members = event if isinstance(event, dict) else {}
    user, event_type = members.get("userId"), members.get("type")
    person = user if isinstance(user, str) and user else install_id
    name = event_type if isinstance(event_type, str) else ""
    return LogEntry(EventStatus.ERROR, Origin.SDK, name, person.lower(), reason, event)


async def _log(request: Request, caller: AppCaller, entries: Sequence[LogEntry]) -> None:
    await request.app.state.intake.accept(caller.scope, [], entries)
