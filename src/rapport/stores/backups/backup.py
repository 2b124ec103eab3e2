"""A logical copy of both engines in one file, and the way back into an empty folder.

The file is a tar: each records table as COPY writes it (durable work included, so that what was
under way goes on after a restore), each warehouse table as its CREATE statement and Native blocks,
and a manifest with versions, row counts and a checksum of every member. Chunks keep memory constant.

The records' snapshot is taken before the warehouse's: what the warehouse then has in advance is
what durable work will write again, which every step is safe to do.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import Connection, text

from rapport import private
from rapport.errors import Invalid, Unavailable
from rapport.stores.backups import records_copy
from rapport.stores.backups.archive import FORMAT, MANIFEST, signed
from rapport.stores.backups.backup_key import BackupKey
from rapport.stores.backups.encryption import EncryptingWriter
from rapport.stores.faults import refused_path
from rapport.stores.migrations import records_revision, tenant_databases, warehouse_version
from rapport.stores.records import Records
from rapport.stores.records.connecting import unhurried
from rapport.stores.warehouse import Database, Warehouse, identifier

Progress = Callable[[int, int], None]
Rows = dict[str, dict[str, int]]

CHUNK_BYTES = 16 * 1024 * 1024
CHUNK_ROWS = 1_000_000
COPY_SUFFIX = "__backup"
# What a backup that met an outage could not drop.
COPIES_LEFT = "SELECT name FROM system.databases WHERE match(name, '^rapport_[0-9]+__backup$')"
# What is told of a table that is gone: where it is looked for, and where its definition is.
GONE = (60, 390)
SUPPORT_IS_DISABLED = 344
COPY_ATTEMPTS = 5
ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
# What moves from one table to another meanwhile (visitors' events to those of customers) must be in one of the copies
# at least, so that the table that it leaves is copied first; that it came twice is told by its number.
TABLES_TO_COPY = """
    SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name = 'visitor_events' DESC, name
"""
PATCHES = """
    SELECT count() FROM system.parts
    WHERE database = currentDatabase() AND table = {table:String} AND active AND startsWith(partition_id, 'patch-')
"""


@dataclass
class Written:
    """What a backup holds: row counts by database and table, and the file's size in bytes."""

    path: str
    rows: Rows
    bytes: int


