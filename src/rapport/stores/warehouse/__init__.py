"""The warehouse: tenants' databases, how tables change, how reads are cut into slices, and servers by URL."""

from rapport.stores.warehouse.engine import (
    IDENTIFIER,
    JSON_SETTINGS,
    MANY_READERS,
    READERS,
    Database,
    Warehouse,
    identifier,
    literal,
)

__all__ = ["IDENTIFIER", "JSON_SETTINGS", "MANY_READERS", "READERS", "Database", "Warehouse", "identifier", "literal"]
