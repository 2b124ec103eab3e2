"""The sports inventory: feeds create, update and delete records of a brand, up to 500 in a call."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import raw_body
from rapport.api.http.json_bodies import loaded
from rapport.api.http.responses import SPORTS, json_response
from rapport.api.sections import SectionRouter
from rapport.errors import Forbidden, NotFound, Unauthorized
from rapport.messaging.topics import brand_groups
from rapport.sports import storing
from rapport.sports.definitions import MEMBERS, MOST_RECORDS, Operation, read

router = SectionRouter("Sports inventory")
BRAND = {
    "name": "x-brand-key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
    "description": "The brand: the id of a brand group of the tenant, see GET /manage/v1/brand-groups",
}
RECORDS = [
    {"categoryKey": "tennis", "categoryName": "Tennis", "displayStatus": "Displayed", "displayOrder": 2},
    {"typeKey": "open-1", "categoryKey": "tennis", "typeName": "Northwind Open"},
    {"eventKey": "ev-1", "typeKey": "open-1", "eventName": "A v B", "eventDateTime": "2030-05-06T12:00:00Z"},
    {"marketKey": "mk-1", "eventKey": "ev-1", "marketName": "Winner", "marketStatus": "Active"},
    {"selectionKey": "sl-1", "eventKey": "ev-1", "marketKey": "mk-1", "selectionName": "A", "decPrice": 2.25},
]
CHANGES = [
    {"selectionKey": "sl-1", "eventKey": "ev-1", "decPrice": 2.4},
    {"eventKey": "ev-1", "isEventStarted": True},
]
NAMED = [{"eventKey": "ev-1"}, {"selectionKey": "sl-9", "eventKey": "ev-2"}]
ACCEPTED = b'{"success":true}'
RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "All records are stored",
        "content": {"application/json": {"schema": {"type": "object"}, "example": {"success": True}}},
    }
}


def _described(example: Any) -> dict[str, Any]:
    members = {name: form.schema for forms in MEMBERS.values() for name, form in forms.items()}
    items = {"type": "object", "properties": members}
    schema = {"type": "array", "minItems": 1, "maxItems": MOST_RECORDS, "items": items}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"parameters": [BRAND], "requestBody": {"required": True, "content": content}}


def brand_of(request: Request, principal: Principal) -> str:
    """The brand group that a call names. Raises Unauthorized, Forbidden."""
    key = request.headers.get("x-brand-key", "").strip()
    if not key:
        raise Unauthorized("The x-brand-key header is missing.")
    try:
        return brand_groups.brand_group(principal.scope, key).id
    except NotFound as error:
        raise Forbidden("x-brand-key is not the id of a brand group of the tenant.") from error


def _endpoint(function: str, operation: Operation) -> Callable[..., Response]:
    allowed = caller(function)

    def carry_out(
        request: Request,
        principal: Principal = Depends(allowed),  # noqa: B008
        body: bytes = Depends(raw_body),
    ) -> Response:
        brand = brand_of(request, principal)
        storing.change(principal.scope, brand, operation, read(loaded(body), operation))
        return json_response(ACCEPTED, 202)

    return carry_out


for method, function, operation, summary, about, example in (
    (
        "POST",
        "CreateSportsRecords",
        Operation.CREATE,
        "Create records",
        "1 to 500 records of any kinds, all or none. A record that is there already is replaced. The parent of a "
        "record must be stored, or stand before it in the array.",
        RECORDS,
    ),
    (
        "PUT",
        "UpdateSportsRecords",
        Operation.UPDATE,
        "Update records",
        "1 to 500 records, all or none. Members that are left out stay as they are, and null clears one. Records that "
        "are not there are passed over; GET /manage/v1/sports/log names them.",
        CHANGES,
    ),
    (
        "DELETE",
        "DeleteSportsRecords",
        Operation.DELETE,
        "Delete records",
        "1 to 500 records, by their keys, with everything below them. Records that are not there are passed over.",
        NAMED,
    ),
):
    router.add_api_route(
        f"{SPORTS}v1/records",
        _endpoint(function, operation),
        methods=[method],
        summary=summary,
        operation_id=function,
        description=about,
        status_code=202,
        response_class=Response,
        responses=RESPONSES,
        openapi_extra=_described(example),
    )