@dataclass(frozen=True)
class Protection:
    """What keeps a backup from others: with a key it is signed, and encrypted when that is wanted."""

    key: BackupKey | None = None
    encrypted: bool = False

    def __post_init__(self) -> None:
        if self.encrypted and self.key is None:
            raise Invalid("encrypt needs a key: set RAPPORT_BACKUP_KEY_FILE for the server.")

    def signed(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """What is written of a manifest."""
        return signed(manifest, self.key) if self.key else manifest

    @contextmanager
    def content(self, file: BinaryIO) -> Iterator[Any]:
        """What the tar is written to."""
        if not self.encrypted or self.key is None:
            yield file
            return
        writer = EncryptingWriter(file, self.key)
        yield writer
        writer.finish()


@dataclass
class _Archive:
    """The tar being written, and what its manifest will say of the members."""

    tar: tarfile.TarFile
    members: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o600
        self.tar.addfile(info, io.BytesIO(content))
        self.members[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def add_packed(self, name: str, content: bytes) -> None:
        packed = pa.compress(content, codec="zstd", asbytes=True)
        self.add(f"{name}.{len(content)}.zst", packed)


def write(
    records: Records,
    warehouse: Warehouse,
    path: Path,
    description: dict[str, Any],
    protection: Protection,
    progress: Progress | None = None,
) -> Written:
    """Write a backup while everything runs; the description goes into its manifest.

    Raises Invalid when the file is there already, Unavailable for a full disk, and a folder that is missing or closed.
    """
    if _is_there(path):
        raise Invalid(f"{path.name} exists already: name another file.")
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb", opener=private.opener) as file:
            with protection.content(file) as content:
                rows = _write(
                    records, warehouse, content, description, protection, progress or (lambda done, total: None)
                )
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise refused_path(path, error, "written") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return Written(str(path), rows, path.stat().st_size)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise refused_path(path, error, "written") from error


def _write(
    records: Records,
    warehouse: Warehouse,
    file: Any,
    description: dict[str, Any],
    protection: Protection,
    progress: Progress,
) -> Rows:
    rows: Rows = {}
    with tarfile.open(fileobj=file, mode="w|") as tar, records.engine.connect() as connection:
        archive = _Archive(tar)
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        unhurried(connection)
        rows["records"] = records_rows(connection)
        described = records_copy.described(connection)
        with _copies(warehouse) as copies:
            for table, columns in described["tables"].items():
                for number, chunk in enumerate(records_copy.dump(connection, table, columns, CHUNK_BYTES)):
                    archive.add_packed(f"records/{table}/{number:05}", chunk)
            counted = _Counter(sum(sum(_counts(copy).values()) for _, copy in copies), progress)
            for name, copy in copies:
                rows[name] = _write_database(archive, name, copy, counted)
            versions = {name: warehouse_version(copy) for name, copy in copies}
        manifest = {
            **description,
            "format": FORMAT,
            "rapport": version("rapport"),
            "records_revision": records_revision(records),
            "records": described,
            "warehouse_versions": versions,
            "rows": rows,
            "members": archive.members,
        }
        archive.add(MANIFEST, json.dumps(protection.signed(manifest)).encode())
    return rows


def _write_database(archive: _Archive, name: str, copy: Database, counted: "_Counter") -> dict[str, int]:
    rows: dict[str, int] = {}
    for table, create in _tables(copy):
        archive.add(f"warehouse/{name}/{table}.sql", create.encode())
        rows[table] = 0
        for number, (count, chunk) in enumerate(_chunks(copy, table)):
            archive.add_packed(f"warehouse/{name}/{table}/{number:05}", chunk)
            rows[table] += count
            counted.add(count)
    if rows != _counts(copy):
        raise Unavailable("The warehouse changed while it was copied: nothing was kept, try again.")
    return rows


def _counts(copy: Database) -> dict[str, int]:
    """Rows of every table that are not deleted."""
    return {
        table: int(copy.value(f"SELECT count() FROM {identifier(table)}"))  # noqa: S608 - named by the schema
        for table, _ in _tables(copy)
    }


@dataclass
class _Counter:
    """Tells progress of a known number of rows."""

    total: int
    progress: Progress
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.total)


def records_rows(connection: Connection) -> dict[str, int]:
    """Rows of every records table, durable work's included."""
    counts = {}
    for name in records_copy.tables(connection):
        schema, table = name.split(".")
        count = text(f"SELECT count(*) FROM {identifier(schema)}.{identifier(table)}".replace("`", '"'))  # noqa: S608 - ours
        counts[f"{schema}.{table}"] = int(connection.execute(count).scalar_one())
    return counts


@contextmanager
def _copies(warehouse: Warehouse) -> Iterator[list[tuple[str, Database]]]:
    """Tenants' databases as they are now, by hard links: (name, copy). Dropped at the end."""
    copies: list[tuple[str, Database]] = []
    try:
        for (left,) in warehouse.database("default").rows(COPIES_LEFT):
            warehouse.drop_database(left)
        for source in tenant_databases(warehouse):
            copy = warehouse.create_database(source.name + COPY_SUFFIX)
            copies.append((source.name, copy))
            for (table,) in source.rows(TABLES_TO_COPY):
                _copy(source, copy, table)
        yield copies
    finally:
        for _, copy in copies:
            warehouse.drop_database(copy.name)


def _copy(source: Database, copy: Database, table: str) -> None:
    for attempt in range(COPY_ATTEMPTS):
        # A copy links to parts, so updates that still lie beside them are made part of them first; one
        # that comes in between is met at the next attempt.
        if source.value(PATCHES, table=table):
            source.execute(f"ALTER TABLE {identifier(table)} APPLY PATCHES")
        try:
            _clone(source, copy, table)
            return
        except ClickHouseError as error:
            if error.code != SUPPORT_IS_DISABLED or attempt == COPY_ATTEMPTS - 1:
                raise
            copy.execute(f"DROP TABLE IF EXISTS {identifier(table)} SYNC")


def _clone(source: Database, copy: Database, table: str) -> None:
    original = f"{identifier(source.name)}.{identifier(table)}"
    try:
        if _has_parts(source, table):
            copy.execute(f"CREATE TABLE {identifier(table)} CLONE AS {original}")
            copy.execute(f"SYSTEM STOP MERGES {identifier(copy.name)}.{identifier(table)}")
        else:
            copy.execute(f"CREATE TABLE {identifier(table)} AS {original}")
            copy.execute(f"INSERT INTO {identifier(table)} SELECT * FROM {original}")  # noqa: S608 - named by the schema
    except ClickHouseError as error:
        if error.code not in GONE:
            raise
        # A table that was built aside: it is swapped in or dropped by now.
        copy.execute(f"DROP TABLE IF EXISTS {identifier(table)} SYNC")


def _has_parts(database: Database, table: str) -> bool:
    """Whether a table is kept in parts. Small working tables of a day or a write under way are kept otherwise."""
    return str(database.value(ENGINE, table=table) or "").endswith("MergeTree")


def _tables(copy: Database) -> list[tuple[str, str]]:
    """Table name and CREATE statement without the database's name."""
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    return [(name, re.sub(r"^CREATE TABLE \S+?\.", "CREATE TABLE ", create)) for name, create in copy.rows(sql)]


def _chunks(copy: Database, table: str) -> Iterator[tuple[int, bytes]]:
    """A table in Native blocks of bounded size: (rows, bytes). One that has no parts is small and one block."""
    if not _has_parts(copy, table):
        if count := copy.value(f"SELECT count() FROM {identifier(table)}"):  # noqa: S608 - named by the schema
            yield count, copy.native(f"SELECT * FROM {identifier(table)}")  # noqa: S608 - named by the schema
        return
    parts = copy.rows(
        """
        SELECT name, rows, data_uncompressed_bytes FROM system.parts
        WHERE database = currentDatabase() AND table = {table:String}
          AND active AND rows > 0 AND NOT startsWith(name, 'patch')
        ORDER BY name
        """,
        table=table,
    )
    where = "WHERE _part = {part:String} AND _part_offset >= {first:UInt64} AND _part_offset < {end:UInt64}"
    for part, rows, size in parts:
        step = max(1, min(CHUNK_ROWS, rows * CHUNK_BYTES // max(size, 1)))
        for first in range(0, rows, step):
            bounds = {"part": part, "first": first, "end": first + step}
            count = copy.value(f"SELECT count() FROM {identifier(table)} {where}", **bounds)  # noqa: S608 - ours
            if count:
                yield count, copy.native(f"SELECT * FROM {identifier(table)} {where}", **bounds)  # noqa: S608 - ours
