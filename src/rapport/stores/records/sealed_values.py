"""All values of the records that are sealed, wherever they are: with which keys, and sealed with another."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, String, Table, func, select, text, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB

from rapport.errors import Invalid
from rapport.stores.records import Records
from rapport.stores.records.sealing import PREFIX, Keys, Sealed, SealedMembers

COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"


def _columns() -> Iterator[tuple[Table, Column[Any], Any]]:
    """Every sealed column with an expression of its text as it is stored."""
    from rapport.stores.models import metadata

    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Sealed):
                yield table, column, type_coerce(column, String)
            elif isinstance(column.type, SealedMembers):
                for member in sorted(column.type.members()):
                    yield table, column, type_coerce(column, JSONB)[member].astext


def sealed_with(records: Records) -> set[str]:
    """The ids of the keys that stored values are sealed with."""
    with records.reading() as connection:
        return _sealed_with(connection)


def _sealed_with(connection: Connection) -> set[str]:
    key_ids: set[str] = set()
    # An older schema, of which a backup is taken before it is upgraded, lacks some.
    there = {(row[0], row[1]) for row in connection.execute(text(COLUMNS))}
    for table, column, stored in _columns():
        if (table.name, column.name) not in there:
            continue
        key_ids.update(
            connection.scalars(select(func.split_part(stored, ":", 2)).where(stored.like(f"{PREFIX}%")).distinct())
        )
    return key_ids


def _is_left(stored: Any, keys: Keys) -> Any:
    """Whether a stored value is not sealed with the first key."""
    return (stored != "") & stored.not_like(f"{PREFIX}{keys.first}:%")


def left(connection: Connection, keys: Keys) -> int:
    """How many values are not sealed with the first key; 0 without a key."""
    if not keys.keys:
        return 0
    counts = (select(func.count()).where(_is_left(stored, keys)) for _, _, stored in _columns())
    return sum(connection.scalar(count) or 0 for count in counts)


def seal_all(connection: Connection, keys: Keys) -> Counter[int]:
    """Seal what is not sealed with the first key; how many values of each tenant. Raises Invalid without a key."""
    if not keys.keys:
        raise Invalid("RAPPORT_SECRET_KEY or RAPPORT_SECRET_KEY_FILE must be set: there is no key to seal with.")
    sealed: Counter[int] = Counter()
    for table, column, stored in _columns():
        names = {*table.primary_key.columns, table.c.tenant_id, column}
        statement = select(*names).where(_is_left(stored, keys))
        for row in connection.execute(statement.with_for_update(key_share=True)).mappings().all():
            this = [key_column == row[key_column.name] for key_column in table.primary_key.columns]
            connection.execute(update(table).where(*this).values({column: row[column.name]}))
            sealed[row["tenant_id"]] += 1
    return sealed
