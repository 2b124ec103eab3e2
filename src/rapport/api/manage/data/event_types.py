"""Management of event types: what events there are and which parameters they carry."""

from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns.triggered import definitions
from rapport.customers import event_types as customer_event_types
from rapport.customers.core_events import CORE_EVENTS
from rapport.customers.models import EventType
from rapport.stores.parts import Part

router = SectionRouter("Management: events", "/manage/v1/event-types", JsonRoute)
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
ParameterType = Literal["String", "Number", "Boolean"]


class EventTypeChange(Body):
    """The declaration of an event type; parameters that are left out are still listed, but without a type."""

    description: str = Field("", max_length=1000, examples=["A customer put money into the account"])
    parameters: dict[str, ParameterType] = Field(
        {}, examples=[{"amount": "Number", "method": "String", "first": "Boolean"}], description="At most 50"
    )


class EventTypeIn(Body):
    """An event type to declare. A core event needs only its name."""

    name: str = Field(min_length=1, max_length=100, examples=["deposit"], description="snake_case, case-sensitive")
    description: str = Field("", max_length=1000, examples=["A customer put money into the account"])
    parameters: dict[str, ParameterType] | None = Field(
        None, examples=[{"amount": "Number", "method": "String", "first": "Boolean"}], description="At most 50"
    )


class EventTypeOut(BaseModel):
    """An event type."""

    id: int = Field(examples=[2001])
    name: str = Field(examples=["deposit"])
    description: str = Field(examples=["A customer put money into the account"])
    declared: bool = Field(
        description="False if events with this name arrived but nobody declared it: triggers cannot use it"
    )
    core: bool = Field(description="Whether every tenant has it")
    parameters: dict[str, ParameterType] = Field(examples=[{"amount": "Number"}], description="Those that are declared")
    seen: list[str] = Field(examples=[["coupon"]], description="Undeclared parameters that arrived with it")


def _shown(event_type: EventType) -> EventTypeOut:
    return EventTypeOut.model_validate(
        {
            "id": event_type.id,
            "name": event_type.name,
            "description": event_type.description,
            "declared": event_type.declared,
            "core": event_type.name in CORE_EVENTS,
            "parameters": event_type.types,
            "seen": [parameter for parameter in event_type.parameters if parameter not in event_type.types],
        }
    )


@router.get("", summary="List event types")
def list_event_types(
    declared: Annotated[bool | None, Query(description="Only declared (true) or undeclared (false) ones")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[EventTypeOut]:
    """The tenant's event types by ID: declared ones, and those that arrived under an undeclared name."""
    event_types = [
        event_type
        for event_type in customer_event_types.event_types(principal.scope)
        if declared in (None, event_type.declared)
    ]
    return Part.of(event_types, limit, offset).each(_shown)


@router.post("", status_code=201, summary="Declare an event type")
def declare_event_type(
    body: EventTypeIn,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> EventTypeOut:
    """If events of this name have already arrived, the type keeps its ID. 409 if it is already declared."""
    if body.parameters is not None:
        definitions.check_event_change(principal.scope, body.name, dict(body.parameters))
    event_type = customer_event_types.declare_event_type(principal.scope, body.name, body.parameters, body.description)
    request.app.state.directory.forget(principal.scope.tenant_id)
    return _shown(event_type)


@router.get("/{event_type_id}", summary="Get an event type")
def get_event_type(event_type_id: Id, principal: Principal = Depends(admin)) -> EventTypeOut:  # noqa: B008
    """An event type by id."""
    return _shown(customer_event_types.event_type(principal.scope, event_type_id))


@router.put("/{event_type_id}", summary="Replace an event type")
def change_event_type(
    event_type_id: Id,
    body: EventTypeChange,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> EventTypeOut:
    """Replaces description and parameters. Earlier events stay as they are.

    409 if a triggered campaign uses a parameter that would be missing or would have another type.
    """
    name = customer_event_types.event_type(principal.scope, event_type_id).name
    definitions.check_event_change(principal.scope, name, dict(body.parameters))
    changed = customer_event_types.change_event_type(principal.scope, event_type_id, body.parameters, body.description)
    request.app.state.directory.forget(principal.scope.tenant_id)
    return _shown(changed)
