"""Transactional mail: what applications send to one person because of something that the person did."""

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
from anyio.to_thread import run_sync
from fastapi import Depends, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import LARGE, documented, parse, raw_body
from rapport.api.http.parameters import optional, required
from rapport.api.http.responses import json_response
from rapport.api.http.shares import Places
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.api.wire.transactional_bodies import FinalMailBody, TemplateMailBody
from rapport.delivery.models import State
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.contactability import suppressed_addresses
from rapport.transactional import accepting, request_keys
from rapport.transactional.requests import Accepted
from rapport.transactional.streams import streams

router = SectionRouter("Transactional Mail")

# So many requests are entered at once, in threads: more would only be in each other's way.
THREADS = 8
INVALID_TEMPLATE = "Invalid template"
SENDING = "/current/transactionalmail/"
ANSWER = {
    "type": "object",
    "properties": {
        "IsSuccess": {"type": "boolean"},
        "SendID": {"type": ["integer", "null"], "description": "The ID of the request, for all its recipients"},
        "Error": {"type": ["string", "null"]},
    },
    "required": ["IsSuccess", "SendID", "Error"],
}


def _answered(description: str, success: bool, error: str | None) -> dict[str, Any]:
    example = {"IsSuccess": success, "SendID": 90417 if success else None, "Error": error}
    return {"description": description, "content": {"application/json": {"schema": ANSWER, "example": example}}}


MISSING = "No value for the tags [%TRANS:ORDER_ID%], which are empty."
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _answered("Accepted; or, with `IsSuccess` false, refused because there is no such template", True, None),
    206: _answered(
        "Accepted in part: tags without a value are empty, recipients without a valid address get nothing",
        True,
        MISSING,
    ),
    400: _answered("Something is missing or malformed; nothing is sent", False, "Recipients is required."),
    404: _answered("There is no transactional brand with this BrandID", False, "There is no transactional brand 12."),
    409: _answered(
        "A request with this UniqueMessageID has succeeded before; nothing is sent", False, request_keys.USED
    ),
}
FILE = {"Content": "JVBERi0xLjQK", "Type": "application/pdf", "FileName": "receipt.pdf"}
OF_TEMPLATE = {
    "TemplateID": 31,
    "ScheduleTime": "2027-02-10 18:30:00",
    "Recipients": [
        {
            "Email": "pat@mail.example",
            "Personalizations": [
                {"Tag": "[%TRANS:FIRST_NAME%]", "Value": "Pat"},
                {"Tag": "[%TRANS:ORDER_ID%]", "Value": "A-1009"},
            ],
        }
    ],
    "Attachments": [FILE],
    "UniqueMessageID": "5f0a6a1e-2f7b-4c55-9a0e-5d1f8b7c2e11",
}
FINAL = {
    "BrandID": 12,
    "FromEmail": "orders@shop.example",
    "FromName": "Shop",
    "ReplyTo": "help@shop.example",
    "Subject": "Your order",
    "Html": "<p>Thank you</p>",
    "PlainText": "Thank you",
    "Recipients": [{"Email": "pat@mail.example"}, {"Email": "kim@mail.example"}],
    "Attachments": [FILE],
    "UniqueMessageID": "0c8f3a52-71b9-4de4-8f55-2a6a9f1b7d03",
}


