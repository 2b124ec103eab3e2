"""Intake of events: from servers, from the SDKs of apps and web sites, and from vendors who report engagement."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.access.limits import share
from rapport.api.http.responses import headers_of, wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.event_senders import (
    SHORT,
    app_of,
    aside,
    body_id,
    body_of,
    events_of,
    expect_signature,
    holder_of_token,
    host_number,
    number_of,
    server_of,
    tenant_number,
    user_of,
    vendor_of,
    verify,
)
from rapport.customers.person_ids import person_of
from rapport.errors import Invalid, RapportError, TooManyRequests
from rapport.realtime.events.directory import IntakeTenant
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.storing import Accepted, Incoming, LogEntry
from rapport.realtime.events.tokens import SDK_TOKEN
from rapport.realtime.events.validation import TENANT_FAULT, Faulty, check_of_vendor, event_of
from rapport.realtime.metrics import REJECTED
from rapport.realtime.states import EventStatus, Origin

router = SectionRouter("Events")

MOST_OF_APPS = 100
MOST_METRICS = 1000
LOGGED_BYTES = 32_000  # hold all of the characters that the log takes
FAILED = "Failed to validate the event with the following error - "
EVENT = {
    "tenant": 3001,
    "event": "newsletter_signup",
    "customer": "Q1001",
    "timestamp": "2026-03-02 14:10:55.120000 UTC",
    "context": {"topic": "offers", "opt_in": True},
}
APP_EVENT = {
    "tenant": 3001,
    "category": "track",
    "event": "set_page_visit",
    "origin": "sdk",
    "customer": None,
    "visitor": "0123456789abcdef",
    "timestamp": "2026-03-02T14:10:55Z",
    "context": {"customURL": "/", "pageTitle": "Home"},
    "metadata": {"realtime": True, "eventId": "0c0c0c0c-0000-4000-8000-000000000003"},
}
METRIC_EVENT = {
    "event": "sms_delivered",
    "category": "metric",
    "timestamp": "2026-03-02 14:10:55 UTC",
    "customer": "Q1001",
    "context": {"campaign_id": 12, "channel_id": 505, "template_id": 11},
}
_ANSWER = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "message": {"type": "string"}},
    "required": ["status", "message"],
}


def _answers(ok: str) -> dict[int | str, dict[str, Any]]:
    def shown(description: str, status: str, message: str) -> dict[str, Any]:
        example = {"status": status, "message": message}
        return {"description": description, "content": {"application/json": {"schema": _ANSWER, "example": example}}}

    return {
        200: shown("Stored", "success", ok),
        400: shown("Refused; nothing was stored", "error", FAILED + TENANT_FAULT),
        401: shown("The token or the signature is not valid", "error", "The token, or a signature, is missing."),
        413: {"description": "The body is larger than 2 MiB, compressed or not"},
        415: {"description": "Content-Encoding is not gzip"},
        429: {"description": "Too many events of one person, or from apps; Retry-After says when to try again"},
        503: {"description": "Nothing can be stored at the moment; Retry-After says when to send it again"},
    }


def _taking(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def _reply(status: int, word: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps({"status": word, "message": message})
    return Response(body, status, headers=headers, media_type="application/json")


def _refused(error: RapportError) -> Response:
    if isinstance(error, TooManyRequests):
        return wire_error(error)
    message = error.message if error.status != Invalid.status else FAILED + error.message
    return _reply(error.status, "error", message, headers_of(error))


@dataclass(frozen=True, slots=True)
class _EventPost:
    """A request whose sender is known; of_vendor tells whether it holds the token of vendors."""

    request: Request
    tenant: IntakeTenant
    origin: str
    body: bytes
    of_vendor: bool = False

    async def keep(self, events: Sequence[Incoming], entries: Sequence[LogEntry] = ()) -> list[Accepted]:
        """Store within the pace of the persons. Raises TooManyRequests, Invalid (which is logged), Unavailable."""
        scope, state = self.tenant.scope, self.request.app.state
        persons = [person_of(event.customer_id, event.visitor_id) for event in events]
        try:
            state.event_limiter.take(scope.tenant_id, self.origin, persons, self.tenant.settings.events_per_person)
        except TooManyRequests:
            REJECTED.labels(self.origin, "pace").inc(len(events))
            raise
        except Invalid as error:
            busiest = events[persons.index(Counter(persons).most_common(1)[0][0])]
            raise await self.refused(error.message, busiest.customer_id or busiest.visitor_id) from error
        accepted: list[Accepted] = await state.intake.accept(scope, events, entries, recording=self.tenant.recording)
        return accepted

    def pace_app(self, token: str, number: int) -> None:
        """Count what an app sends, whether or not it can be used. Raises TooManyRequests."""
        is_present = token == self.tenant.tokens[SDK_TOKEN][0]
        scope, most = self.tenant.scope, min(number, MOST_OF_APPS)
        limit = share(self.tenant.app_events, scope.stores.api_processes)
        try:
            self.request.app.state.event_limiter.take_of_apps(
                scope.tenant_id, token, most, limit, is_present=is_present
            )
        except TooManyRequests:
            REJECTED.labels(self.origin, "pace").inc(number)
            raise

    async def refused(self, reason: str, person: str = "") -> Invalid:
        """The error to raise when nothing of the body is used, once the log has it."""
        entry = LogEntry(EventStatus.ERROR, self.origin, "", person.lower(), reason, self.body[:LOGGED_BYTES])
        await self.request.app.state.intake.accept(self.tenant.scope, [], [entry])
        return Invalid(reason)

    def not_json(self) -> str:
        """What is said of a body that cannot be read."""
        packed = " packed with gzip" if "content-encoding" in self.request.headers else ""
        return f"the body is not valid JSON{packed}"


def _entry(event: Any, origin: str, reason: str) -> LogEntry:
    """What the log keeps of an event that cannot be used."""
    members = event if isinstance(event, dict) else {}
    person = members.get("customer") or members.get("visitor") or ""
    return LogEntry(EventStatus.ERROR, origin, _words(members.get("event")), _words(person).lower(), reason, event)


def _words(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _usable(
    post: _EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None] = ()
) -> tuple[list[Incoming], list[LogEntry]]:
    """The events that can be used, and what the log is to have of the others. ids are the senders' own."""
    now, events, entries = post.tenant.scope.clock.now(), list[Incoming](), list[LogEntry]()
    for raw_event, own in zip_longest(raw_events, ids):
        try:
            if raw_event.fault:
                raise Faulty(raw_event.fault)
            event = event_of(raw_event.value, post.origin, post.tenant, now, own, raw_event.mended)
            if post.of_vendor:
                check_of_vendor(event.event, post.tenant)
            events.append(event)
        except Faulty as fault:
            entries.append(_entry(raw_event.value, post.origin, fault.reason))
    return events, entries


