"""Management of persons: what is held of one, and erasure of one from everything."""

from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.messaging import service as messaging
from rapport.persons import service as persons

router = SectionRouter("Management: persons", "/manage/v1/persons", JsonRoute)
PATH = "/{customer_id:path}"


class SuppressionHeld(BaseModel):
    """A wish not to be written to; channel_id 0 stands for any channel."""

    model_config = ConfigDict(from_attributes=True)

    channel_id: int = Field(examples=[504])
    reason: str = Field(examples=["unsubscribed"])


class PreferenceHeld(BaseModel):
    """How the person may be contacted on a channel, or one app of it, as its vendor reported: 1 yes, 2 opted out."""

    model_config = ConfigDict(from_attributes=True)

    channel_id: int = Field(examples=[505])
    app_id: str = Field(examples=["acme-ios"], description="Empty: the whole channel")
    mode: int = Field(examples=[2])


class DeliveryHeld(BaseModel):
    """A notification that names the person."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    event_type_id: int = Field(examples=[11])
    state: str = Field(examples=["delivered"])
    body: str = Field(examples=['{"eventTypeID":11,"customerID":"Q1001"}'])


class MessageHeld(BaseModel):
    """A message that is under way to the person."""

    model_config = ConfigDict(from_attributes=True)

    campaign_id: int = Field(examples=[12])
    channel_id: int = Field(examples=[504])
    state: str = Field(examples=["retry"])
    reason: str = Field(examples=["recipient deferred 450 4.2.1"])


class RecordsHeld(BaseModel):
    """What the records hold of a person."""

    suppressions: list[SuppressionHeld]
    preferences: list[PreferenceHeld]
    deliveries: list[DeliveryHeld]
    messages: list[MessageHeld]
    attribute_requests: list[dict[str, Any]]


class PersonOut(BaseModel):
    """Everything that is held of a person."""

    customer_id: str = Field(examples=["Q1001"])
    warehouse: dict[str, list[dict[str, Any]]] = Field(
        description="Rows by table", examples=[{"customers": [{"customer_id": "Q1001", "CITY": "Oslo"}]}]
    )
    records: RecordsHeld
    real_time: dict[str, list[dict[str, Any]]] = Field(
        description="Events that wait, the event log, visitors and their events, triggers; rows by table",
        examples=[{"visitors": [{"visitor_id": "0123456789abcdef", "customer_id": "Q1001"}]}],
    )


def _shown(held: persons.Held) -> PersonOut:
    others = dict(held.others)
    real_time = others.pop("realtime")
    records = {name: rows for lists in others.values() for name, rows in lists.items()}
    return PersonOut(
        customer_id=held.customer_id,
        warehouse=held.warehouse,
        records=RecordsHeld.model_validate(records),
        real_time=real_time,
    )


class PersonFound(BaseModel):
    """Somebody who has an address."""

    customer_id: str = Field(examples=["Q1001"])


@router.get("", summary="Find persons by an address")
def find_persons(
    address: Annotated[
        str, Query(min_length=1, max_length=1000, description="In any spelling", examples=["anna@example.com"])
    ],
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[PersonFound]:
    """The customers who have it in an attribute that a channel writes to, at most 1,000; the audit log has a row of it.

    Who is erased or anonymised is not among them.
    """
    return [PersonFound(customer_id=one) for one in messaging.customers_at(principal.scope, address)]


@router.get(PATH, summary="Export all data about a person")
def export_person(customer_id: str, principal: Principal = Depends(admin)) -> PersonOut:  # noqa: B008
    """Rows of the warehouse as they are, and what the records hold. 404 when nothing is held.

    The audit log has a row of it, which names the person by a keyed hash of the id.
    """
    return _shown(persons.export(principal.scope, customer_id))


@router.delete(PATH, status_code=204, summary="Erase a person")
def erase_person(customer_id: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Irreversible. Gone at once from all that is read but the accounts of campaigns, which follow with the disk.

    A wish not to be written to stays, and with it that the person stays anonymous, under a keyed hash
    of the id. May be repeated; 404 for somebody of whom nothing was ever held.
    """
    persons.erase(principal.scope, customer_id)
