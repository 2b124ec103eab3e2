"""A backup back into empty engines: checked as a whole first, then loaded, then counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import text

from rapport.errors import Conflict, Invalid, Unavailable
from rapport.stores.backups import records_copy
from rapport.stores.backups.archive import CHUNK, RECORDS, RECORDS_TEXT, TABLE, Backup, Signature, open_backup, unpacked
from rapport.stores.backups.backup import Progress, records_rows
from rapport.stores.backups.backup_key import BackupKey
from rapport.stores.backups.records_copy import Described
from rapport.stores.migrations import check_records_revision, check_warehouse_version, migrate_records, tenant_databases
from rapport.stores.records import Records, records_text
from rapport.stores.warehouse import Database, Warehouse, identifier
from rapport.stores.warehouse.table_statements import require_table
from rapport.stores.workflows import pickled

COUNTS = "The backup is damaged: it does not hold the rows and tables that it says."


@dataclass(frozen=True)
class Verified:
    """A backup that was read as a whole and can be restored by this Rapport. taken_at is an instant, ISO 8601."""

    path: str
    bytes: int
    taken_at: str
    rapport: str
    tenants: int
    rows: int
    signature: Signature


def verify(path: Path, key: BackupKey | None = None) -> Verified:
    """Read a backup as a restore does, without an engine. Raises Invalid, and Unavailable for one of a newer Rapport.

    Every part has its checksum and can be unpacked, the records have as many rows as were saved, every table of the
    warehouse comes with its statement, and the schema is one that this Rapport knows.
    """
    backup = open_backup(path, key)
    manifest = backup.manifest
    _check_schemas(manifest)
    counted: Counter[str] = Counter()
    created: set[tuple[str, str]] = set()
    for name, content in backup.members():
        if match := TABLE.fullmatch(name):
            _check_statement(match[2], content)
            created.add((match[1], match[2]))
        elif match := CHUNK.fullmatch(name):
            unpacked(content, match[3])
    described, chunks = _records(backup)
    for table, chunk in chunks:
        counted[table] += chunk.count(b"\n")
    rows = manifest["rows"]
    # The version of the schema is counted, but it comes with the schema.
    if created != _saved(manifest) or any(counted[name] != rows["records"].get(name) for name in described["tables"]):
        raise Invalid(COUNTS)
    tenants, total = len(rows.keys() - {"records"}), sum(sum(tables.values()) for tables in rows.values())
    origin = (str(manifest.get("taken_at", "")), str(manifest.get("rapport", "")))
    return Verified(str(path), path.stat().st_size, *origin, tenants, total, backup.signature)


def _check_schemas(manifest: dict[str, Any]) -> None:
    """Raises Unavailable when a backup is of a newer Rapport."""
    check_records_revision(manifest["records_revision"])
    for version in manifest["warehouse_versions"].values():
        check_warehouse_version(version)


def restore(backup: Backup, records: Records, warehouse: Warehouse, progress: Progress | None = None) -> None:
    """Load a backup into engines that hold nothing. progress gets bytes done and in all.

    The schema of the records is made by the migrations, tables of the warehouse by statements that were checked; no
    other SQL comes from the file. Raises Conflict when the engines hold something, Invalid for a file that is not what
    a backup writes, Unavailable when the backup is newer than this Rapport or what was loaded does not count up to
    what was saved.
    """
    manifest = backup.manifest
    _check_schemas(manifest)
    if tenant_databases(warehouse):
        raise Conflict("The warehouse is not empty: restore into an empty one.")
    records_copy.clear(records)
    described, chunks = _records(backup)
    migrate_records(records, manifest["records_revision"])
    if any(name.startswith("dbos.") for name in described["tables"]):
        records_copy.make_durable(records)
    records_copy.load(records, described, chunks)
    pickled.require_plain(records)
    _load_warehouse(backup, warehouse, progress or (lambda done, total: None))
    _require_counts(manifest["rows"], records, warehouse)


def _records(backup: Backup) -> tuple[Described, Iterator[tuple[str, bytes]]]:
    """What there is to know of the records' tables, and their rows in chunks."""
    if backup.manifest["format"] == 1:
        return records_text.described(_text(backup)), records_text.rows(_text(backup))
    return backup.manifest["records"], _rows(backup)


def _text(backup: Backup) -> Iterator[bytes]:
    for name, content in backup.members():
        if match := RECORDS_TEXT.fullmatch(name):
            yield unpacked(content, match[1])


def _rows(backup: Backup) -> Iterator[tuple[str, bytes]]:
    for name, content in backup.members():
        if match := RECORDS.fullmatch(name):
            yield match[1], unpacked(content, match[2])


def _saved(manifest: dict[str, Any]) -> set[tuple[str, str]]:
    """Database and table of all that the warehouse had."""
    return {(name, table) for name, tables in manifest["rows"].items() if name != "records" for table in tables}


def _load_warehouse(backup: Backup, warehouse: Warehouse, progress: Progress) -> None:
    saved = _saved(backup.manifest)
    total = sum(member["bytes"] for member in backup.manifest["members"].values())
    done = 0
    for name in backup.manifest["rows"].keys() - {"records"}:
        warehouse.create_database(name)
    for name, content in backup.members():
        if match := TABLE.fullmatch(name) or CHUNK.fullmatch(name):
            database, table = match[1], match[2]
            if (database, table) not in saved:
                raise Invalid(COUNTS)
            try:
                _load_table(warehouse.database(database), name, table, content)
            except ClickHouseError as error:
                raise Invalid(f"The backup is damaged: its table {table} cannot be loaded.") from error
        done += len(content)
        progress(min(done, total), total)


def _load_table(database: Database, name: str, table: str, content: bytes) -> None:
    if match := CHUNK.fullmatch(name):
        database.insert_native(table, unpacked(content, match[3]))
    else:
        database.execute(_check_statement(table, content))


def _check_statement(table: str, content: bytes) -> str:
    """A table's statement. Raises Invalid when it is another."""
    statement = content.decode(errors="replace")
    require_table(table, statement)
    return statement


def _require_counts(rows: dict[str, dict[str, int]], records: Records, warehouse: Warehouse) -> None:
    with records.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        counted = records_rows(connection)
        restored = {"records": {table: counted.get(table, 0) for table in rows["records"]}}
    try:
        for database in tenant_databases(warehouse):
            restored[database.name] = {
                table: int(database.value(f"SELECT count() FROM {identifier(table)}"))  # noqa: S608 - ours
                for table in rows[database.name]
            }
    except (ClickHouseError, ValueError) as error:
        raise Invalid(COUNTS) from error
    if restored != rows:
        raise Unavailable("The number of restored rows differs from that of the backup.")
