"""OptiText: the unsubscribe list of SMS. Each call has a second spelling, as functions of older APIs have it."""

from datetime import UTC
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import Listed, WireModel, documented, parse
from rapport.api.http.parameters import PAGING, optional, required
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid
from rapport.messaging.contactability import unsubscribed_numbers

router = SectionRouter("OptiText")
PATH = "/current/optitext"
MOST_NUMBERS, MOST_ROWS = 200, 10_000
DONE = orjson.dumps({"error": None})
BRAND = required("brandId", "string", "The brand of the SMS channel: its setting brand, or the channel's id")
SENDER = optional("senderId", "string", "", "Only the channel with this sender")
PARAMETERS = (
    BRAND,
    SENDER,
    optional("startDate", "date", description="The first day of unsubscription, in UTC"),
    optional("endDate", "date", description="The last day of unsubscription, in UTC"),
    optional("$top", "count", MOST_ROWS, "The number of rows to return, at most 10,000", ("top",)),
    PAGING[1],
)
ROW = {
    "type": "object",
    "properties": {"phoneNumber": {"type": "string"}, "unsubscribedTime": {"type": "string"}},
    "required": ["phoneNumber", "unsubscribedTime"],
}
LISTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Success",
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": ROW},
                "example": [{"phoneNumber": "+491713920001", "unsubscribedTime": "2026-03-02 09:14:00"}],
            }
        },
    }
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Accepted",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"error": {"type": ["string", "null"]}}},
                "example": {"error": None},
            }
        },
    }
}
EXAMPLE = {"brandId": 493, "phoneNumbers": ["+491713920001", "+491713920002"]}
Number = Annotated[str, Field(max_length=100)]


class Numbers(WireModel):
    """Phone numbers of a brand. They may also be called mobileNumbers."""

    brand_id: int | str = Field(alias="brandId", description=BRAND.description)
    phone_numbers: Listed[Number] = Field(
        [], alias="phoneNumbers", description=f"1 to {MOST_NUMBERS} numbers with their country code"
    )
    mobile_numbers: Listed[Number] = Field([], alias="mobileNumbers", description="The same under another name")
    sender_id: str = Field("", alias="senderId", max_length=100, description=SENDER.description)

    @property
    def numbers(self) -> list[str]:
        """All of them. Raises Invalid for none or too many."""
        numbers = [*self.phone_numbers, *self.mobile_numbers]
        if not 1 <= len(numbers) <= MOST_NUMBERS:
            raise Invalid(f"phoneNumbers must have 1 to {MOST_NUMBERS} numbers, not {len(numbers)}.")
        return numbers


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    f"{PATH}/unsubscribes",
    summary="Add Unsubscribes",
    operation_id="AddUnsubscribes",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=documented(Numbers, EXAMPLE),
)
@router.post(f"{PATH}/AddUnsubscribes", include_in_schema=False, response_class=Response)
def add_unsubscribes(
    principal: Principal = Depends(caller("AddUnsubscribes")),  # noqa: B008
    body: bytes = Depends(_body),
) -> Response:
    """1 to 200 phone numbers, whether or not a customer has them. They get no text message of the brand from now on.

    If one of them is not a phone number, none is added: 400. 404 for an unknown brand.
    """
    new = parse(Numbers, body)
    unsubscribed_numbers.add_numbers(principal.scope, str(new.brand_id), new.sender_id, new.numbers)
    return json_response(DONE)


@router.get(
    f"{PATH}/unsubscribes",
    summary="Get Unsubscribes",
    operation_id="GetUnsubscribes",
    response_class=Response,
    responses=LISTED,
    openapi_extra={"parameters": [parameter.openapi() for parameter in PARAMETERS]},
)
@router.get(f"{PATH}/GetUnsubscribes", include_in_schema=False, response_class=Response)
def get_unsubscribes(
    request: Request,
    principal: Principal = Depends(caller("GetUnsubscribes")),  # noqa: B008
) -> Response:
    """The phone numbers on the unsubscribe list of a brand with the time of unsubscription in UTC, oldest first.

    Both dates are inclusive. At most 10,000 rows per page: read on with $skip.
    """
    query = {name.lower(): text for name, text in request.query_params.multi_items()}
    values = {parameter.name: parameter.read(query) for parameter in PARAMETERS}
    first, last = values["startDate"], values["endDate"]
    if first is not None and last is not None and first > last:
        raise Invalid("startDate must not be after endDate.")
    most = min(values["$top"], MOST_ROWS)
    rows = unsubscribed_numbers.unsubscribed_numbers(
        principal.scope, values["brandId"], values["senderId"], first, last, most, values["$skip"]
    )
    listed = [
        {"phoneNumber": row.address, "unsubscribedTime": f"{row.unsubscribed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"}
        for row in rows
    ]
    return json_response(orjson.dumps(listed))


@router.delete(
    f"{PATH}/unsubscribes",
    summary="Delete Unsubscribes",
    operation_id="DeleteUnsubscribes",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=documented(Numbers, EXAMPLE),
)
@router.post(f"{PATH}/DeleteUnsubscribes", include_in_schema=False, response_class=Response)
@router.delete(f"{PATH}/DeleteUnsubscribes", include_in_schema=False, response_class=Response)
def delete_unsubscribes(
    request: Request,
    principal: Principal = Depends(caller("DeleteUnsubscribes")),  # noqa: B008
    body: bytes = Depends(_body),
) -> Response:
    """Removes phone numbers from the list, so that they may be contacted again. One that is not on the list is not an
    error. 404 for an unknown brand.

    Clients that send no body with DELETE give brandId and phoneNumber, also several times, in the query.
    """
    gone = parse(Numbers, body or _asked(request))
    unsubscribed_numbers.delete_numbers(principal.scope, str(gone.brand_id), gone.sender_id, gone.numbers)
    return json_response(DONE)


def _asked(request: Request) -> bytes:
    """The body that a query stands for."""
    query = [(name.lower(), value) for name, value in request.query_params.multi_items()]
    values = dict(query)
    numbers = [value for name, value in query if name in ("phonenumber", "mobilenumber")]
    brand, sender = values.get("brandid"), values.get("senderid", "")
    named = {"senderId": sender, "phoneNumbers": numbers}
    return orjson.dumps({"brandId": brand, **named} if brand else named)
