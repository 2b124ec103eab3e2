"""One person: export of everything that the warehouse holds, and full erasure from it.

Full erasure takes every row of the person: profile, transactions, events, model results, memberships.
Only the accounts of campaigns are not touched here: their package keeps their sums.
"""

from typing import Any

import orjson

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.customers import attribute_times, imports, jobs, locks, pii, rejects
from rapport.customers.attribute_writes import spelling
from rapport.customers.hidden_rows import leave_disk
from rapport.stores.warehouse import identifier

# Tables with a person in each row, but for those that stand aside while something is built.
HOLDING = """
    SELECT DISTINCT table FROM system.columns
    WHERE database = {database:String} AND name = 'customer_id'
      AND NOT match(table, '^(import_|write_|erase_|run_|work_|list_|target_group_members_aside_)') ORDER BY table
"""
ACCOUNTS = "campaign_"
ERASED = "customer_id IN (SELECT customer_id FROM erase_ids)"


def export(scope: Scope, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything the warehouse holds of a person: table name to rows; without rows when nobody has the id."""
    held: dict[str, list[dict[str, Any]]] = {}
    for table in holding(scope):
        sql = f"SELECT * FROM {identifier(table)} WHERE lowerUTF8(customer_id) = lowerUTF8({{id:String}})"  # noqa: S608 - a table of the schema
        held[table] = orjson.loads(scope.warehouse.json_rows(sql, {"id": customer_id}))
    return held


def holding(scope: Scope) -> list[str]:
    """The tables of the warehouse that have a CustomerID in each row."""
    return [table for (table,) in scope.warehouse.rows(HOLDING, database=scope.warehouse.name)]


def _own(scope: Scope) -> list[str]:
    return [table for table in holding(scope) if not table.startswith(ACCOUNTS)]


def is_removed(scope: Scope, customer_id: str) -> bool:
    """Whether a person's identifying data was removed, or the whole person erased."""
    return pseudonym(scope, customer_id) in pii.removed_pseudonyms(scope)


def erase(scope: Scope, customer_id: str) -> None:
    """Take a person out of everything that is read, but for the accounts of campaigns; may be repeated.

    The id is remembered by pseudonym, so that whoever comes back under it stays anonymous. `purge` clears the disk.
    """
    known = spelling(scope, customer_id) or customer_id
    with locks.writing(scope):
        pii.note(scope, [pseudonym(scope, customer_id)], "erase")
        pii.stage_ids(scope, sorted({known, customer_id}))
        own = pii.texts_of_staged(scope)
        for table in _own(scope):
            delete_staged(scope, table)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    rejects.forget(scope, [known, customer_id], own)
    jobs.forget(scope, customer_id)
    attribute_times.forget(scope, customer_id)
    imports.forget(scope, customer_id)


def purge(scope: Scope, marks: list[str]) -> None:
    """Take erased persons out of what was written meanwhile, and their bytes off the disk. May be repeated.

    marks are pseudonyms. Raises Away when the records went away meanwhile, so that others may have written.
    """
    with locks.importing(scope), locks.writing(scope):
        tables = _own(scope)
        pii.stage_known(scope, marks, tables)
        for table in tables:
            delete_staged(scope, table)
        locks.require_writing(scope)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    pii.rewrite(scope)
    for table in tables:
        leave_disk(scope, table)


def delete_staged(scope: Scope, table: str) -> None:
    """Hide the rows of the persons in erase_ids. Call it under locks.writing."""
    if scope.warehouse.value(f"SELECT count() FROM {identifier(table)} WHERE {ERASED}"):  # noqa: S608 - a table of the schema
        scope.warehouse.execute(f"DELETE FROM {identifier(table)} WHERE {ERASED}")  # noqa: S608 - a table of the schema
