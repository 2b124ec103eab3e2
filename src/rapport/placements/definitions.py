"""What a placement shows: sports or products, how many items, and by which rules."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rapport.errors import Invalid
from rapport.placements.models import Placement
from rapport.sports.definitions import Kind

MOST_ITEMS = 50


class Product(StrEnum):
    """What is recommended, as context.product of a request names it."""

    SPORTS = "Sports"
    PRODUCTS = "Products"


class Order(StrEnum):
    """In which order the recommended items are shown. It does not change which items they are."""

    SCORE = "score"
    START = "start"
    DISPLAY = "display_order"


# The kinds of records that can be recommended.
LEVELS = (Kind.EVENT, Kind.MARKET, Kind.SELECTION)


@dataclass(frozen=True)
class DisplayRules:
    """What may be shown. Empty or None: no limit.

    Categories are keys or names of the inventory, or categories of products, in any case. An event must start within
    so many hours; odds are decimal, both limits included.
    """

    categories: tuple[str, ...] = ()
    excluded_categories: tuple[str, ...] = ()
    starts_within_hours: int | None = None
    least_odds: float | None = None
    most_odds: float | None = None
    order: Order = Order.SCORE


@dataclass(frozen=True)
class PlacementDefinition:
    """A placement as it is managed. level is None for products."""

    name: str
    product: Product
    level: Kind | None
    most_items: int
    rules: DisplayRules

    def require_valid(self) -> None:
        """Raises Invalid for members that do not go together."""
        rules = self.rules
        if (self.product is Product.SPORTS) != (self.level is not None):
            raise Invalid("level is needed for the product Sports, and only for it.")
        if self.level is not None and self.level not in LEVELS:
            raise Invalid(f"level must be one of {', '.join(LEVELS)}, not {self.level}.")
        if self.product is Product.PRODUCTS and (rules.starts_within_hours or rules.order is not Order.SCORE):
            raise Invalid("rules: starts_within_hours and order are for the product Sports only.")
        has_odds = rules.least_odds is not None or rules.most_odds is not None
        if has_odds and self.level is not Kind.SELECTION:
            raise Invalid("rules: least_odds and most_odds are for the level Selection only.")
        if rules.least_odds is not None and rules.most_odds is not None and rules.least_odds > rules.most_odds:
            raise Invalid("rules: least_odds must not be above most_odds.")

    def columns(self) -> dict[str, Any]:
        """The columns of the definition."""
        return {
            "name": self.name,
            "product": str(self.product),
            "level": str(self.level or ""),
            "most_items": self.most_items,
            "rules": asdict(self.rules),
        }


def definition_of(placement: Placement) -> PlacementDefinition:
    """The definition of a stored placement."""
    return PlacementDefinition(
        name=placement.name,
        product=Product(placement.product),
        level=Kind(placement.level) if placement.level else None,
        most_items=placement.most_items,
        rules=_rules(placement.rules),
    )


def _rules(stored: Mapping[str, Any]) -> DisplayRules:
    return DisplayRules(
        **{
            **stored,
            "categories": tuple(stored["categories"]),
            "excluded_categories": tuple(stored["excluded_categories"]),
            "order": Order(stored["order"]),
        }
    )
