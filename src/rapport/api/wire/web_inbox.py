"""The Web Inbox API V1, for pages that show an inbox of their own, and the first names that apps called it by.

Needs no key: the tenant and the brand stand in the query, or in the body.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BeforeValidator, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rapport.access.limits import RateLimiter, share
from rapport.api.http.bodies import Whole, WireModel, as_id, documented, parse
from rapport.api.http.responses import wire_error
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.api.wire.embedded_messages import (
    MOST_EVENTS,
    MOST_PERSONS,
    PERSON,
    REFUSALS,
    TENANT,
    answer,
    instant,
    limits_of,
)
from rapport.api.wire.inbox_callers import (
    Caller,
    Names,
    answered,
    body_of,
    caller,
    check_owner,
    done,
    guid,
    inbox_of,
    named,
    query_of,
    tenant_of,
)
from rapport.api.wire.inbox_shapes import CAMPAIGN, EXAMPLE, OLD_MESSAGE, OLD_SHOWN, by_container
from rapport.delivery.returns import inbox_reports
from rapport.errors import Invalid, NotFound, RapportError
from rapport.inbox import changing, reading
from rapport.inbox.changing import Action, Report
from rapport.inbox.reading import Inbox

router = SectionRouter("Web Inbox")
MESSAGES, STATUS, METRICS = "/api/v1/messages", "/api/v1/messages/status", "/api/v1/messages/metrics"
MESSAGE = "/api/v1/messages/{messageId}"
# The names of the first releases of the SDKs.
FIRST_GET, SECOND_GET = (
    "/api/v1/embeddedmessages/getembeddedmessages",
    "/api/v1/embedded-messages/get-embedded-messages",
)
LARGEST_TIME = 253_402_300_799_999  # the last millisecond of the year 9999
LARGEST_ID = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of the numbers of events those that are done by people; the others tell what Rapport knows better.
ACTIONS = {0: Action.READ, 1: Action.CLICKED, 2: Action.DELETED}
LAST_EVENT = 4
CLICK = 1
STATUS_EXAMPLE = {
    "tenantId": 3001,
    "brandId": "11111111-2222-4333-8444-555555555555",
    "statusMetrics": [{"messageId": EXAMPLE["id"], "customerId": "Q1001", "readAt": 1773133200000}],
}
METRICS_EXAMPLE = {
    "tenantId": 3001,
    "brandId": "11111111-2222-4333-8444-555555555555",
    "messageMetrics": [
        {
            "customerId": "Q1001",
            "event": CLICK,
            "engagementId": "77",
            "campaignKind": CAMPAIGN,
            "executionDateTime": "2026-03-10T08:00:00.000Z",
            "now": "2026-03-10T09:00:00.000Z",
        }
    ],
}
OPTIONAL_TENANT = [{**parameter, "required": False} for parameter in TENANT]
Name = Annotated[str | None, BeforeValidator(as_id)]


class StatusChange(WireModel):
    """That a message was read at a time, in milliseconds since 1970; without one, that it is unread."""

    message_id: str = Field(alias="messageId", max_length=100)
    customer_id: Name = Field(None, alias="customerId")
    read_at: Annotated[Whole, Field(ge=0, le=LARGEST_TIME)] | None = Field(None, alias="readAt")


class Metric(WireModel):
    """What was done with the message of an engagement, or with a message; a click unless event says otherwise."""

    customer_id: Name = Field(None, alias="customerId")
    message_id: str | None = Field(None, alias="messageId", max_length=100)
    event: Annotated[Whole, Field(ge=0, le=LAST_EVENT)] = CLICK
    engagement_id: Name = Field(None, alias="engagementId")
    campaign_kind: Whole | None = Field(None, alias="campaignKind")
    execution_time: str | None = Field(None, alias="executionDateTime", max_length=50)
    now: str | None = Field(None, max_length=50)


class OfBrand(WireModel):
    """The tenant and the brand, where the query does not name them."""

    tenant_id: Name = Field(None, alias="tenantId")
    brand_id: str | None = Field(None, alias="brandId")


class StatusChanges(OfBrand):
    """Messages that were read or marked as unread."""

    status_metrics: list[StatusChange] = Field(alias="statusMetrics", max_length=MOST_EVENTS)


class Metrics(OfBrand):
    """What was done with messages; the first apps called the list statusMetrics."""

    message_metrics: list[Metric] | None = Field(None, alias="messageMetrics", max_length=MOST_EVENTS)
    status_metrics: list[Metric] | None = Field(None, alias="statusMetrics", max_length=MOST_EVENTS)


B = TypeVar("B", bound=OfBrand)


@router.get(
    MESSAGES,
    summary="Get Web Inbox user messages",
    operation_id="GetWebInboxUserMessages",
    response_class=Response,
    responses={
        200: {
            "description": "The messages, the newest first",
            "content": {"application/json": {"schema": {"type": "array", "items": OLD_MESSAGE}, "example": [EXAMPLE]}},
        },
        **REFUSALS,
    },
    openapi_extra={"parameters": TENANT + PERSON},
)
async def get_messages(request: Request) -> Response:
    """The messages of all containers, 50 of each. Deleted and expired ones, and members without a value, are left out.

    Only readAt is in milliseconds since 1970; the other times are ISO 8601.
    """

    def work(by: Caller) -> Response:
        inbox = inbox_of(by, named(query_of(request)))
        return answered(reading.listed(by.scope, inbox, OLD_SHOWN, apart=False).get("", b"[]"))

    return await answer(request, work)


@router.post(FIRST_GET, include_in_schema=False)
@router.post(SECOND_GET, include_in_schema=False, openapi_extra=CHANGES_NOTHING)
async def get_by_container(request: Request, body: bytes = Depends(body_of)) -> Response:
    """The messages by container as V2 has them, with the times of V1."""

    def work(by: Caller) -> Response:
        limits = limits_of(body)
        arrays = reading.listed(by.scope, inbox_of(by, named(query_of(request))), OLD_SHOWN, limits)
        return answered(by_container(arrays, limits or ()))

    return await answer(request, work)


@router.put(
    STATUS,
    summary="Update Web Inbox message read status",
    operation_id="UpdateWebInboxMessageReadStatus",
    response_class=Response,
    status_code=204,
    responses={204: {"description": "Entered"}, **REFUSALS},
    openapi_extra={"parameters": OPTIONAL_TENANT, **documented(StatusChanges, STATUS_EXAMPLE)},
)
async def update_status(request: Request, body: bytes = Depends(body_of)) -> Response:
    """With readAt a message is read, which is counted as opened; without it, it is unread again.

    Messages that are not in the customer's inbox are ignored.
    """

    def work(by: Caller, changes: StatusChanges) -> None:
        of_person: dict[Names, list[Report]] = defaultdict(list)
        for change in changes.status_metrics:
            names, message_id = named({"customerid": change.customer_id}), guid(change.message_id)
            if message_id is not None:
                of_person[names].append(_change(change, message_id))
        inboxes = _inboxes(by, of_person)
        for names, reports in of_person.items():
            inbox_reports.report(by.scope, inboxes[names], reports)

    return await _taken(request, StatusChanges, body, work)


def _change(change: StatusChange, message_id: Any) -> Report:
    if change.read_at is None:
        return Report(message_id, Action.UNREAD)
    return Report(message_id, Action.READ, EPOCH + timedelta(milliseconds=change.read_at))


@router.post(
    METRICS,
    summary="Report Web Inbox Message metrics",
    operation_id="ReportWebInboxMessageMetrics",
    response_class=Response,
    status_code=204,
    responses={204: {"description": "Entered"}, **REFUSALS},
    openapi_extra={"parameters": OPTIONAL_TENANT, **documented(Metrics, METRICS_EXAMPLE)},
)
@router.put(METRICS, include_in_schema=False)
async def report_metrics(request: Request, body: bytes = Depends(body_of)) -> Response:
    """Counts what was done with the message of an engagement, in practice clicks.

    event: 0 opened, 1 clicked, 2 deleted; 3 and 4 are ignored, since Rapport knows what it delivered. Neither changes
    whether a message is read or is there.
    """

    def work(by: Caller, metrics: Metrics) -> None:
        listed = metrics.message_metrics or metrics.status_metrics or []
        of_person: dict[Names, list[Metric]] = defaultdict(list)
        for metric in listed:
            of_person[named({"customerid": metric.customer_id})].append(metric)
        inboxes = _inboxes(by, of_person)
        for names, theirs in of_person.items():
            reports = [each for metric in theirs for each in _metric(by, inboxes[names], metric)]
            inbox_reports.count(by.scope, inboxes[names], reports)

    return await _taken(request, Metrics, body, work)


def _metric(by: Caller, inbox: Inbox, metric: Metric) -> Sequence[Report]:
    """What a metric says of a message; nothing where that is not known."""
    action, at = ACTIONS.get(metric.event), instant(metric.now or "")
    if action is None:
        return ()
    if metric.message_id and (message_id := guid(metric.message_id)):
        return (Report(message_id, action, at),)
    engagement = metric.engagement_id or ""
    if not (engagement.isascii() and engagement.isdigit() and int(engagement[:11]) <= LARGEST_ID):
        return ()
    of_campaign = metric.campaign_kind in (None, CAMPAIGN)
    campaign_id, send_id = (int(engagement), 0) if of_campaign else (0, int(engagement))
    sent_at = instant(metric.execution_time or "")
    messages = reading.counted_for(by.scope, inbox, campaign_id, send_id, sent_at)
    return [Report(message.id, action, at) for message in messages]


@router.delete(
    MESSAGE,
    summary="Delete Web Inbox message",
    operation_id="DeleteWebInboxMessage",
    response_class=Response,
    status_code=204,
    responses={
        204: {"description": "Deleted, now or before"},
        404: {"description": "There is no such message"},
        **REFUSALS,
    },
    openapi_extra={"parameters": TENANT},
)
async def delete_message(messageId: str, request: Request) -> Response:
    """Takes a message out of the inbox, which is counted as deleted."""
    return await _delete(request, messageId)


@router.delete(MESSAGES, include_in_schema=False)
async def delete_message_of_query(request: Request) -> Response:
    """As the first apps asked for it: with the message in the query."""
    return await _delete(request, query_of(request).get("id", ""))


async def _delete(request: Request, text: str) -> Response:
    def work(by: Caller) -> Response:
        limiter: RateLimiter = request.app.state.limiter
        address = request.client.host if request.client else ""
        calls = share(limiter.calls, request.app.state.stores.api_processes)
        limiter.hit(f"inbox:{by.scope.tenant_id}:from {address}", calls)
        message_id = guid(text)
        message = changing.message_of(by.scope, by.channels, message_id) if message_id else None
        if message is None:
            raise NotFound("There is no such message.")
        check_owner(by, message.person, message.customer_id)
        inbox = Inbox((message.person,), by.channels)
        inbox_reports.report(by.scope, inbox, [Report(message.id, Action.DELETED)])
        return done()

    return await answer(request, work)


def _inboxes(by: Caller, names: Sequence[Names] | dict[Names, Any]) -> dict[Names, Inbox]:
    if len(names) > MOST_PERSONS:
        raise Invalid(f"The body must be about at most {MOST_PERSONS} customers.")
    return {each: inbox_of(by, each) for each in names}


async def _taken(request: Request, model: type[B], body: bytes, work: Callable[[Caller, B], None]) -> Response:
    """Carry out what a body says; it may name the tenant and the brand."""
    try:
        parsed = await run_in_threadpool(parse, model, body)
        tenant = await tenant_of(request, parsed.tenant_id or "")
        await run_in_threadpool(lambda: work(caller(request, tenant, parsed.brand_id or ""), parsed))
    except RapportError as error:
        return wire_error(error)
    return done()
