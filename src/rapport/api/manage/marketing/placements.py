"""Management of placements: what is recommended where, and by which rules."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path
from pydantic import Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.placements import service
from rapport.placements.definitions import MOST_ITEMS, DisplayRules, Order, PlacementDefinition, Product
from rapport.placements.models import Placement
from rapport.sports.definitions import LARGEST_ODDS, Kind

router = SectionRouter("Management: placements", "/manage/v1/placements", JsonRoute)
PlacementKey = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="The key of the placement: letters, digits, _ and -")
]
Categories = Annotated[list[Annotated[str, Field(min_length=1, max_length=1000)]], Field(max_length=100)]
Odds = Annotated[float, Field(ge=1, le=LARGEST_ODDS)]


class PlacementRules(Body):
    """What may be shown."""

    categories: Categories = Field([], examples=[["tennis"]], description="Only these, by key or name; empty: any")
    excluded_categories: Categories = Field([], description="None of these, by key or name")
    starts_within_hours: int | None = Field(
        None, ge=1, le=8760, examples=[48], description="Only events that start within so many hours; null: any"
    )
    least_odds: Odds | None = Field(None, description="Only selections with at least these decimal odds")
    most_odds: Odds | None = Field(None, description="Only selections with at most these decimal odds")
    order: Order = Field(
        Order.SCORE,
        description="The order in which the chosen items are shown: the likeliest first, by start, or "
        "by the display order of the inventory",
    )


class PlacementIn(Body):
    """A placement."""

    name: str = Field(min_length=1, max_length=200, examples=["Front page, below the banner"])
    product: Product = Field(description="What is recommended: the sports inventory, or products of the daily model")
    level: Kind | None = Field(
        None, examples=["Event"], description="Of the product Sports: Event, Market or Selection. Of Products: null"
    )
    most_items: int = Field(10, ge=1, le=MOST_ITEMS)
    rules: PlacementRules = PlacementRules()


class PlacementOut(PlacementIn):
    """A placement with its key."""

    key: str = Field(examples=["front"], description="placementKey of requests for recommendations")
    created_at: datetime
    updated_at: datetime


def _shown(placement: Placement) -> PlacementOut:
    return PlacementOut(
        key=placement.key,
        name=placement.name,
        product=Product(placement.product),
        level=Kind(placement.level) if placement.level else None,
        most_items=placement.most_items,
        rules=PlacementRules(**placement.rules),
        created_at=placement.created_at,
        updated_at=placement.updated_at,
    )


@router.get("", summary="List placements")
def list_placements(page: Paged, principal: Principal = Depends(admin)) -> list[PlacementOut]:  # noqa: B008
    """By key."""
    return page.of(service.placements(principal.scope)).each(_shown)


@router.get("/{placement_key}", summary="Get a placement")
def get_placement(placement_key: PlacementKey, principal: Principal = Depends(admin)) -> PlacementOut:  # noqa: B008
    """A placement."""
    return _shown(service.placement(principal.scope, placement_key))


@router.put("/{placement_key}", summary="Create or replace a placement")
def save_placement(
    placement_key: PlacementKey,
    body: PlacementIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> PlacementOut:
    """Requests for recommendations use it from now on. 400 for rules that do not fit the product or the level."""
    rules = body.rules
    definition = PlacementDefinition(
        name=body.name,
        product=body.product,
        level=body.level,
        most_items=body.most_items,
        rules=DisplayRules(
            categories=tuple(rules.categories),
            excluded_categories=tuple(rules.excluded_categories),
            starts_within_hours=rules.starts_within_hours,
            least_odds=rules.least_odds,
            most_odds=rules.most_odds,
            order=rules.order,
        ),
    )
    return _shown(service.save_placement(principal.scope, placement_key, definition))


@router.delete("/{placement_key}", status_code=204, summary="Delete a placement")
def delete_placement(placement_key: PlacementKey, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Requests for its recommendations are answered with 404 from now on."""
    service.delete_placement(principal.scope, placement_key)
