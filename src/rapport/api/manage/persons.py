"""Management of persons: what is held of one, and erasure of one from everything."""

from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.auth import admin
from rapport.api.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns import service as campaigns
from rapport.customers import service as customers
from rapport.errors import NotFound
from rapport.messaging import service as messaging
from rapport.notifications import service as notifications
from rapport.persons import service as persons
from rapport.realtime import service as realtime

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
        description="Events that wait, the events log, visitors and their events, triggers; rows by table",
        examples=[{"visitors": [{"visitor_id": "0123456789abcdef", "customer_id": "Q1001"}]}],
    )

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        held = self.records
        lists = (held.suppressions, held.preferences, held.deliveries, held.messages, held.attribute_requests)
        return not any([*self.warehouse.values(), *self.real_time.values(), *lists])


def _held(scope: Scope, customer_id: str) -> PersonOut:
    suppressions = messaging.list_suppressions(scope, customer_id, limit=1000)
    return PersonOut(
        customer_id=customers.spelling(scope, customer_id) or customer_id,
        warehouse=customers.export(scope, customer_id),
        records=RecordsHeld(
            suppressions=[SuppressionHeld.model_validate(one) for one in suppressions],
            preferences=[PreferenceHeld.model_validate(one) for one in messaging.preferences(scope, customer_id)],
            deliveries=[DeliveryHeld.model_validate(one) for one in notifications.naming(scope, customer_id)],
            messages=[MessageHeld.model_validate(one) for one in campaigns.held(scope, customer_id)],
            attribute_requests=customers.naming(scope, customer_id),
        ),
        real_time=realtime.held(scope, customer_id),
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


@router.get(PATH, summary="Export everything held of a person")
def export_person(customer_id: str, principal: Principal = Depends(admin)) -> PersonOut:  # noqa: B008
    """Rows of the warehouse as they are, and what the records hold. 404 when nothing is held.

    The audit log has a row of it, which names the person by a keyed hash of the id.
    """
    held = _held(principal.scope, customer_id)
    if held.is_empty():
        raise NotFound(f"Nothing is held of a customer {customer_id!r}.")
    persons.note_export(principal.scope, customer_id)
    return held


@router.delete(PATH, status_code=204, summary="Erase a person")
def erase_person(customer_id: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Irreversible. Gone at once from all that is read but the accounts of campaigns, which follow with the disk.

    A wish not to be written to stays, and with it that the person stays anonymous, under a keyed hash
    of the id. May be repeated; 404 for somebody of whom nothing was ever held.
    """
    scope = principal.scope
    if not customers.is_removed(scope, customer_id) and _held(scope, customer_id).is_empty():
        raise NotFound(f"Nothing is held of a customer {customer_id!r}.")
    persons.erase(scope, customer_id)
