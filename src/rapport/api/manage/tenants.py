"""Management of the tenant itself, its brands and keys."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from rapport.access import service
from rapport.access.keys import Principal
from rapport.api.auth import admin

router = APIRouter(prefix="/manage/v1", tags=["Management: access"])


class BrandIn(BaseModel):
    """A brand to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind Outlet"])


class BrandOut(BaseModel):
    """A brand."""

    id: int
    name: str


@router.get("/brands", summary="List brands")
def list_brands(principal: Principal = Depends(admin)) -> list[BrandOut]:  # noqa: B008
    """The tenant's brands, by id."""
    return [BrandOut(id=brand.id, name=brand.name) for brand in service.brands(principal.scope)]


@router.post("/brands", status_code=201, summary="Create a brand")
def create_brand(body: BrandIn, principal: Principal = Depends(admin)) -> BrandOut:  # noqa: B008
    """Create a brand; 409 for a name that is taken."""
    brand = service.create_brand(principal.scope, body.name)
    return BrandOut(id=brand.id, name=brand.name)
