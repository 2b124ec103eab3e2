"""Management of suppressions: who must not be written to."""

from datetime import datetime
from io import TextIOWrapper
from typing import Annotated, Literal

from fastapi import Depends, File, Form, Query, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body, only_known_fields
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.channels import service as channels
from rapport.errors import Invalid
from rapport.messaging.contactability import address_files, suppressed_addresses
from rapport.messaging.contactability import suppressions as messaging_suppressions
from rapport.messaging.models import EVERY_CHANNEL, Suppression

router = SectionRouter("Management: suppressions", "/manage/v1/suppressions", JsonRoute)
OptionalChannel = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


Address = Annotated[str, Field(min_length=1, max_length=1000)]
MOST_ADDRESSES = 10_000
OF_ADDRESS = "An address, in any spelling"
ONE_OF_BOTH = "Give customer_id or address, and not both."


class SuppressionIn(Body):
    """Who must not be contacted any more."""

    customer_id: str | None = Field(None, min_length=1, max_length=255, examples=["Q1001"])
    address: Address | Annotated[list[Address], Field(min_length=1, max_length=MOST_ADDRESSES)] | None = Field(
        None,
        description="Instead of customer_id: an address, or up to 10,000 addresses",
        examples=[["anna@example.com"]],
    )
    channel_id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[504], description="null: all channels")
    reason: Literal["unsubscribed", "bounced", "complaint", "manual"] = "manual"


class SuppressionOut(BaseModel):
    """A customer who is suppressed on one or all channels, like everybody else who has the customer's addresses."""

    customer_id: str = Field(examples=["Q1001"])
    channel_id: int | None = Field(examples=[504], description="null: any channel")
    reason: str = Field(examples=["unsubscribed"])
    source: str = Field(examples=["link"], description="How Rapport learned of it; empty if unknown")
    created_at: datetime


class AddressesOut(BaseModel):
    """Addresses that are suppressed on one or all channels, for everybody who has them. They are stored encrypted."""

    addresses: int = Field(description="How many addresses the call named", examples=[2])
    added: int = Field(description="How many of them were not suppressed before", examples=[1])
    channel_id: int | None = Field(examples=[504], description="null: any channel")


class FileOut(BaseModel):
    """The result of a file of addresses."""

    model_config = ConfigDict(from_attributes=True)

    addresses: int = Field(description="How many the file has", examples=[5000])
    added: int = Field(description="How many of them were not suppressed before", examples=[4998])
    refused: int = Field(description="Lines without an address", examples=[2])
    refused_lines: list[int] = Field(description="The numbers of the first hundred such lines", examples=[[7, 4012]])


class AddressSuppression(BaseModel):
    """A channel on which an address gets nothing."""

    channel_id: int | None = Field(examples=[504], description="null: any channel")
    listed: Literal["suppression list", "channel preference", "under an exclusion", "hard bounce", "complaint"]
    reason: str = Field(examples=["unsubscribed"], description="Why it is suppressed; empty if unknown")
    source: str = Field(examples=["link"], description="How Rapport learned of it; empty if unknown")
    added_at: datetime


def _shown(suppression: Suppression) -> SuppressionOut:
    return SuppressionOut(
        customer_id=suppression.customer_id,
        channel_id=suppression.channel_id or None,
        reason=suppression.reason,
        source=suppression.source,
        created_at=suppression.created_at,
    )


@router.get("", summary="List suppressions")
def list_suppressions(
    customer_id: Annotated[str | None, Query(max_length=300)] = None,
    channel_id: OptionalChannel = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SuppressionOut]:
    """Ordered by customer and channel; the parameters select one customer or one channel."""
    return messaging_suppressions.list_suppressions(principal.scope, customer_id, channel_id, limit, offset).each(
        _shown
    )


