"""The SMS API: what aggregators and other providers of text messages call."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Request
from starlette.responses import Response

from rapport.access.keys import KeyRing
from rapport.access.roles import rights_cover
from rapport.access.scope import Scope
from rapport.api.http.responses import ERRORS, json_response
from rapport.api.sections import SectionRouter
from rapport.channels.models import Channel
from rapport.channels.sms.settings import Via
from rapport.delivery.returns import sms_calls
from rapport.errors import Forbidden, Unauthorized

router = SectionRouter("SMS")
FUNCTION = "SmsAggregator"
DONE = orjson.dumps({"success": True})
Identifier = Annotated[str, Path(description="The tenant and the channel in base 36", max_length=13)]
Password = Annotated[str, Path(description="The end of the address that the channel has", max_length=64)]
AGGREGATOR = "/sms/{identifier}/api/v1/aggregator"
HEADERS = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
        "description": description,
    }
    for name, description in (
        ("app-api-key", "An API key of the tenant"),
        ("x-hub-signature", "sha256= and the HMAC-SHA256 of the body with the channel's shared secret, in hexadecimal"),
    )
]
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Taken",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"success": {"type": "boolean"}}},
                "example": {"success": True},
            }
        },
    },
    **{status: ERRORS[status] for status in (400, 401, 403, 404, 413, 503)},
}


def _described(example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"parameters": HEADERS, "requestBody": {"required": True, "content": content}}


async def _body(request: Request) -> bytes:
    """The body as it is signed."""
    return await request.body()


def _caller(identifier: Identifier, request: Request, body: bytes = Depends(_body)) -> tuple[Scope, Channel, bytes]:
    """The channel that an aggregator calls about, and the body. Raises NotFound, Unauthorized, Forbidden."""
    scope, channel = sms_calls.channel_at(request.app.state.stores, identifier, Via.AGGREGATOR)
    keys: KeyRing = request.app.state.keys
    address = request.client.host if request.client else ""
    principal = keys.principal(request.headers.get("app-api-key", ""), address)
    if principal.scope.tenant_id != scope.tenant_id:
        raise Unauthorized("app-api-key is not one of this tenant.")
    if not rights_cover(principal.rights, principal.sections, FUNCTION, reads=False):
        raise Forbidden("app-api-key may not be used for this.")
    sms_calls.check_signed(channel, body, request.headers.get("x-hub-signature", ""))
    return scope, channel, body


Caller = Annotated[tuple[Scope, Channel, bytes], Depends(_caller)]


@router.post(
    f"{AGGREGATOR}/handshake",
    summary="Handshake of an aggregator",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=_described({"campaignSendUrl": "https://sms.example/send", "apiKey": "k-1"}),
)
def handshake(caller: Caller) -> Response:
    """Registers where the aggregator takes messages (campaignSendUrl) and its own API key, which every transmission
    has as X-API-Key. No message leaves before.

    GET /manage/v1/channels/{channel_id}/sms-addresses returns the base of these addresses.
    """
    scope, channel, body = caller
    sms_calls.take_handshake(scope, channel, body)
    return json_response(DONE)


@router.post(
    f"{AGGREGATOR}/delivery-report",
    summary="Delivery report of an aggregator",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=_described(
        {
            "type": {"status": "Delivered", "subStatus": ""},
            "metadata": {"campaignId": "12", "engagementId": "9f2c"},
            "mobileNumber": "+491713920001",
        }
    ),
)
def delivery_report(caller: Caller) -> Response:
    """Says what became of a message. metadata must come back as it was sent; the recipient is named by mobileNumber or
    customerId. A status that is not final, and a message that Rapport does not know, change nothing.
    """
    scope, channel, body = caller
    sms_calls.take_aggregator_report(scope, channel, body)
    return json_response(DONE)


@router.post(
    f"{AGGREGATOR}/incoming-message",
    summary="Incoming messages of an aggregator",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=_described(
        {"messages": [{"to": "55055", "from": "+491713920001", "message": "STOP", "sentAt": "2026-03-02T09:14:00Z"}]}
    ),
)
def incoming_message(caller: Caller) -> Response:
    """Texts that people sent. One that is a keyword, such as STOP, is carried out; the others change nothing."""
    scope, channel, body = caller
    sms_calls.take_aggregator_answers(scope, channel, body)
    return json_response(DONE)


@router.post(
    "/sms/{identifier}/reports/{password}",
    status_code=204,
    summary="Report what became of a text message",
    operation_id="ReportSms",
    responses={status: ERRORS[status] for status in (400, 404, 413, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
def reported(identifier: Identifier, password: Password, request: Request, body: bytes = Depends(_body)) -> Response:
    """An HTTP provider calls this, with JSON or a form as the channel's settings describe. What is not final, or about
    messages that Rapport did not send, changes nothing.
    """
    scope, channel = sms_calls.channel_at(request.app.state.stores, identifier, Via.HTTP, password)
    sms_calls.take_provider_report(scope, channel, body)
    return Response(status_code=204)


@router.post(
    "/sms/{identifier}/answers/{password}",
    status_code=204,
    summary="Take the answer to a text message",
    operation_id="AnswerSms",
    responses={status: ERRORS[status] for status in (400, 404, 413, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
def answered(identifier: Identifier, password: Password, request: Request, body: bytes = Depends(_body)) -> Response:
    """An HTTP provider calls this when somebody answers. A keyword, such as STOP, is carried out."""
    scope, channel = sms_calls.channel_at(request.app.state.stores, identifier, Via.HTTP, password)
    sms_calls.take_provider_answer(scope, channel, body)
    return Response(status_code=204)
