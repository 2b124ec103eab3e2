"""A backup back into empty engines: checked as a whole first, then loaded, then counted."""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import text

from rapport.errors import Conflict, Invalid, Unavailable
from rapport.stores import postgres_tools
from rapport.stores.backup import FORMAT, MANIFEST, Progress, records_rows
from rapport.stores.faults import explained
from rapport.stores.migrations import check_records_revision, check_warehouse_version, tenant_databases
from rapport.stores.records import Records
from rapport.stores.warehouse import Warehouse, identifier

TABLE = re.compile(r"warehouse/(rapport_\d+)/(\w+)\.sql")
CHUNK = re.compile(r"warehouse/(rapport_\d+)/(\w+)/\d{5}\.(\d+)\.zst")
RECORDS = re.compile(r"records/\d{5}\.(\d+)\.zst")


@dataclass(frozen=True)
class Backup:
    """A backup file whose every member has the checksum that its manifest says."""

    path: Path
    manifest: dict[str, Any]

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each member, in the order they were written."""
        with tarfile.open(self.path, "r:") as tar:
            for info in tar:
                file = tar.extractfile(info)
                yield info.name, file.read() if file else b""


def open_backup(path: Path) -> Backup:
    """Read a backup through and check it. Raises Invalid when it is none, is cut off or was changed."""
    found: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    try:
        for name, content in Backup(path, {}).members():
            if name == MANIFEST:
                manifest = json.loads(content)
            else:
                found[name] = hashlib.sha256(content).hexdigest()
    except FileNotFoundError as error:
        raise Invalid(f"There is no file {path}.") from error
    except OSError as error:
        raise explained(error) or Invalid(f"The backup cannot be read: {error.strerror}.") from error
    except (tarfile.TarError, ValueError) as error:
        raise Invalid("The file is not a Rapport backup, or is damaged.") from error
    if not manifest:
        raise Invalid("The file is not a Rapport backup, or is cut off.")
    if manifest["format"] > FORMAT:
        raise Invalid("The backup was written by a newer Rapport: upgrade this one.")
    if found != {name: member["sha256"] for name, member in manifest["members"].items()}:
        raise Invalid("The backup is damaged: a part of it does not have its checksum.")
    return Backup(path, manifest)


def restore(backup: Backup, records: Records, warehouse: Warehouse, progress: Progress | None = None) -> None:
    """Load a backup into engines that hold nothing. progress gets bytes done and in all.

    Raises Conflict when the engines hold something, Unavailable when the backup is newer than this
    Rapport or what was loaded does not count up to what was saved.
    """
    manifest = backup.manifest
    check_records_revision(records, manifest["records_revision"])
    for version in manifest["warehouse_versions"].values():
        check_warehouse_version(version)
    _require_empty(records, warehouse)
    tell = progress or (lambda done, total: None)
    total = sum(member["bytes"] for member in manifest["members"].values())
    done = 0
    postgres_tools.load(records.url, _records_text(backup))
    for name in manifest["rows"].keys() - {"records"}:
        warehouse.create_database(name)
    for name, content in backup.members():
        _load_table(warehouse, name, content)
        done += len(content)
        tell(min(done, total), total)
    _require_counts(manifest["rows"], records, warehouse)


def _require_empty(records: Records, warehouse: Warehouse) -> None:
    with records.engine.connect() as connection:
        if records_rows(connection):
            raise Conflict("The records database is not empty: restore into an empty one.")
    if tenant_databases(warehouse):
        raise Conflict("The warehouse is not empty: restore into an empty one.")


def _records_text(backup: Backup) -> Iterator[bytes]:
    for name, content in backup.members():
        if match := RECORDS.fullmatch(name):
            yield pa.decompress(content, int(match[1]), codec="zstd", asbytes=True)


def _load_table(warehouse: Warehouse, name: str, content: bytes) -> None:
    if match := TABLE.fullmatch(name):
        warehouse.database(match[1]).execute(content.decode())
    elif match := CHUNK.fullmatch(name):
        body = pa.decompress(content, int(match[3]), codec="zstd", asbytes=True)
        warehouse.database(match[1]).insert_native(match[2], body)


def _require_counts(rows: dict[str, dict[str, int]], records: Records, warehouse: Warehouse) -> None:
    with records.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        found = {"records": records_rows(connection)}
    for database in tenant_databases(warehouse):
        found[database.name] = {
            table: int(database.value(f"SELECT count() FROM {identifier(table)}"))  # noqa: S608
            for table in rows[database.name]
        }
    if found != rows:
        raise Unavailable("The restored rows do not count up to those of the backup.")
