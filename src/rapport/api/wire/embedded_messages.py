"""Embedded Messaging V2: the messages of a customer or visitor by container, and what is done with them.

Needs no key: the tenant and the brand stand in the query.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rapport.api.http.bodies import Whole, WireModel, documented_array, parse_array
from rapport.api.http.responses import wire_error
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.api.wire.inbox_callers import (
    Caller,
    Names,
    answered,
    body_of,
    caller,
    done,
    guid,
    inbox_of,
    named,
    query_of,
    tenant_of,
)
from rapport.api.wire.inbox_shapes import EXAMPLE, MESSAGE, SHOWN, by_container
from rapport.delivery.returns import inbox_reports
from rapport.errors import Invalid, RapportError
from rapport.inbox import reading
from rapport.inbox.changing import Action, Report
from rapport.inbox.reading import LIMIT, MOST

router = SectionRouter("Embedded Messaging")
GET, COUNT = "/api/v2/embedded-messages/get", "/api/v2/embedded-messages/get-unread-messages-count"
REPORT, REPORT_OF_SDKS = "/api/v2/embedded-messages/report-events", "/api/v2/events/report"
MOST_CONTAINERS, MOST_EVENTS, MOST_PERSONS = 100, 1000, 20
PREFIX = "embedded-message."
CONTAINER = "Inbox"
EVENT_EXAMPLE = {
    "timestamp": "2026-03-10T09:00:00.000Z",
    "uuid": "0b0b0b0b-0000-4000-8000-000000000002",
    "eventType": "embedded-message.read",
    "customerId": "Q1001",
    "context": {"messageId": "0a0a0a0a-0000-4000-8000-000000000001", "containerId": CONTAINER},
}
TENANT: list[dict[str, Any]] = [
    {
        "name": "tenantId",
        "in": "query",
        "required": True,
        "description": "The tenant's number",
        "schema": {"type": "integer"},
    },
    {
        "name": "brandId",
        "in": "query",
        "required": True,
        "description": "A brand group, see GET /manage/v1/brand-groups",
        "schema": {"type": "string", "format": "uuid"},
    },
]
PERSON: list[dict[str, Any]] = [
    {
        "name": "customerId",
        "in": "query",
        "required": False,
        "description": "The CustomerID; this or visitorId is required",
        "schema": {"type": "string"},
    },
    {
        "name": "visitorId",
        "in": "query",
        "required": False,
        "description": "The visitor ID of the SDK",
        "schema": {"type": "string"},
    },
    {
        "name": "localTime",
        "in": "query",
        "required": False,
        "description": "The time of the device; not used",
        "schema": {"type": "integer"},
    },
]
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The tenant, the brand or the body is wrong, or nobody is named"},
    401: {"description": "The tenant has keys of X-User-JWT, and the token is missing, invalid or of another customer"},
    403: {"description": "The tenant admits pages of its own sites only, and the page is of another"},
    429: {"description": "Over the rate limit of the customer or visitor"},
}


class ContainerAsked(WireModel):
    """A container and the maximum number of its messages."""

    container_id: str = Field(alias="containerId", min_length=1, max_length=100)
    limit: Whole | None = Field(None, ge=0)


class Context(WireModel):
    """The message that an event is about."""

    message_id: str = Field(alias="messageId", max_length=100)
    container_id: str | None = Field(None, alias="containerId")


class MessageEvent(WireModel):
    """What was done with a message, and when."""

    timestamp: str = Field(max_length=50)
    uuid: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$", description="Unique: a repetition is ignored")
    event_type: Annotated[
        str,
        Field(alias="eventType", pattern=r"(?i)^embedded-message\.(read|unread|clicked|deleted)$"),
    ]
    customer_id: str | None = Field(None, alias="customerId")
    visitor_id: str | None = Field(None, alias="visitorId")
    context: Context


async def answer(request: Request, work: Callable[[Caller], Response]) -> Response:
    """What a call of the query's tenant and brand is answered with; an error as the wire shows it."""
    try:
        tenant = await tenant_of(request)
        return await run_in_threadpool(lambda: work(caller(request, tenant)))
    except RapportError as error:
        return wire_error(error)


def limits_of(body: bytes) -> dict[str, int] | None:
    """By container, how many messages are asked for; None for all containers."""
    if body.strip() in (b"", b"null", b"[]"):
        return None
    asked = parse_array(ContainerAsked, body, MOST_CONTAINERS)
    return {each.container_id: min(LIMIT if each.limit is None else each.limit, MOST) for each in asked}


