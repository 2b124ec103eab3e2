"""Tables aside, which are of one import or one change, and go when it ends."""

from rapport.stores.outages import outage
from rapport.stores.warehouse import Database, identifier


def drop(warehouse: Database, names: list[str]) -> None:
    """Drop those of some tables that there are, in one statement."""
    if names:
        warehouse.execute(f"DROP TABLE IF EXISTS {', '.join(map(identifier, names))} SYNC")


def drop_aside(warehouse: Database, names: list[str]) -> None:
    """Drop tables that have done their work: an outage undoes nothing of it, and the next import drops what is left."""
    try:
        drop(warehouse, names)
    except Exception as error:
        if outage(error) is None:
            raise
