"""Intake of events: from servers, from the SDKs of apps and web sites, and from vendors who report engagement."""

from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.api.sections import SectionRouter
from rapport.api.wire.event_posts import FAILED, MOST_OF_APPS, EventPost, refused, stored, take_batch
from rapport.api.wire.event_senders import (
    app_of,
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
)
from rapport.errors import RapportError
from rapport.realtime.events.directory import IntakeTenant
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.validation import TENANT_FAULT
from rapport.realtime.states import Origin

router = SectionRouter("Events")

MOST_METRICS = 1000
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
_FORM = {"content": {"application/json": {"schema": _ANSWER}}}


def _answers(ok: str) -> dict[int | str, dict[str, Any]]:
    def shown(description: str, status: str, message: str) -> dict[str, Any]:
        example = {"status": status, "message": message}
        return {"description": description, "content": {"application/json": {"schema": _ANSWER, "example": example}}}

    return {
        200: shown("Stored", "success", ok),
        400: shown("Refused; nothing was stored", "error", FAILED + TENANT_FAULT),
        401: shown("The token or the signature is not valid", "error", "The token, or a signature, is missing."),
        413: {"description": "The body is larger than 2 MiB, compressed or not", **_FORM},
        415: {"description": "Content-Encoding is not gzip", **_FORM},
        429: {"description": "Too many events of one person, or from apps; Retry-After says when to try again"},
        503: {
            "description": "Nothing can be stored at the moment; Retry-After says when to send it again",
            **_FORM,
        },
    }


def _taking(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


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
        post = EventPost(request, await server_of(request, holder, body, raw_events), Origin.SERVER, body)
        if raw_events is None:
            raise await post.refused(post.not_json())
        event = RawEvent([part.value for part in raw_events]) if isinstance(raw_events, list) else raw_events
        return await stored(post, [event], [body_id(request)[:255] or None])
    except RapportError as error:
        return refused(error)


HEADERS_OF_APPS = [
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
    {
        "name": "X-Optimove-Platform",
        "in": "header",
        "schema": {"type": "string"},
        "description": "ios or android; makes no difference",
    },
]
_FROM_APPS: dict[str, Any] = {
    "response_class": Response,
    "responses": {status: shown for status, shown in _answers("1 of 1 events").items() if status != 400},
    "openapi_extra": {
        "parameters": HEADERS_OF_APPS,
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
    try:
        tenant = await app_of(request, tenantToken)
        user_of(request, tenant)  # a proof that is none is refused before a body is read
        body = await body_of(request)
        taken = await take_batch(request, tenant, tenantToken, body, await events_of(request, body))
    except RapportError as error:
        return refused(error)
    return Response(orjson.dumps(taken.told), media_type="application/json")


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
        post = EventPost(request, tenant, Origin.METRIC, body, of_vendor)
        if raw_events is None:
            raise await post.refused(post.not_json())
        batch = raw_events if isinstance(raw_events, list) else [raw_events]
        if not 0 < len(batch) <= MOST_METRICS:
            raise await post.refused(f"the body is not a JSON object, or an array of at most {MOST_METRICS}")
        return await stored(post, batch, [f"{body_id(request)}:{n}" for n in range(len(batch))])
    except RapportError as error:
        return refused(error)


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
