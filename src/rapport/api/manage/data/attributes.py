"""Management of customer attributes."""

from typing import Annotated, Literal

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.campaigns import attribute_uses
from rapport.customers import attributes, consent_marks
from rapport.customers import changes as customer_changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.privacy.personal_columns import DECIDED

router = SectionRouter("Management: data in", "/manage/v1", JsonRoute)
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
FieldType = Literal["Bigint", "Int", "Decimal", "Date", "Datetime", "Nvarchar", "Varchar"]


class AttributeIn(Body):
    """An attribute to create; files write it (batch) or only the API does (api)."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$", examples=["LOYALTY_TIER"])
    field_type: FieldType = Field(examples=["Varchar"])
    source: Literal["batch", "api"] = "batch"
    alias: Text = Field("", max_length=200, examples=["Loyalty tier"])
    description: Text = Field("", max_length=1000)
    is_pii: bool | None = Field(None, description="Whether it identifies a person; if left out, its name decides")
    api_updatable: bool = False


class AttributePatch(Body):
    """What can be changed of an attribute; members that are left out stay as they are."""

    alias: Text | None = Field(None, max_length=200, examples=["Loyalty tier"])
    description: Text | None = Field(None, max_length=1000)
    field_type: FieldType | None = Field(
        None, description="All stored values must convert to it", examples=["Nvarchar"]
    )
    is_pii: bool | None = None
    api_updatable: bool | None = None
    consent: Literal["", "permission", "blocked"] | None = Field(
        None,
        description="Whether its words are read as Yes and No: permission (Yes permits contact), blocked (Yes "
        "forbids it)",
    )


class AttributeOut(BaseModel):
    """An attribute."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(validation_alias="real_field_name")
    alias: str
    description: str
    field_type: FieldType
    source: str
    is_pii: bool = Field(description="Whether it identifies a person, so that RemoveCustomerPII clears it")
    pii_reason: str = Field(
        description="Why is_pii is set: name, values, decided, none (checked and not personal), or empty",
        examples=["values"],
    )
    api_updatable: bool
    consent: str = Field(validation_alias="consent_kind", description="permission, blocked, or empty")


@router.get("/attributes", summary="List customer attributes")
def list_attributes(page: Paged, principal: Principal = Depends(admin)) -> list[AttributeOut]:  # noqa: B008
    """By name."""
    return page.of(list(attributes.attributes(principal.scope).values())).each(AttributeOut.model_validate)


@router.post("/attributes", status_code=201, summary="Create a customer attribute")
def create_attribute(body: AttributeIn, principal: Principal = Depends(admin)) -> AttributeOut:  # noqa: B008
    """409 for a name that is taken."""
    info = AttributeInfo(
        body.name,
        body.alias or body.name.replace("_", " ").title(),
        body.description,
        body.field_type,
        body.source,
        bool(body.is_pii),
        body.api_updatable or body.source == "api",
        pii_reason="" if body.is_pii is None else DECIDED,
    )
    return AttributeOut.model_validate(customer_changes.create_attribute(principal.scope, info))


@router.patch("/attributes/{name}", summary="Change a customer attribute")
def patch_attribute(name: str, body: AttributePatch, principal: Principal = Depends(admin)) -> AttributeOut:  # noqa: B008
    """If you mark an attribute as identifying (is_pii), it is masked at once for everybody who was anonymised.

    A field_type also converts the stored values: 409 if values cannot be converted (with their number and examples),
    or if a target group or campaign uses a comparison that the new type does not support. If you mark an attribute as
    consent, its stored values become Yes or No; words that are neither forbid contact.
    """
    changes = body.model_dump(exclude_none=True, exclude={"consent"})
    if body.api_updatable is False:
        attribute_uses.close_attribute(principal.scope, name)
    if field_type := changes.pop("field_type", None):
        attribute_uses.retype_attribute(principal.scope, name, field_type)
    if body.consent is not None:
        consent_marks.mark(principal.scope, name, body.consent)
    return AttributeOut.model_validate(customer_changes.change_attribute(principal.scope, name, changes))


@router.delete("/attributes/{name}", status_code=204, summary="Delete a customer attribute")
def delete_attribute(name: str, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Deletes the attribute with all its values and frees its name. 409 if it is in use, with the names of what uses
    it; built-in attributes cannot be deleted.
    """
    attribute_uses.delete_attribute(principal.scope, name)
