"""What other packages may ask of customers."""

from rapport.customers.attributes import (
    COLUMN_TYPES,
    AttributeInfo,
    attributes,
    declare,
    find,
    rendered,
)

__all__ = ["COLUMN_TYPES", "AttributeInfo", "attributes", "declare", "find", "rendered"]
