"""One person: export of everything that tables of the warehouse hold, and full erasure from them.

Which tables of other packages those are is told by whoever calls: see access.personal_data.
"""

from collections.abc import Collection, Iterable
from typing import Any

import orjson

from rapport.access.pseudonyms import pseudonym, pseudonyms
from rapport.access.scope import Scope
from rapport.customers.importing import imports, rejects
from rapport.customers.privacy import anonymisation
from rapport.customers.privacy.hidden_rows import leave_disk
from rapport.customers.writes import attribute_requests, attribute_times, locks
from rapport.customers.writes.attribute_writes import spelling, spellings
from rapport.stores.warehouse import identifier

ERASED = "customer_id IN (SELECT customer_id FROM erase_ids)"


def export(scope: Scope, customer_id: str, tables: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Everything that tables hold of a person: table name to rows; without rows when nobody has the id."""
    rows_by_table: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        sql = f"SELECT * FROM {identifier(table)} WHERE lowerUTF8(customer_id) = lowerUTF8({{id:String}})"  # noqa: S608 - a table of the schema
        rows_by_table[table] = orjson.loads(scope.warehouse.json_rows(sql, {"id": customer_id}))
    return rows_by_table


def is_removed(scope: Scope, customer_id: str) -> bool:
    """Whether a person's identifying data was removed, or the whole person erased."""
    return pseudonym(scope, customer_id) in anonymisation.removed_pseudonyms(scope)


def is_erased(scope: Scope, customer_id: str) -> bool:
    """Whether a person was erased and has not come back: the id must be written nowhere."""
    return is_removed(scope, customer_id) and spelling(scope, customer_id) is None


def erased_among(scope: Scope, customer_ids: Collection[str]) -> set[str]:
    """The same of many: those of ids whose persons were erased and have not come back."""
    by_pseudonym = dict(zip(pseudonyms(scope, customer_ids), customer_ids, strict=True))
    removed = [by_pseudonym[key] for key in anonymisation.removed_among(scope, by_pseudonym)]
    known = spellings(scope, removed)
    return {customer_id for customer_id in removed if customer_id.lower() not in known}


def erase(scope: Scope, customer_id: str, tables: Iterable[str]) -> int:
    """Take a person out of tables of the warehouse and of what customers hold besides; may be repeated.

    How many rows of the tables those were; whoever erases tells the audit log.

    The id is remembered by pseudonym, so that whoever comes back under it stays anonymous. `purge` clears the disk.
    """
    stored_id = spelling(scope, customer_id) or customer_id
    with locks.writing(scope):
        anonymisation.remember_removed(scope, [pseudonym(scope, customer_id)])
        anonymisation.stage_ids(scope, sorted({stored_id, customer_id}))
        own = anonymisation.texts_of_staged(scope)
        rows = sum(delete_staged(scope, table) for table in tables)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    rejects.forget(scope, [stored_id, customer_id], own)
    attribute_requests.forget(scope, customer_id)
    attribute_times.forget(scope, customer_id)
    imports.forget(scope, customer_id)
    return rows


def purge(scope: Scope, marks: list[str], tables: Collection[str]) -> None:
    """Take erased persons out of what was written to tables meanwhile, and their bytes off the disk. May be repeated.

    marks are pseudonyms. Raises Away when the records went away meanwhile, so that others may have written.
    """
    with locks.no_imports(scope), locks.writing(scope):
        anonymisation.stage_known(scope, marks, tables)
        for table in tables:
            delete_staged(scope, table)
        locks.require_writing(scope)
        scope.warehouse.execute("DROP TABLE erase_ids SYNC")
    anonymisation.rewrite(scope)
    for table in tables:
        leave_disk(scope, table)


def delete_staged(scope: Scope, table: str) -> int:
    """Hide the rows of the persons in erase_ids; how many those are. Call it under locks.writing."""
    rows = int(scope.warehouse.value(f"SELECT count() FROM {identifier(table)} WHERE {ERASED}"))  # noqa: S608 - a table of the schema
    if rows:
        scope.warehouse.execute(f"DELETE FROM {identifier(table)} WHERE {ERASED}")  # noqa: S608 - a table of the schema
    return rows
