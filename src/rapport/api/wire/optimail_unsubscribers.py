"""Optimail: the unsubscribe list of a brand."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.limits import RateLimiter, share
from rapport.api.http.auth import caller
from rapport.api.http.bodies import Count, Listed, WireModel, documented, parse, raw_body
from rapport.api.http.parameters import PAGING, optional, required
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid, TooManyRequests
from rapport.messaging.contactability import unsubscribers

router = SectionRouter("Optimail")
MOST_ADDRESSES = 200
MOST_ROWS = 10_000
CALLS_A_MINUTE, CALLS_AT_ONCE = 600, 10
NO_ERROR, INVALID_EMAIL = {"Error": None}, {"Error": "Invalid email"}
BRAND = required("BrandID", "count", "The brand (Optimail account), see GET /manage/v1/brands")
DAYS = (
    optional("StartDate", "date", description="The first day of unsubscription, in UTC; with EndDate"),
    optional("EndDate", "date", description="The last day of unsubscription, in UTC; with StartDate"),
)
TOP = optional("$top", "count", MOST_ROWS, "The number of rows to return, at most 10,000", ("top",))
PARAMETERS = (BRAND, *DAYS, TOP, PAGING[1])
ROW = {
    "type": "object",
    "properties": {"Email": {"type": "string"}, "UnsubscribedTime": {"type": "string"}},
    "required": ["Email", "UnsubscribedTime"],
}
ANSWER = {
    "type": "object",
    "properties": {"Error": {"type": ["string", "null"], "enum": [None, "Invalid email"]}},
    "required": ["Error"],
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Accepted, or an address is not an e-mail address and nothing was changed",
        "content": {"application/json": {"schema": ANSWER, "example": NO_ERROR}},
    }
}


class CallLimits:
    """How many calls about unsubscribers a tenant may make in a minute, and at once, in this process."""

    def __init__(self) -> None:
        self._calls = RateLimiter(CALLS_A_MINUTE, 60)
        self._lock = threading.Lock()
        self._under_way: Counter[int] = Counter()

    @contextmanager
    def call(self, tenant_id: int, processes: int, *, counted: bool) -> Iterator[None]:
        """One call; counted: whether it counts for the minute. Raises TooManyRequests."""
        if counted:
            self._calls.hit(str(tenant_id), share(CALLS_A_MINUTE, processes))
        with self._lock:
            if self._under_way[tenant_id] >= share(CALLS_AT_ONCE, processes):
                raise TooManyRequests(f"At most {CALLS_AT_ONCE} calls about unsubscribers may run at once.", 1)
            self._under_way[tenant_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[tenant_id] -= 1


class NewUnsubscribers(WireModel):
    """Addresses to put on the list."""

    brand_id: Count = Field(alias="BrandId", description="The brand (Optimail account)")
    addresses: Annotated[Listed[Annotated[str, Field(max_length=1000)]], Field(min_length=1)] = Field(
        alias="EmailAddresses", description=f"1 to {MOST_ADDRESSES} addresses"
    )


class GoneUnsubscriber(WireModel):
    """An address to remove from the list."""

    brand_id: Count = Field(alias="BrandId", description="The brand (Optimail account)")
    address: str = Field(alias="EmailAddress", min_length=1, max_length=1000)


@contextmanager
def _counted(request: Request, principal: Principal, *, counted: bool = True) -> Iterator[None]:
    limits: CallLimits = request.app.state.unsubscriber_calls
    with limits.call(principal.scope.tenant_id, request.app.state.stores.api_processes, counted=counted):
        yield


@router.get(
    "/current/optimail/GetUnsubscribers",
    summary="Unsubscribers",
    operation_id="GetUnsubscribers",
    response_class=Response,
    responses={
        200: {
            "description": "Success",
            "content": {
                "application/json": {
                    "schema": {"type": "array", "items": ROW},
                    "example": [{"Email": "pat@mail.example", "UnsubscribedTime": "2026-03-02 09:14:00"}],
                }
            },
        }
    },
    openapi_extra={"parameters": [parameter.openapi() for parameter in PARAMETERS]},
)
def get_unsubscribers(
    request: Request,
    principal: Principal = Depends(caller("GetUnsubscribers")),  # noqa: B008
) -> Response:
    """The addresses on the unsubscribe list of a brand with the time of unsubscription in UTC, oldest first.

    Both dates are inclusive; give both or neither. At most 10,000 rows per page: read on with $skip.
    """
    query = {name.lower(): text for name, text in request.query_params.multi_items()}
    values = {parameter.name: parameter.read(query) for parameter in PARAMETERS}
    first, last = values["StartDate"], values["EndDate"]
    if (first is None) != (last is None):
        raise Invalid("StartDate and EndDate must be given together.")
    if first is not None and first > last:
        raise Invalid("StartDate must not be after EndDate.")
    most = min(values["$top"], MOST_ROWS)
    with _counted(request, principal, counted=False):
        listed = unsubscribers.unsubscribers(principal.scope, values["BrandID"], first, last, most, values["$skip"])
    rows = [
        {"Email": entry.address, "UnsubscribedTime": f"{entry.unsubscribed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"}
        for entry in listed
    ]
    return json_response(orjson.dumps(rows))


@router.post(
    "/current/optimail/AddUnsubscribers",
    summary="Add Unsubscribers",
    operation_id="AddUnsubscribers",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=documented(
        NewUnsubscribers, {"BrandId": 504, "EmailAddresses": ["pat@mail.example", "kim@mail.example"]}
    ),
)
def add_unsubscribers(
    request: Request,
    principal: Principal = Depends(caller("AddUnsubscribers")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """1 to 200 addresses, whether or not a customer has them. They get no marketing mail of the brand from now on.

    If one of them is not an e-mail address, none is added and Error is "Invalid email". 404 for an unknown brand.
    """
    new = parse(NewUnsubscribers, body)
    if len(new.addresses) > MOST_ADDRESSES:
        raise Invalid(f"EmailAddresses must have at most {MOST_ADDRESSES} addresses, not {len(new.addresses)}.")
    with _counted(request, principal):
        unsubscribers.channels_of_brand(principal.scope, new.brand_id)
        if not unsubscribers.are_addresses(new.addresses):
            return json_response(orjson.dumps(INVALID_EMAIL))
        unsubscribers.add_unsubscribers(principal.scope, new.brand_id, new.addresses)
    return json_response(orjson.dumps(NO_ERROR))


@router.post(
    "/current/optimail/DeleteUnsubscribers",
    summary="Delete Unsubscribers",
    operation_id="DeleteUnsubscribers",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=documented(GoneUnsubscriber, {"BrandId": 504, "EmailAddress": "pat@mail.example"}),
)
def delete_unsubscribers(
    request: Request,
    principal: Principal = Depends(caller("DeleteUnsubscribers")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Removes one address from the list, so that it may be contacted again. One that is not on the list is not an
    error. 404 for an unknown brand.

    If the address was suppressed on all channels, it stays suppressed on the channels of other brands.
    """
    gone = parse(GoneUnsubscriber, body)
    with _counted(request, principal):
        unsubscribers.channels_of_brand(principal.scope, gone.brand_id)
        if not unsubscribers.are_addresses([gone.address]):
            return json_response(orjson.dumps(INVALID_EMAIL))
        unsubscribers.delete_unsubscriber(principal.scope, gone.brand_id, gone.address)
    return json_response(orjson.dumps(NO_ERROR))
