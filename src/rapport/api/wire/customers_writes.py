"""Writes of customers: new attributes, attribute values, one customer at a time, right to be forgotten."""

from functools import partial
from typing import Any

import orjson
from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.bodies import CustomerID, Listed, WireModel, inlined, parse, raw_body
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.customers.writes import attribute_requests
from rapport.persons import service as persons
from rapport.realtime.recording import profile_updates

router = SectionRouter("Customers")


CALLBACK = Field(
    default=None,
    alias="CallbackURL",
    description="Where the outcome is posted to, an absolute http or https URL; without it nothing is posted",
)


class NewAttribute(WireModel):
    """An attribute to add."""

    name: str = Field(alias="Name", min_length=1, max_length=128, description="Its RealFieldName from now on")
    type: str = Field(
        alias="Type",
        min_length=1,
        max_length=50,
        description="DECIMAL(19,4), INT, BIGINT, DATE, VARCHAR(n) or NVARCHAR(n)",
    )
    default: str | int | float | None = Field(
        default=None, alias="DefaultValue", description="The value of customers who were given none"
    )
    callback_url: str | None = CALLBACK


class AttributeValue(WireModel):
    """A value of an attribute; null clears it."""

    name: str = Field(alias="RealFieldName", max_length=200, description="See GetCustomerAttributeList")
    value: str | bool | int | float | None = Field(alias="Value", description="null clears it")


class CustomerValues(WireModel):
    """Values of one customer."""

    customer_id: CustomerID = Field(alias="CustomerID", description="The tenant's own id")
    attributes: Listed[AttributeValue] = Field(alias="Attributes", description="At most 10")


class Updates(WireModel):
    """Values of many customers."""

    items: Listed[CustomerValues] = Field(alias="CustomerNewAttributesValuesList", description="At most 1,000")
    callback_url: str | None = CALLBACK


class Upsert(CustomerValues):
    """Values of a customer who may be new."""

    attributes: Listed[AttributeValue] = Field(default_factory=list, alias="Attributes")
    callback_url: str | None = CALLBACK


class Removal(WireModel):
    """The customers to anonymise."""

    customer_ids: Listed[CustomerID] = Field(alias="CustomerIDs", description="At most 50,000")


def _documented(model: type[WireModel], answer: dict[str, Any] | None = None) -> dict[str, Any]:
    """What OpenAPI says of a write: the body's schema and the answer's."""
    content = {"content": {"application/json": {"schema": answer}}} if answer else {}
    body = {"required": True, "content": {"application/json": {"schema": inlined(model)}}}
    return {
        "responses": {200: {"description": "Accepted", **content}},
        "openapi_extra": {"requestBody": body},
    }


FAULTS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("error", "customerId", "realFieldName")},
    },
}
REQUEST = {"type": "object", "properties": {"requestId": {"type": "string", "format": "uuid"}}}
UPSERTED = {"type": "object", "properties": {"isSuccess": {"type": "boolean"}, "errors": FAULTS}}
FAILED = {"type": "object", "properties": {"FailedCustomerIDs": {"type": "array", "items": {"type": "string"}}}}


@router.post(
    "/current/customers/AddCustomerAttribute",
    summary="Add a customer attribute; the outcome is posted to the callback",
    operation_id="AddCustomerAttribute",
    **_documented(NewAttribute),
)
def add_attribute(
    principal: Principal = Depends(caller("AddCustomerAttribute")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Type is DECIMAL(19,4), INT, BIGINT, DATE, VARCHAR(n) or NVARCHAR(n); at most 40 attributes per tenant."""
    new = parse(NewAttribute, body)
    default = None if new.default is None else str(new.default)
    attribute_requests.add_attribute(principal.scope, new.name, new.type, default, new.callback_url)
    return Response(status_code=200)


@router.post(
    "/current/customers/UpdateCustomerAttributes",
    summary="Overwrite attribute values of existing customers; the outcome is posted to the callback",
    operation_id="UpdateCustomerAttributes",
    **_documented(Updates, REQUEST),
)
def update_attributes(
    principal: Principal = Depends(caller("UpdateCustomerAttributes")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """At most 1,000 customers with 10 attributes each. Valid values are applied; the callback lists the others."""
    updates = parse(Updates, body)
    items = [{"customer": item.customer_id, "values": _pairs(item)} for item in updates.items]
    request_id = attribute_requests.update_attributes(principal.scope, items, updates.callback_url)
    return json_response(orjson.dumps({"requestId": request_id}))


def _pairs(item: CustomerValues) -> list[list[Any]]:
    return [[attribute.name, attribute.value] for attribute in item.attributes]


@router.put(
    "/current/customers/UpsertCustomer",
    summary="Create a customer or overwrite attribute values of one",
    operation_id="UpsertCustomer",
    **_documented(Upsert, UPSERTED),
)
def upsert_customer(
    principal: Principal = Depends(caller("UpsertCustomer")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Valid values are written at once; errors lists the others."""
    upsert = parse(Upsert, body)
    scope, warn = principal.scope, partial(profile_updates.warn_of_nothing, principal.scope, "UpsertCustomer")
    outcome = attribute_requests.upsert(scope, upsert.customer_id, _pairs(upsert), upsert.callback_url, warn)
    return json_response(orjson.dumps(outcome))


@router.post(
    "/current/customers/RemoveCustomerPII",
    summary="Anonymise customers",
    operation_id="RemoveCustomerPII",
    **_documented(Removal, FAILED),
)
def remove_pii(
    principal: Principal = Depends(caller("RemoveCustomerPII")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Removes everything that identifies them; irreversible. At most 50,000 IDs; FailedCustomerIDs are those that
    Rapport has never received.
    """
    customer_ids = parse(Removal, body).customer_ids
    failed = persons.anonymise(principal.scope, customer_ids)
    return json_response(orjson.dumps({"FailedCustomerIDs": failed}))