async def in_turn(request: Request) -> AsyncIterator[None]:
    """A dependency before a body is read: of those that may be large only a few are in memory at once."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) <= LARGE:
        yield
        return
    places: Places = request.app.state.large_bodies
    tenant_id = request.state.principal.scope.tenant_id
    await places.take(tenant_id)
    try:
        yield
    finally:
        places.give_back(tenant_id)


@router.post(
    f"{SENDING}SendTransactionalMail",
    summary="Send a transactional template to recipients",
    operation_id="SendTransactionalMail",
    response_class=Response,
    responses={status: shown for status, shown in RESPONSES.items() if status != NotFound.status},
    openapi_extra=documented(TemplateMailBody, OF_TEMPLATE),
)
async def send_transactional_mail(
    request: Request,
    principal: Principal = Depends(caller("SendTransactionalMail")),  # noqa: B008
    turn: None = Depends(in_turn),
    body: bytes = Depends(raw_body),
) -> Response:
    """Sends at once, or at ScheduleTime (UTC). Up to 200 recipients, each with separate values for the template's tags;
    up to 10 MB of attachments in total.

    If a request with the same UniqueMessageID has succeeded before, nothing is sent and the status is 409. People who
    have unsubscribed get transactional mail, too; addresses that bounced or complained do not.
    """
    return await run_sync(_send_template, principal.scope, body, limiter=request.app.state.accepting)


def _send_template(scope: Scope, body: bytes) -> Response:
    try:
        mail = parse(TemplateMailBody, body)
        return _accepted(accepting.send_template(scope, mail.template_id, mail.order()))
    except NotFound:
        return _refused(200, INVALID_TEMPLATE)
    except (Invalid, Conflict) as error:
        return _refused(error.status, error.message)


@router.post(
    f"{SENDING}SendFinalizedTransactionalMail",
    summary="Send final HTML to recipients, without a template",
    operation_id="SendFinalizedTransactionalMail",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=documented(FinalMailBody, FINAL),
)
async def send_finalized_transactional_mail(
    request: Request,
    principal: Principal = Depends(caller("SendFinalizedTransactionalMail")),  # noqa: B008
    turn: None = Depends(in_turn),
    body: bytes = Depends(raw_body),
) -> Response:
    """Sends the same content to each of up to 200 recipients, who do not see each other's addresses. Tags are not
    replaced.

    FromEmail must be an address of a domain from which the brand sends.
    """
    return await run_sync(_send_final, principal.scope, body, limiter=request.app.state.accepting)


def _send_final(scope: Scope, body: bytes) -> Response:
    try:
        mail = parse(FinalMailBody, body)
        return _accepted(accepting.send_final(scope, mail.brand_id, mail.content(), mail.order()))
    except (Invalid, Conflict, NotFound) as error:
        return _refused(error.status, error.message)


def _accepted(accepted: Accepted) -> Response:
    sentences = []
    if accepted.missing_tags:
        tags = ", ".join(f"[%TRANS:{name}%]" for name in accepted.missing_tags)
        sentences.append(f"No value for the tags {tags}, which are empty.")
    if accepted.not_addresses:
        places = ", ".join(f"Recipients[{place}].Email" for place in accepted.not_addresses)
        sentences.append(f"Not an e-mail address: {places}. The message is sent to all others.")
    body = {"IsSuccess": True, "SendID": accepted.send_id, "Error": " ".join(sentences) or None}
    return json_response(orjson.dumps(body), 206 if sentences else 200)


def _refused(status: int, error: str) -> Response:
    return json_response(orjson.dumps({"IsSuccess": False, "SendID": None, "Error": error}), status)


def _of_streams(scope: Scope, values: Values) -> Values:
    """The values, with the channels of transactional brands and whom mail of each comes from."""
    senders = []
    for stream in streams(scope):
        from_name, from_address = stream.sender(scope)
        sender = {"from_name": from_name, "from_address": from_address}
        senders.append({"channel_id": stream.channel.id, "brand_id": stream.brand_id, **sender})
    return {**values, "senders": json.dumps(senders)}


def _in_order(scope: Scope, values: Values) -> Values:
    """The values. Raises Invalid for a span of time that ends before it begins."""
    if values["StartDate"] and values["EndDate"] and values["StartDate"] > values["EndDate"]:
        raise Invalid("EndDate must not be before StartDate.")
    return values


def _of_address(scope: Scope, values: Values) -> Values:
    """The values, with the mark under which the log has the address."""
    return {**_in_order(scope, values), "mark": suppressed_addresses.marks_of(scope, [values["Email"]])[0]}


IN_SPAN = """
    ended_at IS NOT NULL
    AND (CAST(:StartDate AS timestamp) IS NULL OR ended_at >= CAST(:StartDate AS timestamp) AT TIME ZONE 'UTC')
    AND (CAST(:EndDate AS timestamp) IS NULL
        OR ended_at < (CAST(:EndDate AS timestamp) + interval '1 day') AT TIME ZONE 'UTC')"""
DELIVERED = f"(state = '{State.SENT}' AND bounced_at IS NULL)"
DROPPED = f"(state <> '{State.SENT}' AND bounced_at IS NULL)"
EVENTS = {
    "Delivered": DELIVERED,
    "Opened": "opened_at IS NOT NULL",
    "Clicked": "clicked_at IS NOT NULL",
    "Unsubscribed": "unsubscribed_at IS NOT NULL",
    "Dropped": DROPPED,
    "SpamReported": "complained_at IS NOT NULL",
    "Bounced": "bounced_at IS NOT NULL",
}
COUNTED = ", ".join(f'count(*) FILTER (WHERE {condition}) AS "{name}"' for name, condition in EVENTS.items())
SAID = ", ".join(f'{condition} AS "{name}"' for name, condition in EVENTS.items())
WORDS = (
    "Dropped mail was never tried, such as mail to an address that bounced or complained before; "
    "bounced mail was refused by a mail server, at once or later."
)

register(
    router,
    Read(
        "transactionalmail",
        "GetTemplateDetails",
        "All transactional templates, with content and sender",
        engine="records",
        sql="""
            SELECT templates.id AS "TemplateID", templates.name AS "TemplateName",
                CASE WHEN templates.html <> '' THEN templates.html ELSE templates.text END AS "TemplateContent",
                json_build_array(
                    coalesce(nullif(templates.from_name, ''), sender.from_name),
                    coalesce(own.address, sender.from_address), templates.subject
                ) AS "TemplateAttributes"
            FROM templates
            JOIN json_to_recordset(CAST(:senders AS json))
                AS sender (channel_id int, brand_id int, from_name text, from_address text)
                ON sender.channel_id = templates.channel_id
            LEFT JOIN brand_addresses AS own
                ON own.tenant_id = templates.tenant_id AND own.brand_id = sender.brand_id
                AND own.role = 'from' AND own.id = templates.from_address_id
            WHERE templates.tenant_id = :tenant_id""",
        row={
            "TemplateID": "integer",
            "TemplateName": "string",
            "TemplateContent": "string",
            "TemplateAttributes": "strings",
        },
        order="templates.id",
        prepare=_of_streams,
        missing="There are no transactional templates.",
        paged=False,
        description="Tags are not replaced. The attributes are from name, from address and subject. 404 if there are "
        "no templates.",
    ),
    Read(
        "transactionalmail",
        "GetTransactionalTemplateMetrics",
        "What became of the mail of a transactional template, by day",
        engine="records",
        sql=f"""
            SELECT to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS "Date", count(*) AS "Sent", {COUNTED}
            FROM transactional_recipients
            WHERE tenant_id = :tenant_id AND template_id = :TemplateID AND {IN_SPAN}
            GROUP BY 1""",  # noqa: S608 - constants
        row={"Date": "string", "Sent": "integer", **dict.fromkeys(EVENTS, "integer")},
        order='"Date"',
        params=(
            required("TemplateID", "integer", "The template, see GetTemplateDetails"),
            required("StartDate", "date", "The first day, UTC"),
            required("EndDate", "date", "The last day, UTC"),
        ),
        prepare=_in_order,
        missing="There is no mail of template {TemplateID} in these days.",
        paged=False,
        description="Each message counts once for each event, on the day on which it was sent (UTC); days without "
        f"events are left out. {WORDS} 404 if nothing was sent.",
    ),
    Read(
        "transactionalmail",
        "GetTransactionalUserMetrics",
        "What became of the transactional mail to one address",
        engine="records",
        sql=f"""
            SELECT send_id AS "SendID", template_id AS "TemplateID",
                to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS "SendTime", {SAID}
            FROM transactional_recipients
            WHERE tenant_id = :tenant_id AND mark = :mark AND {IN_SPAN}
                AND (CAST(:SendID AS bigint) IS NULL OR send_id = :SendID)""",  # noqa: S608 - constants
        row={"SendID": "integer", "TemplateID": "integer?", "SendTime": "string", **dict.fromkeys(EVENTS, "boolean")},
        order="id",
        params=(
            required("Email", "string", "The address, in any case"),
            optional("SendID", "integer", description="Only this send"),
            optional("StartDate", "date", description="The first day, UTC"),
            optional("EndDate", "date", description="The last day, UTC"),
        ),
        prepare=_of_address,
        missing="There is no transactional mail to this address.",
        paged=False,
        description=f"One row for each message that was sent, oldest first; TemplateID is null for final HTML. {WORDS} "
        "404 if nothing was sent to the address.",
    ),
)