@router.post(
    GET,
    summary="Get Embedded Messages",
    operation_id="GetEmbeddedMessages",
    response_class=Response,
    responses={
        200: {
            "description": "The messages of each container, the newest first",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "containers": {
                                "type": "object",
                                "additionalProperties": {"type": "array", "items": MESSAGE},
                            }
                        },
                        "required": ["containers"],
                    },
                    "example": {"containers": {CONTAINER: [EXAMPLE]}},
                }
            },
        },
        **REFUSALS,
    },
    openapi_extra={
        "parameters": TENANT + PERSON,
        **documented_array(ContainerAsked, [{"containerId": CONTAINER, "limit": 20}], MOST_CONTAINERS),
        **CHANGES_NOTHING,
    },
)
async def get_embedded_messages(request: Request, body: bytes = Depends(body_of)) -> Response:
    """Without a body, or with an empty array, the messages of all containers; 50 of each unless limit says otherwise.

    Deleted and expired messages are left out, and so are members without a value.
    """

    def work(by: Caller) -> Response:
        limits = limits_of(body)
        arrays = reading.listed(by.scope, inbox_of(by, named(query_of(request))), SHOWN, limits)
        return answered(by_container(arrays, limits or ()))

    return await answer(request, work)


@router.get(
    COUNT,
    summary="Get Unread Messages Count",
    operation_id="GetUnreadMessagesCount",
    response_class=Response,
    responses={
        200: {
            "description": "The number of unread messages",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"unread_count": {"type": "integer"}},
                        "required": ["unread_count"],
                    },
                    "example": {"unread_count": 7},
                }
            },
        },
        **REFUSALS,
    },
    openapi_extra={"parameters": TENANT + PERSON},
)
async def get_unread_messages_count(request: Request) -> Response:
    """Of all containers together."""

    def work(by: Caller) -> Response:
        count = reading.unread(by.scope, inbox_of(by, named(query_of(request))))
        return answered(orjson.dumps({"unread_count": count}))

    return await answer(request, work)


async def _report_events(request: Request, body: bytes) -> Response:
    def work(by: Caller) -> Response:
        events = parse_array(MessageEvent, body, MOST_EVENTS)
        of_person: dict[Names, list[MessageEvent]] = defaultdict(list)
        for event in events:
            names = named({"customerid": event.customer_id, "visitorid": event.visitor_id})
            of_person[names].append(event)
        if len(of_person) > MOST_PERSONS:
            raise Invalid(f"The events must be of at most {MOST_PERSONS} customers and visitors.")
        inboxes = {names: inbox_of(by, names) for names in of_person}
        for names, theirs in of_person.items():
            inbox_reports.report(by.scope, inboxes[names], [each for event in theirs if (each := _reported(event))])
        return done()

    return await answer(request, work)


def _reported(event: MessageEvent) -> Report | None:
    """None for an event of what can be no message."""
    message_id = guid(event.context.message_id)
    if message_id is None:
        return None
    action = Action(event.event_type.lower().removeprefix(PREFIX))
    return Report(message_id, action, instant(event.timestamp), event.uuid.lower())


def instant(text: str) -> datetime | None:
    """The instant that a client tells; None for a time without a zone, which only the client knows, and for none."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo else None


_OF_REPORT: dict[str, Any] = {
    "summary": "Report Message Events",
    "response_class": Response,
    "status_code": 204,
    "responses": {204: {"description": "Entered"}, **REFUSALS},
    "openapi_extra": {"parameters": TENANT, **documented_array(MessageEvent, [EVENT_EXAMPLE], MOST_EVENTS)},
}


@router.post(REPORT, operation_id="ReportMessageEvents", **_OF_REPORT)
async def report_events(request: Request, body: bytes = Depends(body_of)) -> Response:
    """read and unread change whether a message is read, deleted removes it. read, clicked and deleted are counted.

    Events of messages that are not in the inbox, and those that were reported before, are ignored.
    """
    return await _report_events(request, body)


@router.post(REPORT_OF_SDKS, operation_id="ReportMessageEventsOfSdks", **_OF_REPORT)
async def report_events_of_sdks(request: Request, body: bytes = Depends(body_of)) -> Response:
    """The address that the SDKs call; the same as /api/v2/embedded-messages/report-events."""
    return await _report_events(request, body)
