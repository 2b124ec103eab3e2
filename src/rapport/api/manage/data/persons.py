"""Management of persons: what is held of one, and erasure of one from everything."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.messaging.contactability import finding
from rapport.persons import service as persons

router = SectionRouter("Management: persons", "/manage/v1/persons", JsonRoute)
PATH = "/{customer_id:path}"


class SuppressionHeld(BaseModel):
    """A suppression of the person; channel_id 0 means all channels."""

    model_config = ConfigDict(from_attributes=True)

    channel_id: int = Field(examples=[504])
    reason: str = Field(examples=["unsubscribed"])
    source: str = Field(examples=["link"], description="How Rapport learned of it; empty if unknown")


class ExclusionHeld(BaseModel):
    """An exclusion of the person from marketing; ends_at null means for good."""

    model_config = ConfigDict(from_attributes=True)

    begins_at: datetime
    ends_at: datetime | None
    reason: str = Field(examples=["time-out"])
    lifted_at: datetime | None


class PreferenceHeld(BaseModel):
    """Whether the person may be contacted on a channel, or on one app of it, as its provider reported: 1 yes, 2 opted
    out.
    """

    model_config = ConfigDict(from_attributes=True)

    channel_id: int = Field(examples=[505])
    app_id: str = Field(examples=["acme-ios"], description="Empty: the whole channel")
    mode: int = Field(examples=[2])


class TopicHeld(BaseModel):
    """Whether the person is subscribed to a topic, on the channels of a number of the preference centre."""

    model_config = ConfigDict(from_attributes=True)

    topic_id: str = Field(examples=["1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"])
    wire_channel_id: int = Field(examples=[15])
    subscribed: bool
    updated_at: datetime


class ConsentHeld(BaseModel):
    """A change of what the person agreed to, from the log of consent."""

    model_config = ConfigDict(from_attributes=True)

    topic_id: str = Field(examples=["1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"], description="Empty: all messages")
    channel_id: int = Field(
        examples=[15], description="A channel (0: any); for a topic, a number of the preference centre"
    )
    agreed: bool
    source: str = Field(examples=["page"])
    wording: str
    changed_at: datetime


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

    campaign_id: int = Field(validation_alias="source_id", examples=[12])
    channel_id: int = Field(examples=[504])
    state: str = Field(examples=["pending"])
    reason: str = Field(examples=["recipient deferred 450 4.2.1"])


class TransactionalMessageHeld(BaseModel):
    """A message of transactional mail to an address of the person."""

    model_config = ConfigDict(from_attributes=True)

    send_id: int = Field(examples=[90417])
    template_id: int | None = Field(examples=[31])
    address: str = Field(examples=["pat@mail.example"])
    personalizations: str = Field(examples=['{"ORDER_ID":"A-1009"}'], description="Values of tags, as JSON")
    state: str = Field(examples=["sent"])
    ended_at: datetime | None


class AppInstallHeld(BaseModel):
    """An app of the person on one device or in one browser."""

    model_config = ConfigDict(from_attributes=True)

    app_id: int = Field(examples=[1])
    install_id: str = Field(examples=["5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"])
    token: str | None = Field(description="The push token, if pushes can be sent")
    os: str = Field(examples=["Android 14"])
    device: str = Field(examples=["Pixel 8"])
    time_zone: str = Field(examples=["Europe/Berlin"])
    locale: str = Field(examples=["de-DE"])
    notifications_enabled: bool | None
    in_app_consent: bool | None
    created_at: datetime
    seen_at: datetime


class PushErrorHeld(BaseModel):
    """A push to the person that a push service refused."""

    model_config = ConfigDict(from_attributes=True)

    app_id: int = Field(examples=[1])
    install_id: str = Field(examples=["5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10"])
    provider: str = Field(examples=["fcm"])
    status: int = Field(examples=[404])
    reason: str = Field(examples=["UNREGISTERED"])
    at: datetime


class PushMessageHeld(BaseModel):
    """A push message to the person that an application asked for."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    notification_id: int = Field(examples=[12])
    install_id: str = Field(description="The installation that was named; empty for all of the person")
    state: str = Field(examples=["sent"])
    reason: str
    ended_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None