async def _checked(
    post: _EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None] = ()
) -> tuple[list[Incoming], list[LogEntry]]:
    """The same for whoever must hold nobody up."""
    if len(post.body) <= SHORT:
        return _usable(post, raw_events, ids)
    return await aside(post.request, _usable, post, raw_events, ids)


async def _stored(post: _EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None]) -> Response:
    """Store what can be used of these events; refuse them when nothing can be. Raises Invalid."""
    events, entries = await _checked(post, raw_events, ids)
    if not events:
        await post.request.app.state.intake.accept(post.tenant.scope, [], entries)
        raise Invalid(entries[0].reason)
    accepted = await post.keep(events, entries)
    return _reply(200, "success", ",".join(str(event.number) for event in accepted))


@router.post(
    "/v1/events",
    summary="Send one event from a server",
    operation_id="PostEvent",
    response_class=Response,
    responses=_answers("1234567890123456"),
    openapi_extra=_taking({"type": "object"}, EVENT),
)
async def post_event(request: Request) -> Response:
    """The response comes once the event is stored. You can safely repeat an event that is signed, or has a
    metadata.eventId or an Idempotency-Key.

    Send the tenant's server token in Authorization-Token or X-API-KEY, or sign the body with it:
    X-Optimove-Signature-Version is 1 and X-Optimove-Signature-Content is the body's HMAC-SHA256 in hex.
    """
    try:
        holder = await holder_of_token(request)
        body = await body_of(request)
        raw_events = await events_of(request, body)
        post = _EventPost(request, await server_of(request, holder, body, raw_events), Origin.SERVER, body)
        if raw_events is None:
            raise await post.refused(post.not_json())
        event = RawEvent([part.value for part in raw_events]) if isinstance(raw_events, list) else raw_events
        return await _stored(post, [event], [body_id(request)[:255] or None])
    except RapportError as error:
        return _refused(error)


async def _from_app(request: Request, token: str) -> Response:
    """Store the usable events of an app's batch and log the others."""
    try:
        tenant = await app_of(request, token)
        user = user_of(request, tenant)
        body = await body_of(request)
        post, raw_events = _EventPost(request, tenant, Origin.SDK, body), await events_of(request, body)
        post.pace_app(token, len(raw_events) if isinstance(raw_events, list) else 1)
        if raw_events is None:
            raise await post.refused(post.not_json())
        batch = raw_events if isinstance(raw_events, list) else [raw_events]
        if len(batch) > MOST_OF_APPS or not (isinstance(raw_events, list) or isinstance(raw_events.value, dict)):
            raise await post.refused(f"the body is not a JSON array of at most {MOST_OF_APPS} events")
        events, entries = await _checked(post, batch)
        verify(request, tenant, user, events)
        if batch:
            await post.keep(events, entries)
    except RapportError as error:
        return _refused(error)
    return _reply(200, "success", f"{len(events)} of {len(batch)} events")


