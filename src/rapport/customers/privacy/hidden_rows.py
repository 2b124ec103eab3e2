"""Rows that were deleted are only hidden until the parts that hold them are written anew: then they leave the disk."""

import time

from rapport.access.scope import Scope
from rapport.stores.warehouse import identifier

OLD_PARTS = """
    SELECT count() FROM system.parts
    WHERE database = {database:String} AND table = {table:String} AND NOT active
"""
MASKED_PARTS = """
    SELECT count() FROM system.parts
    WHERE database = {database:String} AND table = {table:String} AND active AND has_lightweight_delete
"""
TRIES, PAUSE = 300, 0.1


def leave_disk(scope: Scope, table: str) -> None:
    """Write what is hidden in a table out of it, and drop the parts that it was in as soon as nobody reads them."""
    warehouse, name = scope.warehouse, identifier(table)
    parameters = {"database": warehouse.name, "table": table}
    if warehouse.value(MASKED_PARTS, **parameters):
        warehouse.execute(f"ALTER TABLE {name} APPLY DELETED MASK")
    if not warehouse.value(OLD_PARTS, **parameters):
        return
    warehouse.execute(f"ALTER TABLE {name} MODIFY SETTING old_parts_lifetime = 0")
    for _ in range(TRIES):
        # Dropping a partition, even one that does not exist, makes the engine drop old parts at once.
        warehouse.execute(f"ALTER TABLE {name} DROP PARTITION ID 'erased'")
        if not warehouse.value(OLD_PARTS, **parameters):
            break
        time.sleep(PAUSE)
    warehouse.execute(f"ALTER TABLE {name} RESET SETTING old_parts_lifetime")
