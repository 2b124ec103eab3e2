"""Promo codes as marketers see them: many codes at once, which of them are used, and what was redeemed."""

from datetime import datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import Annotated

from fastapi import Depends, File, Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.redemptions import bulk, listing, pools
from rapport.redemptions.code_texts import ALPHABET
from rapport.redemptions.definitions import LONGEST_CODE
from rapport.redemptions.states import PoolKind, RedemptionState

router = SectionRouter("Management: campaigns", "/manage/v1/promocodes", JsonRoute)


class PromoCodeOut(BaseModel):
    """A promo code: one global code, or many unique ones."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["spring-2026"])
    kind: PoolKind
    name: str = Field(examples=["Spring in the letter"])
    promotion_id: str | None = Field(examples=["p-7f3a"])
    campaign_ids: list[int] = Field(examples=[[4321]])
    is_active: bool
    starts_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


@router.get("", summary="List promo codes")
def list_promo_codes(
    promotion_id: Annotated[str | None, Query(description="Only those of this promotion", max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[PromoCodeOut]:
    """The newest first."""
    return pools.pools(principal.scope, promotion_id, limit, offset).each(PromoCodeOut.model_validate)


class GenerationIn(BaseModel):
    """Codes to generate."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1, le=bulk.MOST_CODES, strict=True, examples=[1000])
    length: int = Field(12, ge=1, le=LONGEST_CODE, strict=True, description="Drawn characters of each code")
    prefix: str = Field("", max_length=50, examples=["SPR-"])
    has_check: bool = Field(False, description="Add a check character, which tells a misspelt code from an unknown one")


class CodesOut(BaseModel):
    """How many codes are new."""

    codes: int = Field(examples=[1000])


@router.post(
    "/{promocode_id}/generate",
    status_code=201,
    summary="Generate codes",
    description=(
        f"Up to {bulk.MOST_CODES:,} codes for a unique promo code, all or none. They consist of the characters "
        f"{ALPHABET}, of which none is easily taken for another, and are drawn so that nobody can guess one: 400 for a "
        "length at which more than one in a million possible codes would be valid. Customers may write them in any "
        "case."
    ),
)
def generate_codes(
    promocode_id: str,
    body: GenerationIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> CodesOut:
    """Described at the route."""
    count = bulk.generate(principal.scope, promocode_id, body.count, body.length, body.prefix, has_check=body.has_check)
    return CodesOut(codes=count)


@router.post("/{promocode_id}/file", status_code=201, summary="Import codes from a file")
def import_codes(
    promocode_id: str,
    file: Annotated[UploadFile, File(description="UTF-8: one code per line; up to 64 MB and 1,000,000 codes")],
    principal: Principal = Depends(admin),  # noqa: B008
) -> CodesOut:
    """Codes of 3 to 100 characters without blanks, quotes, commas and semicolons, for a unique promo code; all or none.

    A first line `code` is a header. 409 names codes that are in the file twice, in any case, or that the tenant has
    already.
    """
    text = TextIOWrapper(file.file, encoding="utf-8-sig", newline="")
    try:
        return CodesOut(codes=bulk.import_codes(principal.scope, promocode_id, text))
    finally:
        text.detach()


class CodeOut(BaseModel):
    """One code."""

    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["SPR-7KXM3WRT9CDH"])
    redemption_id: str | None = Field(description="The redemption that holds it; null while it can be redeemed")
    customer_id: str | None = Field(description="The customer who got it in a message, in lower case")


@router.get("/{promocode_id}/codes", summary="List codes")
def list_codes(
    promocode_id: str,
    after: Annotated[str, Query(description="The last code of the page before", max_length=LONGEST_CODE)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[CodeOut]:
    """In the order of the codes in lower case. The list has ended when a page is empty."""
    return [CodeOut.model_validate(code) for code in listing.codes(principal.scope, promocode_id, after, limit)]


class RewardOut(BaseModel):
    """What a redemption granted."""

    rewardType: str = Field(examples=["bonus"])
    category: str = Field(examples=["amount"])
    value: Decimal = Field(examples=["12.50"])


class RedemptionOut(BaseModel):
    """A redemption, with its rewards as they were at that moment."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    state: RedemptionState
    promotion_id: str = Field(examples=["p-7f3a"])
    promocode_id: Annotated[str | None, Field(validation_alias="pool_id")] = Field(examples=["spring-2026"])
    code: str = Field(examples=["SPRING26"])
    customer_id: str = Field(examples=["Q1001"])
    order_id: str | None
    campaign_id: int | None
    tier_id: str
    tier_name: str
    rewards: list[RewardOut]
    currency: str = Field(examples=["EUR"])
    created_at: datetime
    reserved_until: datetime | None
    ended_at: datetime | None


@router.get("/redemptions", summary="List redemptions")
def list_redemptions(
    promotion_id: Annotated[str | None, Query(description="Only those of this promotion", max_length=100)] = None,
    customer_id: Annotated[str | None, Query(description="Only those of this customer", max_length=255)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[RedemptionOut]:
    """The newest first, of one promotion or one customer at least: 400 without both."""
    return listing.redemptions(principal.scope, promotion_id, customer_id, limit, offset).each(
        RedemptionOut.model_validate
    )
