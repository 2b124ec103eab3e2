"""Attributes of customers: the list, one customer's profile, changers; and activity events."""

from typing import Any

import orjson
from fastapi import Depends
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.parameters import optional, required
from rapport.api.http.responses import json_response
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.customers import attributes as of_customer_attributes
from rapport.customers import event_types, queries
from rapport.errors import Invalid, NotFound

router = SectionRouter("Customers")
list_router = SectionRouter("Model")

CHANGERS = """
    SELECT final.customer_id AS CustomerID, initial.value AS InitialCustomerAttribute,
        final.value AS FinalCustomerAttribute,
        ifNull(initial.value, 'NULL') AS InitialCustomerAttributes,
        ifNull(final.value, 'NULL') AS FinalCustomerAttributes
    FROM (SELECT customer_id, {value} AS value FROM profiles WHERE data_date = {{Final:Date}}) AS final
    LEFT JOIN (SELECT customer_id, {value} AS value FROM profiles WHERE data_date = {{Initial:Date}}) AS initial
        ON initial.customer_id = final.customer_id
    WHERE initial.value IS DISTINCT FROM final.value
"""
EVENTS = """
    SELECT customer_id AS CustomerID, event_type_id AS EventID,
        formatDateTime(event_at, '%Y-%m-%d %H:%i:%S', {Zone:String}) AS EventDate,
        arrayMap(
            (name, value) -> CAST((name, value), 'Tuple(Name String, Value Nullable(String))'),
            mapKeys(mapSort(properties)), mapValues(mapSort(properties))
        ) AS EventAttributes
    FROM activity_events
    WHERE event_type_id = {EventID:UInt32}
        AND event_at >= {From:DateTime64(3, 'UTC')} AND event_at < {Until:DateTime64(3, 'UTC')}
"""


def _changers_sql(scope: Scope, values: Values) -> str:
    (info,) = of_customer_attributes.find(scope, values["ChangedCustomerAttribute"], "ChangedCustomerAttribute")
    return CHANGERS.format(value=of_customer_attributes.rendered(info))


def _changers(scope: Scope, values: Values) -> Values | None:
    if len(values["ChangedCustomerAttribute"]) != 1:
        raise Invalid("ChangedCustomerAttribute must name exactly one attribute.")
    of_customer_attributes.find(scope, values["ChangedCustomerAttribute"], "ChangedCustomerAttribute")
    if values["CustomerAttributes"]:
        of_customer_attributes.find(scope, values["CustomerAttributes"])
    dates = queries.last_two_dates(scope)
    return None if dates is None else {**values, "Final": dates[0], "Initial": dates[1]}


def _events(scope: Scope, values: Values) -> Values | None:
    first, last = values["StartDate"] or values["Date"], values["EndDate"] or values["Date"]
    if first is None or last is None:
        raise Invalid("StartDate and EndDate are required, or Date.")
    if first > last:
        raise Invalid("StartDate must not be after EndDate.")
    try:
        event_types.event_type(scope, values["EventID"])
    except NotFound as error:
        raise Invalid(f"EventID {values['EventID']} is not an activity event.") from error
    begin, end = queries.instants(scope, first, last)
    return {**values, "From": begin, "Until": end, "Zone": str(scope.time_zone)}


register(
    router,
    Read(
        "customers",
        "GetCustomerAttributeChangers",
        "Customers whose value of one attribute changed between the two newest data days",
        sql=_changers_sql,
        row={
            "CustomerID": "string",
            "InitialCustomerAttribute": "string?",
            "FinalCustomerAttribute": "string?",
            "InitialCustomerAttributes": "string",
            "FinalCustomerAttributes": "string",
        },
        drop={"InitialCustomerAttributes": "$legacy", "FinalCustomerAttributes": "$legacy"},
        description="If called as ChangedCustomerAttributes, rows also have the members that old clients expect, in "
        "which "
        "the text NULL means no value.",
        order="CustomerID",
        params=(
            required("ChangedCustomerAttribute", "names", "One attribute name", aliases=("ChangedCustomerAttributes",)),
            optional("StartDate", "string", description="Legacy; has no effect"),
            optional("EndDate", "string", description="Legacy; has no effect"),
        ),
        customers=True,
        prepare=_changers,
    ),
    Read(
        "customers",
        "GetCustomersActivityEventAttributes",
        "Customers who did an activity event in a period, with the event's parameters",
        sql=EVENTS,
        row={"CustomerID": "string", "EventID": "integer", "EventDate": "string", "EventAttributes": "objects"},
        order="EventDate, CustomerID, EventAttributes",
        params=(
            required("EventID", "integer", "An event ID from GetActivityEventList"),
            optional("StartDate", "date", description="First day; needs EndDate"),
            optional("EndDate", "date", description="Last day, inclusive"),
            optional("Date", "date", description="One day, instead of StartDate and EndDate"),
        ),
        customers=True,
        prepare=_events,
    ),
)


def _shape(**members: str) -> dict[int | str, dict[str, Any]]:
    properties = {
        name: {"type": ["string", "null"] if kind == "string?" else "string"} for name, kind in members.items()
    }
    item = {"type": "object", "properties": properties, "required": list(members)}
    schema = {"type": "array", "items": item}
    return {200: {"description": "Success", "content": {"application/json": {"schema": schema}}}}


@list_router.get(
    "/current/model/GetCustomerAttributeList",
    summary="Every customer attribute that functions accept, with its description",
    operation_id="GetCustomerAttributeList",
    responses=_shape(RealFieldName="string", Description="string"),
)
def attribute_list(principal: Principal = Depends(caller("GetCustomerAttributeList"))) -> Response:  # noqa: B008
    """By name; attributes added through the API are among them."""
    attributes = of_customer_attributes.attributes(principal.scope).values()
    rows = [{"RealFieldName": info.real_field_name, "Description": info.description} for info in attributes]
    return json_response(orjson.dumps(rows))


@router.get(
    "/Customers/{CustomerID:path}/Attributes",
    summary="One customer's current profile: every attribute with its value",
    operation_id="GetCustomerAttributes",
    responses=_shape(RealFieldName="string", Alias="string", FieldType="string", Value="string?"),
)
def customer_attributes(
    CustomerID: str,
    principal: Principal = Depends(caller("GetCustomerAttributes")),  # noqa: B008
) -> Response:
    """Dates are MM/DD/YYYY HH:MM:SS here, decimals have four places; 404 for an unknown customer."""
    return json_response(orjson.dumps(queries.attribute_values(principal.scope, CustomerID.strip())))