@router.get("/of-address", summary="Find where an address is suppressed")
def list_of_address(
    address: Annotated[str, Query(min_length=1, max_length=1000, description=OF_ADDRESS)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[AddressSuppression]:
    """Lists the channels, whether the address itself or a customer who has it was suppressed."""
    return [
        AddressSuppression(
            channel_id=entry.channel_id or None,
            listed=entry.listed,
            reason=entry.reason,
            source=entry.source,
            added_at=entry.added_at,
        )
        for entry in suppressed_addresses.of_address(principal.scope, address)
    ]


@router.post("", status_code=201, summary="Suppress a customer or addresses")
def add_suppression(
    body: SuppressionIn,
    response: Response,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SuppressionOut | AddressesOut:
    """201 if at least one is new, 200 if all were already suppressed there; a customer keeps the first reason.

    Customers who have one of the addresses, now or later, get nothing there. An e-mail address that is not a
    customer's ID is refused as customer_id.
    """
    scope = principal.scope
    if body.channel_id is not None:
        channels.channel(scope, body.channel_id)
    channel_id = body.channel_id or EVERY_CHANNEL
    if body.customer_id is not None and body.address is None:
        messaging_suppressions.require_no_address(scope, body.customer_id)
        suppression, new = messaging_suppressions.suppress(scope, body.customer_id, channel_id, body.reason)
        response.status_code = 201 if new else 200
        return _shown(suppression)
    if body.customer_id is not None or body.address is None:
        raise Invalid(ONE_OF_BOTH)
    addresses = [body.address] if isinstance(body.address, str) else body.address
    added = messaging_suppressions.suppress_addresses(scope, addresses, channel_id, body.reason)
    response.status_code = 201 if added else 200
    return AddressesOut(addresses=len(addresses), added=added, channel_id=body.channel_id)


@router.post(
    "/file", summary="Suppress the addresses in a file", dependencies=[Depends(admin), Depends(only_known_fields)]
)
def add_file(
    file: Annotated[UploadFile, File(description="UTF-8: one address per line, or CSV; up to 64 MB")],
    channel_id: Annotated[int | None, Form(ge=1, le=2**31 - 1, description="If left out: all channels")] = None,
    reason: Annotated[Literal["unsubscribed", "bounced", "complaint", "manual"], Form()] = "manual",
    column: Annotated[
        str, Form(max_length=200, description="The column of the addresses; if left out: the first")
    ] = "",
    allow_rejects: Annotated[bool, Form(description="Skip lines without an address")] = False,
    principal: Principal = Depends(admin),  # noqa: B008
) -> FileOut:
    """Customers who have one of the addresses, now or later, get nothing there. All or none, unless allow_rejects is
    set.

    Without channel_id, an address must look like an e-mail address or have at least six digits, like a phone number;
    other lines count as lines without an address. 400 for a file without any address, even if it is empty or has only
    a header.

    A first line with neither a digit nor an @ is a header. The call can be repeated: addresses that are already
    suppressed stay as they are, and are counted.
    """
    if channel_id is not None:
        channels.channel(principal.scope, channel_id)
    text = TextIOWrapper(file.file, encoding="utf-8-sig", newline="")
    try:
        outcome = address_files.suppress_file(
            principal.scope, text, channel_id or EVERY_CHANNEL, reason, column, allow_rejects=allow_rejects
        )
        return FileOut.model_validate(outcome)
    finally:
        text.detach()


@router.delete("", status_code=204, summary="Remove a suppression")
def remove_suppression(
    customer_id: Annotated[str | None, Query(min_length=1, max_length=300)] = None,
    address: Annotated[str | None, Query(min_length=1, max_length=1000, description=OF_ADDRESS)] = None,
    channel_id: OptionalChannel = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Removes the suppression of a customer or an address on a channel or, without channel_id, on all channels; 404
    if there is none.

    Suppressions of other customers with the same address are removed too, so that the address can be contacted again.
    """
    if (customer_id is None) == (address is None):
        raise Invalid(ONE_OF_BOTH)
    if customer_id is not None:
        messaging_suppressions.allow(principal.scope, customer_id, channel_id or EVERY_CHANNEL)
    if address is not None:
        messaging_suppressions.allow_address(principal.scope, address, channel_id or EVERY_CHANNEL)
