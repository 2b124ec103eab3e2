"""Attributes of the product catalogue, for readers that show them beside a product."""

from collections.abc import Iterable

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.stores.warehouse import literal

COLUMNS = {
    "product_id": "product_id",
    "item_id": "product_id",
    "name": "name",
    "item_name": "name",
    "product_name": "name",
    "category": "category",
    "department": "department",
    "brand": "brand",
    "price": "price",
    "is_active": "is_active",
}
PROPERTIES = "SELECT arrayJoin(groupUniqArrayArray(mapKeys(properties))) FROM products"


def product_attribute_expressions(
    scope: Scope, names: Iterable[str], parameter: str = "ProductAttributes"
) -> list[str]:
    """SQL over products, one Nullable(String) per name, in order; names compare ignoring case.

    Empty text is NULL. Raises Invalid naming the first name that no product has.
    """
    requested = [name.strip() for name in names]
    properties: dict[str, str] = {}
    if any(name.lower() not in COLUMNS for name in requested):
        properties = {name.lower(): name for (name,) in scope.warehouse.rows(PROPERTIES)}
    return [_expression(name, properties, parameter) for name in requested]


def _expression(name: str, properties: dict[str, str], parameter: str) -> str:
    if column := COLUMNS.get(name.lower()):
        return f"nullIf(toString({column}), '')"
    if (property_name := properties.get(name.lower())) is None:
        raise Invalid(f"{parameter} names {name!r}, which is not a product attribute.")
    return f"nullIf(properties[{literal(property_name)}], '')"
