"""reportEvent: events that a page wants an answer to at once, in the three forms that SDKs and servers have for it.

An array of events as of /v1/optistream, one event as of /v1/events, and the oldest form: members tid (token), cid, eid
(number of the event) and context, as JSON or as a form.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.api.http.responses import headers_of
from rapport.api.sections import SectionRouter
from rapport.api.wire.event_posts import EventPost, Taken, checked, take_batch
from rapport.api.wire.event_senders import (
    app_of,
    body_of,
    events_of,
    holder_of_token,
    server_of,
    user_of,
)
from rapport.api.wire.events import APP_EVENT, HEADERS_OF_APPS
from rapport.customers.core_events import CORE_EVENTS, POPUP_CLICKED
from rapport.errors import Invalid, RapportError, Unauthorized
from rapport.inbox.models import InboxMessage
from rapport.realtime.events import reading
from rapport.realtime.events.directory import Directory, IntakeTenant
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.tokens import SDK_TOKEN, SERVER_TOKEN
from rapport.realtime.popups import Popups
from rapport.realtime.states import Origin

router = SectionRouter("Events")

TOKEN, NUMBER = "tid", "eid"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100
OLD_EVENT = {"tid": "sdk-0a1b2c3d", "cid": "Q1001", "eid": 2001, "context": {"topic": "offers"}}
CORE_NAMES = {core.id: name for name, core in CORE_EVENTS.items()}
# The first script of a popup is run by the page that shows it: links that are followed are reported.
CLICKS = (
    "document.getElementById('%s').addEventListener('click',function(click){"
    "if(click.target.closest('a,button'))optimoveSDK.API.reportEvent('%s',%s)})"
)
RawEvents = RawEvent | list[RawEvent] | None
_SHAPE = {
    "type": "object",
    "properties": {
        "IsSuccess": {"type": "boolean"},
        "Data": {"description": "HTML of a popup, or false", "oneOf": [{"type": "string"}, {"type": "boolean"}]},
        "Metadata": {"type": "object", "description": "Of the popup, when there is one"},
        "status": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["IsSuccess", "Data"],
}
_FORM = {"content": {"application/json": {"schema": _SHAPE}}}
_NOTHING = {"IsSuccess": True, "Data": False, "status": "success", "message": "1 of 1 events"}
_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "The usable events are stored",
            "content": {"application/json": {"schema": _SHAPE, "example": _NOTHING}},
        },
        401: {"description": "The token, or a proof of who the user is, is missing or not valid", **_FORM},
        413: {"description": "The body is larger than 2 MiB, compressed or not", **_FORM},
        415: {"description": "Content-Encoding is not gzip", **_FORM},
        429: {
            "description": "Too many events of one person, or from apps; Retry-After says when to try again",
            **_FORM,
        },
        503: {"description": "Nothing can be stored at the moment; Retry-After says when to send it again", **_FORM},
    },
    "openapi_extra": {
        "parameters": HEADERS_OF_APPS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]},
                    "examples": {"events": {"value": [APP_EVENT]}, "oldest form": {"value": OLD_EVENT}},
                },
                FORM: {"schema": {"type": "object"}, "example": OLD_EVENT},
            },
        },
    },
}


async def _answer(request: Request, tenant: IntakeTenant, taken: Taken) -> Response:
    """What became of the events, and the popup to show, if there is one."""
    body: dict[str, Any] = {"IsSuccess": not taken.fault, "Data": False, **taken.told}
    popups: Popups = request.app.state.popups
    if popup := await popups.next(tenant.scope, taken.events):
        body |= _shown(popup)
    return Response(orjson.dumps(body), media_type="application/json")


def _shown(popup: InboxMessage) -> dict[str, Any]:
    """A popup as web SDKs read it. Each is told until the page reports that it was shown, so that no count is kept."""
    place = {
        "campaign_detail_id": popup.campaign_id,
        "template_id": popup.template_id,
        "action_channel_id": popup.channel_id,
        "send_id": popup.message_id,
    }
    element = f"rapport-popup-{popup.id}"
    script = CLICKS % (element, POPUP_CLICKED, orjson.dumps(place).decode())
    return {
        "Data": f'<div id="{element}">{popup.content}</div><script>{script}</script>',
        "Metadata": {
            "delayValue": popup.payload.get("delay_seconds", 0),
            "campaignDetailId": popup.campaign_id,
            "templateId": popup.template_id,
            "actionChannelId": popup.channel_id,
            "sendId": popup.message_id,
            "recurrenceLeft": None,
            "recurrenceFrameStopTime": None,
        },
    }


def _refused(error: RapportError) -> Response:
    body = {"IsSuccess": False, "Data": False, "status": "error", "message": error.message}
    return Response(orjson.dumps(body), error.status, headers_of(error), media_type="application/json")


async def _events_of(request: Request, body: bytes) -> RawEvents:
    """The events of a body, of JSON or of a form. Raises TooLarge."""
    if not request.headers.get("content-type", "").lower().startswith(FORM) or body.lstrip()[:1] in (b"[", b"{"):
        return await events_of(request, body)
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        return None
    event: dict[str, Any] = {**fields}
    if "context" in event:
        context = reading.read(event["context"].encode())
        event["context"] = context.value if isinstance(context, RawEvent) else event["context"]
    return RawEvent(event) if event else None


def _written_anew(raw_events: RawEvents, tenant: IntakeTenant) -> RawEvents:
    """The same events with those of the oldest form as the present one has them."""
    if isinstance(raw_events, list):
        return [_present(raw, tenant) for raw in raw_events]
    return _present(raw_events, tenant) if raw_events else None


def _present(raw: RawEvent, tenant: IntakeTenant) -> RawEvent:
    event = raw.value
    if raw.fault or not isinstance(event, dict) or NUMBER not in event:
        return raw
    written = {
        "tenant": tenant.scope.tenant_id,
        "event": _name(event[NUMBER], tenant),
        "customer": event.get("cid"),
        "visitor": event.get("visitorId"),
        "timestamp": tenant.scope.clock.now().isoformat(),
        "context": event.get("context"),
        "metadata": {"firstVisitorDate": event.get("firstVisitorDate"), "visitCount": event.get("visitCount")},
    }
    return RawEvent(written, raw.mended)


def _name(number: Any, tenant: IntakeTenant) -> Any:
    """The name of an event by its number; of a number that is none's, the number: it names no declared event."""
    text = str(number).strip()
    digits = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    return tenant.numbers.get(digits) or CORE_NAMES.get(digits) or text


