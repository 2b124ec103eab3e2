"""The two engines and durable work, opened once a process."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rapport.errors import Conflict
from rapport.settings import Settings
from rapport.stores import backup, embedded, migrations, work
from rapport.stores import restore as restoring
from rapport.stores.clock import Clock
from rapport.stores.journal import Journal
from rapport.stores.postgres import Postgres, start_postgres
from rapport.stores.records import Records
from rapport.stores.warehouse import Warehouse

T = TypeVar("T")


@dataclass
class Stores:
    """What a process holds open. close() leaves nothing running. held: the open file that holds the data folder.

    closing ends what works on the engines, before they are closed.
    """

    settings: Settings
    records: Records
    warehouse: Warehouse
    clock: Clock = field(default_factory=Clock)
    postgres: Postgres | None = None
    working: bool = False
    held: int | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def journal(self) -> Journal:
        """What outlives the data folder."""
        return Journal(self.settings.kept_folder, self.settings.process, self.settings.kept_days)

    def start_work(self, listening: bool = True) -> None:
        """Begin durable work in this process: to carry it out, or (not listening) only to ask others for it."""
        if not self.working:
            work.start(self.records.url, self.settings.process, listening)
            self.working = True

    def backup(self, path: Path, progress: backup.Progress | None = None) -> backup.Written:
        """Write a backup of both engines. Raises Invalid, Unavailable."""
        said = {"taken_at": self.clock.now().isoformat(), "kept": str(self.journal.folder)}
        return backup.write(self.records, self.warehouse, path, said, progress)

    def close(self) -> None:
        """Stop work, close both engines and stop the embedded PostgreSQL."""
        self.closing.close()
        if self.working:
            work.stop()
        self.records.close()
        self.warehouse.close()
        if self.postgres is not None:
            self.postgres.stop()
        _let_go(self.held)


_current: Stores | None = None


def open_stores(settings: Settings, serving: bool = False) -> Stores:
    """Open both engines and bring them to the newest schema, after a backup when something is there already.

    serving: the process is a server, which others that want the folder are told. Raises Held for a data folder that
    another process has open, Unavailable: a wrong URL, a full disk, a newer schema.
    """
    global _current
    stores = _open_engines(settings, serving)
    try:
        if migrations.is_behind(stores.records, stores.warehouse):
            stores.backup(_before_migration(stores))
        migrations.migrate(stores.records, stores.warehouse)
    except BaseException:
        stores.close()
        raise
    _current = stores
    return stores


def restore(
    settings: Settings, path: Path, then: Callable[[Stores, dict[str, Any]], T], progress: backup.Progress | None = None
) -> T:
    """Load a backup into an empty data folder (or empty engines by URL) and bring it to the newest schema.

    then is called with the stores and the backup's manifest before they are closed; its answer is the answer.
    Raises Conflict for a folder that is not empty, Invalid for a bad file, Unavailable as open_stores does.
    A folder is left empty again when the restore fails.
    """
    checked = restoring.open_backup(path)
    data_dir = settings.data_dir.expanduser()
    if not settings.by_url and data_dir.exists() and any(data_dir.iterdir()):
        raise Conflict("The data folder is not empty: restore into a new one.")
    stores = _open_engines(settings)
    try:
        restoring.restore(checked, stores.records, stores.warehouse, progress)
        migrations.migrate(stores.records, stores.warehouse)
        answer = then(stores, checked.manifest)
    except BaseException:
        stores.close()
        if not settings.by_url:
            embedded.empty(data_dir)
        raise
    stores.close()
    return answer


def _open_engines(settings: Settings, serving: bool = False) -> Stores:
    data_dir = settings.data_dir if settings.by_url else embedded.prepare_data_dir(settings.data_dir)
    held = None if settings.by_url else embedded.hold(data_dir, serving)
    warehouse = postgres = None
    try:
        warehouse = Warehouse(
            settings.warehouse_url or embedded.warehouse_url(data_dir),
            settings.query_memory_bytes,
            settings.query_threads,
        )
        if not settings.records_url:
            postgres = start_postgres(data_dir)
        records = Records(settings.records_url or (postgres.address if postgres else ""))
        records.check()
    except BaseException:
        if warehouse is not None:
            warehouse.close()
        if postgres is not None:
            postgres.stop()
        _let_go(held)
        raise
    return Stores(settings, records, warehouse, postgres=postgres, held=held)


def _let_go(held: int | None) -> None:
    if held is not None:
        os.close(held)


def _before_migration(stores: Stores) -> Path:
    folder = stores.settings.data_dir.expanduser() / "backups"
    embedded.create(folder)
    revision = migrations.records_revision(stores.records)
    return folder / f"before-migration-from-{revision}-{stores.clock.now():%Y%m%dT%H%M%SZ}.rapport"


def current() -> Stores:
    """The stores of this process, for durable work that has only names and numbers as arguments."""
    if _current is None:
        raise RuntimeError("open_stores was not called in this process")
    return _current
