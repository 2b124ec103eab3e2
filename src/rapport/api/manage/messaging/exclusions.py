"""Management of exclusions: customers who get no marketing until an instant, or for good."""

from datetime import datetime
from io import TextIOWrapper
from typing import Annotated

from fastapi import Depends, File, Form, Query, Response, UploadFile
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body, only_known_fields
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.messaging.contactability import excluding, exclusion_files
from rapport.messaging.contactability import exclusions as messaging_exclusions
from rapport.messaging.models import Exclusion, ExclusionReason

router = SectionRouter("Management: suppressions", "/manage/v1/exclusions", JsonRoute)
CustomerID = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
MOST_CUSTOMERS = 10_000


class ExclusionIn(Body):
    """Customers who must get no marketing for a time."""

    customer_id: CustomerID | Annotated[list[CustomerID], Field(min_length=1, max_length=MOST_CUSTOMERS)] = Field(
        description="A customer, or up to 10,000 customers; they need not be loaded yet", examples=["Q1001"]
    )
    ends_at: AwareDatetime | None = Field(
        description="The instant from which they may be contacted again; null: never", examples=["2027-06-01T00:00:00Z"]
    )
    reason: ExclusionReason = ExclusionReason.OTHER


class ExcludedOut(BaseModel):
    """How many customers a call excludes."""

    customers: int = Field(description="How many customers the call named", examples=[1])
    added: int = Field(description="How many of them were not excluded for as long before", examples=[1])


class ExcludedFileOut(BaseModel):
    """The result of a file of exclusions."""

    model_config = ConfigDict(from_attributes=True)

    customers: int = Field(description="How many customers the file names", examples=[5000])
    added: int = Field(description="How many of them were not excluded for as long before", examples=[12])
    ended: int = Field(description="How many have an end in the past, which excludes nobody", examples=[3])


class ExclusionOut(BaseModel):
    """An exclusion, with who made it and who lifted it. It is kept after its end."""

    customer_id: str = Field(examples=["Q1001"], description="Empty for an erased person")
    begins_at: datetime
    ends_at: datetime | None = Field(description="null: never")
    reason: ExclusionReason
    made_by: str = Field(examples=["key 3"], description="Who made it, as in the audit log")
    lifted_at: datetime | None = Field(description="When it was lifted before its end; null: it was not")
    lifted_by: str = Field(description="Who lifted it; empty if nobody did")
    stands: bool = Field(description="Whether it applies now")


def _shown(scope: Scope, exclusion: Exclusion) -> ExclusionOut:
    return ExclusionOut(
        customer_id=exclusion.customer_id,
        begins_at=exclusion.begins_at,
        ends_at=exclusion.ends_at,
        reason=ExclusionReason(exclusion.reason),
        made_by=exclusion.made_by,
        lifted_at=exclusion.lifted_at,
        lifted_by=exclusion.lifted_by,
        stands=messaging_exclusions.stands(scope, exclusion),
    )


@router.get("", summary="List exclusions")
def list_exclusions(
    customer_id: Annotated[str | None, Query(max_length=300)] = None,
    standing: Annotated[bool, Query(description="Only exclusions that apply now")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ExclusionOut]:
    """Newest first; customer_id selects one customer, also after an erasure."""
    scope = principal.scope
    listed = messaging_exclusions.exclusions(scope, customer_id, limit, offset, standing=standing)
    return listed.each(lambda exclusion: _shown(scope, exclusion))


@router.post("", status_code=201, summary="Exclude customers from marketing")
def add_exclusion(
    body: ExclusionIn,
    response: Response,
    principal: Principal = Depends(admin),  # noqa: B008
) -> ExcludedOut:
    """201 if the exclusion is new for at least one customer, 200 if all are already excluded for as long.

    The customers, and everybody who has one of their addresses, get no campaign on any channel from now until ends_at,
    not even messages that are already planned. An exclusion never shortens one that stands: lift that one first.
    Transactional messages are still sent.
    """
    named = [body.customer_id] if isinstance(body.customer_id, str) else body.customer_id
    added = excluding.exclude(principal.scope, dict.fromkeys(named, body.ends_at), body.reason)
    response.status_code = 201 if added else 200
    return ExcludedOut(customers=len(named), added=added)


@router.post(
    "/file",
    summary="Exclude the customers in a file from marketing",
    dependencies=[Depends(admin), Depends(only_known_fields)],
)
def add_exclusion_file(
    file: Annotated[UploadFile, File(description="UTF-8 CSV with the columns customer_id and ends_at; up to 64 MB")],
    reason: Annotated[ExclusionReason, Form()] = ExclusionReason.OTHER,
    principal: Principal = Depends(admin),  # noqa: B008
) -> ExcludedFileOut:
    """All lines, or none if a line has no customer or no end.

    ends_at is an instant (2027-06-01T00:00:00Z), a time of the tenant's time zone (2027-06-01T08:00), a day, which the
    exclusion includes (2027-05-31), or the word forever. Lines whose end is past exclude nobody. The call can be
    repeated: customers who are already excluded for as long stay as they are.
    """
    text = TextIOWrapper(file.file, encoding="utf-8-sig", newline="")
    try:
        return ExcludedFileOut.model_validate(exclusion_files.exclude_file(principal.scope, text, reason))
    finally:
        text.detach()


@router.delete("", status_code=204, summary="Lift the exclusion of a customer")
def lift_exclusion(
    customer_id: Annotated[str, Query(min_length=1, max_length=300)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Ends every exclusion of the customer that applies now; 404 if none does."""
    excluding.lift(principal.scope, customer_id)
