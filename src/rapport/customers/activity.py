"""What customers did, as far as it comes in events of others than files: the one way into the table of activity."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from rapport.access.scope import Scope

# Late events may belong to many months, each of which is a partition.
SETTINGS = {"max_partitions_per_insert_block": 0}
ACTIVITY = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_type_id", pa.uint32()),
        ("customer_id", pa.string()),
        ("event_at", pa.timestamp("ms", tz="UTC")),
        ("properties", pa.map_(pa.string(), pa.string())),
        ("visitor_id", pa.string()),
        ("origin", pa.string()),
        ("seq", pa.uint64()),
    ]
)


def add_activity(scope: Scope, rows: Sequence[dict[str, Any]]) -> None:
    """Add events of customers, with the members of ACTIVITY."""
    if rows:
        scope.warehouse.insert_arrow("activity_events", pa.Table.from_pylist(rows, schema=ACTIVITY), SETTINGS)


def copy_activity(scope: Scope, select: str, /, **parameters: Any) -> None:
    """Add events of customers out of a SELECT that gives the columns of ACTIVITY in their order, with what it binds."""
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    insert = f"INSERT INTO activity_events ({', '.join(ACTIVITY.names)}) {select} SETTINGS {settings}"
    scope.warehouse.execute(insert, **parameters)
