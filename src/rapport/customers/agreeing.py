"""What the records say of attributes, brought back to what the tables hold after a change of them was cut off."""

from dataclasses import replace

from sqlalchemy import update

from rapport.access.scope import Scope
from rapport.customers.attributes import BUILT_IN, COLUMN_TYPES, attributes, forget, save
from rapport.customers.models import Import
from rapport.customers.states import STORED_SOURCES
from rapport.stores.warehouse import identifier

CORE = frozenset(info.real_field_name for info in BUILT_IN)
TYPES = {column: field_type for field_type, column in COLUMN_TYPES.items()}


def agree(scope: Scope) -> None:
    """Enter the types that columns have, and forget attributes without one. Call it under locks.writing.

    Tables are exchanged in one statement, so they say whether a change took place; the records may not know it yet.
    """
    columns, changed = scope.warehouse.columns("customers"), False
    for info in attributes(scope).values():
        if info.real_field_name in CORE or info.source not in STORED_SOURCES:
            continue
        column = columns.get(info.real_field_name)
        if column is None:
            scope.warehouse.execute(f"ALTER TABLE profiles DROP COLUMN IF EXISTS {identifier(info.real_field_name)}")
            forget(scope, info)
        elif column != COLUMN_TYPES[info.field_type] and column in TYPES:
            save(scope, replace(info, field_type=TYPES[column], forms=(), max_length=None))
        else:
            continue
        changed = True
    if changed:
        reopen(scope, "customers")


def reopen(scope: Scope, kind: str) -> None:
    """Let files that were loaded before be loaded again: what they would change is not what it was."""
    with scope.records() as session:
        of_kind = update(Import).where(Import.tenant_id == scope.tenant_id, Import.kind == kind)
        session.execute(of_kind.values(mapping_sha256=""))
