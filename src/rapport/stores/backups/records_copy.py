"""The records' rows out of a database and into one, by COPY of the driver: over any connection, of any version.

The tables themselves are made by the migrations, of ours and of durable work.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from dbos import DBOS
from psycopg import sql
from sqlalchemy import Connection, text

from rapport.errors import Conflict, Invalid
from rapport.stores.records import Records
from rapport.stores.records.connecting import unhurried

SCHEMAS = ("public", "dbos")
# They say which schema there is; whoever makes it writes them.
VERSIONS = ("public.alembic_version", "dbos.dbos_migrations")
TABLES = text("""
    SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY(:schemas) ORDER BY schemaname, tablename
""")
# Columns that can be written, in order.
COLUMNS = text("""
    SELECT attname FROM pg_attribute
    WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
""")
REFERENCES = text("""
    SELECT pg_namespace.nspname AS schema, pg_class.relname AS table, pg_constraint.conname AS name,
        pg_get_constraintdef(pg_constraint.oid) AS definition
    FROM pg_constraint
    JOIN pg_class ON pg_class.oid = pg_constraint.conrelid
    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE pg_constraint.contype = 'f' AND pg_namespace.nspname = ANY(:schemas)
""")
SEQUENCES = text("""
    SELECT schemaname || '.' || sequencename AS name, last_value FROM pg_sequences WHERE schemaname = ANY(:schemas)
""")
SET_SEQUENCE = "SELECT setval(CAST(%(name)s AS regclass), %(value)s)"

Described = dict[str, Any]


def tables(connection: Connection) -> list[str]:
    """Every records table, durable work's included, as schema.table."""
    return list(connection.execute(TABLES, {"schemas": list(SCHEMAS)}).scalars())


def described(connection: Connection) -> Described:
    """What load() must know of what dump() gave: tables with their columns, and sequences that were used."""
    columns = {
        name: list(connection.execute(COLUMNS, {"table": name}).scalars())
        for name in tables(connection)
        if name not in VERSIONS
    }
    sequences = {name: value for name, value in _sequences(connection).items() if value is not None}
    return {"tables": columns, "sequences": sequences}


def _sequences(connection: Connection) -> dict[str, int | None]:
    """Every sequence and its last value; None for one that was not used yet."""
    return {row.name: row.last_value for row in connection.execute(SEQUENCES, {"schemas": list(SCHEMAS)})}


def dump(connection: Connection, table: str, columns: list[str], chunk_bytes: int) -> Iterator[bytes]:
    """The rows of a table in the connection's snapshot, as COPY writes them, in chunks."""
    buffer = bytearray()
    with _driver(connection).cursor() as cursor, cursor.copy(_copy(table, columns, "TO STDOUT")) as copy:
        for block in copy:
            buffer += block
            if len(buffer) >= chunk_bytes:
                yield bytes(buffer)
                buffer.clear()
    if buffer:
        yield bytes(buffer)


def load(records: Records, described: Described, chunks: Iterable[tuple[str, bytes]]) -> None:
    """Put rows into tables that hold none, in one transaction. chunks: those of dump() with their table, in any order.

    Raises Invalid when a table, a column, a sequence or a row does not fit the schema.
    """
    with records.engine.begin() as connection:
        unhurried(connection)
        own = _driver(connection)
        if not _is_known(connection, described):
            raise Invalid("The backup is damaged: its records have tables that no Rapport has.")
        names = sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in described["tables"])
        own.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        try:
            with _unreferenced(connection):
                for table, chunk in chunks:
                    _load(own, table, described, chunk)
            for name, value in described["sequences"].items():
                own.execute(SET_SEQUENCE, {"name": name, "value": value})
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            raise Invalid("The backup is damaged: its records do not fit their tables.") from error


def _is_known(connection: Connection, described: Described) -> bool:
    """Whether tables and sequences are those of the schema, whose versions are not written."""
    own, sequences = set(tables(connection)) - set(VERSIONS), set(_sequences(connection))
    return own >= set(described["tables"]) and sequences >= set(described["sequences"])


def _load(own: psycopg.Connection[Any], table: str, described: Described, chunk: bytes) -> None:
    if table not in described["tables"]:
        raise Invalid("The backup is damaged: it has rows of a table that it does not name.")
    with own.cursor() as cursor, cursor.copy(_copy(table, described["tables"][table], "FROM STDIN")) as copy:
        copy.write(chunk)


@contextmanager
def _unreferenced(connection: Connection) -> Iterator[None]:
    """Without the tables' references to each other, which are looked at once, when all rows are there."""
    references = connection.execute(REFERENCES, {"schemas": list(SCHEMAS)}).all()
    own = _driver(connection)
    parts = [(sql.Identifier(row.schema, row.table), sql.Identifier(row.name), row.definition) for row in references]
    for table, name, _ in parts:
        own.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, name))
    yield
    for table, name, definition in parts:
        # The definition is the database's own, in words that this connection reads.
        added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(table, name)
        own.execute(added + sql.SQL(definition))


def make_durable(records: Records) -> None:
    """Make the tables of durable work."""
    DBOS.migrate(records.url)


def clear(records: Records) -> None:
    """Take away the tables of an installation that holds nothing. Raises Conflict for any other database."""
    from rapport.stores.models import metadata  # with it come the packages above this one

    ours = {f"public.{name}" for name in metadata.tables} | {"public.alembic_version"}
    with records.engine.begin() as connection:
        present = tables(connection)
        others = [name for name in present if name.startswith("public.") and name not in ours]
        tenants = "SELECT count(*) FROM tenants"
        if others or ("public.tenants" in present and connection.execute(text(tenants)).scalar_one()):
            raise Conflict("The records database is not empty: restore into an empty one.")
        for name in present:
            if name in ours:
                _driver(connection).execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(*name.split("."))))
        connection.execute(text("DROP SCHEMA IF EXISTS dbos CASCADE"))


def _copy(table: str, columns: list[str], way: str) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    # A format for text: what one version of PostgreSQL writes any other reads.
    return sql.SQL("COPY {} ({}) " + way).format(sql.Identifier(*table.split(".")), names)


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.dbapi_connection  # also of one that has left its pool
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - tells the type checker
    return driver