_HEADERS_OF_APPS = [
    {
        "name": "X-User-JWT",
        "in": "header",
        "schema": {"type": "string"},
        "description": (
            "Proves that the app's user is the customer whom the events name (claim sub). If the tenant has "
            "keys for it, see /manage/v1/event-intake/user-jwt-keys, it is checked and must be valid"
        ),
    },
    {
        "name": "X-Optimove-Auth-Capable",
        "in": "header",
        "schema": {"type": "string", "enum": ["1"]},
        "description": "Says that the SDK can send X-User-JWT, so that events of customers need one",
    },
]
_FROM_APPS: dict[str, Any] = {
    "response_class": Response,
    "responses": _answers("1 of 1 events"),
    "openapi_extra": {
        "parameters": _HEADERS_OF_APPS,
        **_taking({"type": "array", "items": {"type": "object"}, "maxItems": MOST_OF_APPS}, [APP_EVENT]),
    },
}


@router.post(
    "/v1/optistream/{tenantToken}",
    summary="Send a batch of events from an SDK",
    operation_id="Optistream",
    **_FROM_APPS,
)
async def optistream(tenantToken: str, request: Request) -> Response:
    """Up to 100 events. Duplicates are recognised by metadata.eventId. The event log lists unusable events."""
    return await _from_app(request, tenantToken)


@router.post(
    "/v1/realtime/{tenantToken}/reportEvent",
    summary="Send urgent events from an older SDK",
    operation_id="ReportEvent",
    **_FROM_APPS,
)
async def report_event(tenantToken: str, request: Request) -> Response:
    """An event that is also sent to /v1/optistream is stored once."""
    return await _from_app(request, tenantToken)


async def _vendor(
    request: Request, body: bytes, tenant_id: int | None
) -> tuple[IntakeTenant, bool, RawEvent | list[RawEvent] | None]:
    """Who a vendor reports to, whether by its own token, and what; where no body has to say whose it is, none is read
    of a stranger. Raises as vendor_of and events_of do.
    """
    if tenant_id is None:
        raw_events = await events_of(request, body)
        return (*await vendor_of(request, body, tenant_number(raw_events)), raw_events)
    tenant, of_vendor = await vendor_of(request, body, tenant_id)
    return tenant, of_vendor, await events_of(request, body)


async def _metrics(request: Request, tenant_id: int | None) -> Response:
    """Store what a vendor reports and can be used. place is the tenant that the address names, if it does."""
    try:
        expect_signature(request)
        body = await body_of(request)
        tenant, of_vendor, raw_events = await _vendor(request, body, tenant_id)
        post = _EventPost(request, tenant, Origin.METRIC, body, of_vendor)
        if raw_events is None:
            raise await post.refused(post.not_json())
        batch = raw_events if isinstance(raw_events, list) else [raw_events]
        if not 0 < len(batch) <= MOST_METRICS:
            raise await post.refused(f"the body is not a JSON object, or an array of at most {MOST_METRICS}")
        return await _stored(post, batch, [f"{body_id(request)}:{n}" for n in range(len(batch))])
    except RapportError as error:
        return _refused(error)


_FROM_VENDORS: dict[str, Any] = {
    "response_class": Response,
    "responses": _answers("1234567890123456,6543210987654321"),
    "openapi_extra": _taking(
        {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}, [METRIC_EVENT]
    ),
}


@router.post(
    "/api/saveEvent",
    summary="Report engagement metrics as an external provider",
    operation_id="SaveMetricEvent",
    **_FROM_VENDORS,
)
async def save_event(request: Request) -> Response:
    """One event or an array, signed like a body of /v1/events, with the vendor token, which is valid for nothing else,
    or with a server token.

    The tenant is named by the host metric-<tenant> or by the body. A body with the same bytes is stored once.
    """
    return await _metrics(request, host_number(request))


@router.post(
    "/v1/metrics/{tenantID}/saveEvent",
    summary="Report engagement metrics, with the tenant in the path",
    operation_id="SaveMetricEventOfTenant",
    **_FROM_VENDORS,
)
async def save_event_of(tenantID: str, request: Request) -> Response:
    """For providers that cannot use a host name per tenant."""
    return await _metrics(request, number_of(tenantID))