class InAppMessageHeld(BaseModel):
    """An in-app message to the person."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    channel_id: int = Field(examples=[506])
    campaign_id: int = Field(examples=[12])
    template_id: int = Field(examples=[31])
    content: dict[str, Any]
    data: dict[str, Any] | None
    sent_at: datetime
    opened_at: datetime | None
    read_at: datetime | None
    inbox_deleted_at: datetime | None


class RecordsHeld(BaseModel):
    """Data about a person in the records database."""

    model_config = ConfigDict(extra="forbid")  # what a package declares is shown, not dropped

    suppressions: list[SuppressionHeld]
    exclusions: list[ExclusionHeld]
    preferences: list[PreferenceHeld]
    topics: list[TopicHeld]
    consent_changes: list[ConsentHeld]
    deliveries: list[DeliveryHeld]
    messages: list[MessageHeld]
    mail_events: list[dict[str, Any]]
    transactional_messages: list[TransactionalMessageHeld]
    attribute_requests: list[dict[str, Any]]
    app_installs: list[AppInstallHeld]
    push_errors: list[PushErrorHeld]
    in_app_messages: list[InAppMessageHeld]
    push_messages: list[PushMessageHeld]
    inbox_messages: list[dict[str, Any]]
    redemptions: list[dict[str, Any]]
    promo_codes: list[dict[str, Any]]
    journeys: list[dict[str, Any]]


class PersonOut(BaseModel):
    """All data about a person."""

    customer_id: str = Field(examples=["Q1001"])
    warehouse: dict[str, list[dict[str, Any]]] = Field(
        description="Rows by table", examples=[{"customers": [{"customer_id": "Q1001", "CITY": "Oslo"}]}]
    )
    records: RecordsHeld
    real_time: dict[str, list[dict[str, Any]]] = Field(
        description="Waiting events, the event log, visitors and their events, triggers; rows by table",
        examples=[{"visitors": [{"visitor_id": "0123456789abcdef", "customer_id": "Q1001"}]}],
    )


def _shown(person: persons.PersonData) -> PersonOut:
    others = dict(person.others)
    real_time = others.pop("realtime")
    records = {name: rows for lists in others.values() for name, rows in lists.items()}
    return PersonOut(
        customer_id=person.customer_id,
        warehouse=person.warehouse,
        records=RecordsHeld.model_validate(records),
        real_time=real_time,
    )


class PersonFound(BaseModel):
    """A customer who has the address."""

    customer_id: str = Field(examples=["Q1001"])


@router.get("", summary="Find persons by an address")
def find_persons(
    address: Annotated[
        str, Query(min_length=1, max_length=1000, description="In any spelling", examples=["anna@example.com"])
    ],
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[PersonFound]:
    """The customers who have the address in an attribute that a channel sends to, at most 1,000. The audit log
    records the search.

    Erased and anonymised customers are not among them.
    """
    return [PersonFound(customer_id=customer_id) for customer_id in finding.customers_at(principal.scope, address)]


@router.get(PATH, summary="Export all data about a person")
def export_person(customer_id: str, principal: Principal = Depends(admin)) -> PersonOut:  # noqa: B008
    """The person's rows in the warehouse, and the person's data in the records database. 404 if there are no data.

    The audit log records the export, and names the person by a keyed hash of the ID.
    """
    return _shown(persons.export(principal.scope, customer_id))


@router.delete(PATH, status_code=204, summary="Erase a person")
def erase_person(customer_id: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Irreversible. The person disappears at once from everything that can be read, except the outcomes of campaigns,
    which are rewritten together with the files on the disk.

    Opt-outs, and the fact that the person must stay anonymous, are kept under a keyed hash of the ID. The call can be
    repeated; 404 for a person about whom Rapport never had data.
    """
    persons.erase(principal.scope, customer_id)
