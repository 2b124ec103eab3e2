"""One person: export of everything that is held, and erasure."""

from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.customers import jobs
from rapport.customers.attribute_writes import spelling
from rapport.errors import NotFound
from rapport.stores.warehouse import identifier

HOLDING = """
    SELECT DISTINCT table FROM system.columns
    WHERE database = {database:String} AND name = 'customer_id'
      AND NOT match(table, '^(import_|write_|erase_)') ORDER BY table
"""


def export(scope: Scope, customer_id: str) -> dict[str, Any]:
    """Everything the warehouse holds of a person: table name to rows. Raises NotFound for an unknown customer."""
    spelled = spelling(scope, customer_id)
    if spelled is None:
        raise NotFound(f"There is no customer {customer_id!r}.")
    held: dict[str, Any] = {"customer_id": spelled}
    for (table,) in scope.warehouse.rows(HOLDING, database=scope.warehouse.name):
        sql = f"SELECT * FROM {identifier(table)} WHERE customer_id = {{customer_id:String}}"  # noqa: S608 - a table of the schema
        held[table] = orjson.loads(scope.warehouse.json_rows(sql, {"customer_id": spelled}))
    return held


def erase(scope: Scope, customer_id: str) -> None:
    """Remove a person's identifying data everywhere, for good. Raises NotFound for an unknown customer."""
    if jobs.remove_pii(scope, [customer_id]):
        raise NotFound(f"There is no customer {customer_id!r}.")