def _tokens(raw_events: RawEvents) -> Iterator[str]:
    for value in reading.values(raw_events):
        if isinstance(value, dict) and isinstance(value.get(TOKEN), str):
            yield value[TOKEN].strip()


async def _from_app(request: Request, tenant: IntakeTenant, token: str, body: bytes, raw_events: RawEvents) -> Response:
    taken = await take_batch(request, tenant, token, body, _written_anew(raw_events, tenant))
    return await _answer(request, tenant, taken)


async def _from_server(request: Request, tenant: IntakeTenant, body: bytes, raw_events: RawEvents) -> Response:
    """Store what can be used of a server's event, or of some; the log has the others."""
    post, written = EventPost(request, tenant, Origin.SERVER, body), _written_anew(raw_events, tenant)
    batch = written if isinstance(written, list) else [written] if written else []
    try:
        if not batch:
            raise await post.refused(post.not_json())
        events, entries = await checked(post, batch)
        await post.keep(events, entries)
    except Invalid as error:
        return await _answer(request, tenant, Taken((), len(batch), error.message))
    return await _answer(request, tenant, Taken(events, len(batch)))


@router.post(
    "/v1/realtime/{tenantToken}/reportEvent",
    summary="Report events and learn of a popup to show",
    operation_id="ReportEvent",
    **_ROUTE,
)
async def report_event(tenantToken: str, request: Request) -> Response:
    """An event that is also sent to /v1/optistream is stored once, if it has a metadata.eventId."""
    try:
        tenant = await app_of(request, tenantToken)
        user_of(request, tenant)
        body = await body_of(request)
        return await _from_app(request, tenant, tenantToken, body, await _events_of(request, body))
    except RapportError as error:
        return _refused(error)


@router.post(
    "/reportEvent",
    summary="Report events with the token in the body",
    operation_id="ReportEventByToken",
    **_ROUTE,
)
async def report_event_by_token(request: Request) -> Response:
    """The member tid holds the SDK token or the server token of the tenant; of an array, that of its first event.

    Servers may send their token, or a signature, as with /v1/events instead.
    """
    try:
        body = await body_of(request)
        raw_events = await _events_of(request, body)
        directory: Directory = request.app.state.directory
        token = next(_tokens(raw_events), "")
        if not token:
            tenant = await server_of(request, await holder_of_token(request), body, raw_events)
            return await _from_server(request, tenant, body, raw_events)
        if by_app := await directory.by_token(SDK_TOKEN, token):
            user_of(request, by_app)
            return await _from_app(request, by_app, token, body, raw_events)
        by_server = await directory.by_token(SERVER_TOKEN, token)
        if by_server is None:
            raise Unauthorized("The token is unknown.")
        if by_server.settings.require_signature:
            raise Unauthorized("Events of this tenant must be signed.")
        return await _from_server(request, by_server, body, raw_events)
    except RapportError as error:
        return _refused(error)
