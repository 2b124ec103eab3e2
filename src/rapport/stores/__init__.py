"""The two engines and durable work, opened once a process."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rapport.errors import Conflict, Unavailable
from rapport.settings import Settings
from rapport.stores import holds, migrations
from rapport.stores.backups import archive, backup, backup_log
from rapport.stores.backups import restore as restoring
from rapport.stores.backups.backup_key import backup_key
from rapport.stores.backups.journal import Journal
from rapport.stores.checks import Check, engine_checks
from rapport.stores.clock import OUTSIDE, Clock
from rapport.stores.local import embedded
from rapport.stores.local.postgres import Postgres, end_postgres, start_postgres
from rapport.stores.records import Records
from rapport.stores.records.sealed_values import sealed_with
from rapport.stores.records.sealing import keys_of, require
from rapport.stores.warehouse import Warehouse
from rapport.stores.workers.base import Workers
from rapport.stores.workers.presence import Presence
from rapport.stores.workflows import work

T = TypeVar("T")
OLDER_SCHEMA = "The engines have the schema of an older Rapport: run `rapport migrate`."


@dataclass
class Stores:
    """What a process holds open. close() leaves nothing running. held: the open file that holds the data folder.

    here: this process by its name, from when it carries out durable work.
    workers are those of this process; those that are left are stopped before the engines are closed.
    """

    settings: Settings
    records: Records
    warehouse: Warehouse
    clock: Clock = field(default_factory=Clock)
    postgres: Postgres | None = None
    here: Presence | None = None
    held: int | None = None
    workers: Workers = field(default_factory=Workers)

    @property
    def journal(self) -> Journal:
        """What outlives the data folder."""
        return Journal(self.settings.kept_folder, self.settings.process, self.settings.kept_days)

    @property
    def api_processes(self) -> int:
        """How many processes answer the API of these engines, this one included."""
        return self.here.api_processes if self.here else 1

    def start_work(self, *, listening: bool = True) -> None:
        """Begin durable work in this process: to carry it out, or (not listening) only to ask others for it.

        Raises Unavailable when another process has the name of this one, which would take its work for its own.
        """
        if self.here is None:
            own = self.settings
            here = Presence(self.workers, self.records, own.process)
            here.enter()
            self.here = here
            connections, hurried = own.work_connections, self.records.hurried
            work.start(
                self.records.url, own.process, connections, own.outage_hours, listening=listening, hurried=hurried
            )

    def play(self, roles: frozenset[str]) -> None:
        """Have this process counted under its roles."""
        if self.here is not None:
            self.here.play(roles)

    def _back_up(
        self, path: Path, progress: backup.Progress | None = None, encrypted: bool = False
    ) -> tuple[datetime, backup.Written]:
        """A backup that is not entered yet, and when it was begun."""
        protection = backup.Protection(backup_key(self.settings), encrypted)
        began = OUTSIDE.now()
        description = {
            "taken_at": self.clock.now().isoformat(),
            "kept": str(self.journal.folder),
            "sealed_with": sorted(sealed_with(self.records)),
        }
        return began, backup.write(self.records, self.warehouse, path, description, protection, progress)

    def backup(self, path: Path, progress: backup.Progress | None = None, *, encrypted: bool = False) -> backup.Written:
        """Write a backup of both engines, signed where there is a key. Raises Invalid, Unavailable.

        Once it is written an outage of the records does not undo it: its entry waits for their return.
        """
        written = self._back_up(path, progress, encrypted)
        work.waiting(backup_log.note, "backup.note")(self.records, *written)
        return written[1]

    def close(self) -> None:
        """Stop work, close both engines and stop the embedded PostgreSQL."""
        self.workers.stop()
        if self.here is not None:
            work.stop()
            self.here.stop()
        self.records.close()
        self.warehouse.close()
        if self.postgres is not None:
            self.postgres.stop()
        _let_go(self.held)


_current: Stores | None = None


def open_stores(settings: Settings, *, serving: bool = False, upgrading: bool = True, hurried: bool = False) -> Stores:
    """Open both engines and bring them to the newest schema, after a backup when something is there already.

    serving: the process is a server, which others that want the folder are told. Without upgrading, an older schema
    of engines by URL is left as it is, since others may be running on it. hurried: for work that is begun again from
    nothing when it is interrupted, commits to the records do not wait for the disk. Raises Held for a data folder that
    another process has open, Unavailable: a wrong URL, a full disk, a newer schema, an older one that is left, a
    missing key.
    """
    global _current
    backup_key(settings)  # one that cannot be used is told now, and not at night
    stores = _open_engines(settings, serving, hurried)
    try:
        migrations.migrate(stores.records, stores.warehouse, _before_migration(stores, upgrading))
        require(stores.records.keys, sealed_with(stores.records))
    except BaseException:
        stores.close()
        raise
    _current = stores
    return stores


def look(settings: Settings) -> list[Check] | None:
    """What there is to say of engines whose schema is not made or not the newest; None when it is. Changes nothing.

    Raises Held, Unavailable as open_stores does.
    """
    stores = _open_engines(settings)
    try:
        revision = migrations.records_revision(stores.records)
        if revision is not None and not migrations.is_behind(stores.records, stores.warehouse):
            return None
        state = (
            "The schema is not made yet" if revision is None else f"The schema is that of an older Rapport ({revision})"
        )
        step = Check("schema", "warning", f"{state}: `rapport migrate` or a server brings it to the newest")
        return [*engine_checks(stores.records, stores.warehouse), step]
    finally:
        stores.close()


def restore(
    settings: Settings,
    path: Path,
    then: Callable[[Stores, archive.Backup], T],
    progress: backup.Progress | None = None,
    *,
    unsigned: bool = False,
) -> T:
    """Load a backup into an empty data folder (or empty engines by URL) and bring it to the newest schema.

    What goes out is held from then on, until it is resumed.
    unsigned: though there is a key, the backup need not be signed with it.
    then is called with the stores and the backup before they are closed; its answer is the answer.
    Raises Conflict for a folder that is not empty, Invalid for a bad file, Unavailable as open_stores does, and
    without the key that the backup's secrets are sealed with.
    A folder is left empty again when the restore fails.
    """
    checked = archive.open_backup(path, backup_key(settings))
    if not unsigned:
        checked.require_signed()
    require(keys_of(settings), set(checked.manifest.get("sealed_with", ())))
    data_dir = settings.data_dir.expanduser()
    if not settings.by_url and data_dir.exists() and any(data_dir.iterdir()):
        raise Conflict("The data folder is not empty: restore into a new one.")
    stores = _open_engines(settings)
    try:
        restoring.restore(checked, stores.records, stores.warehouse, progress)
        migrations.migrate(stores.records, stores.warehouse)
        taken_at = checked.manifest.get("taken_at")
        holds.hold(stores.records, stores.clock.now(), datetime.fromisoformat(taken_at) if taken_at else None)
        answer = then(stores, checked)
    except BaseException:
        stores.close()
        if not settings.by_url:
            embedded.empty(data_dir)
        raise
    stores.close()
    return answer


def _open_engines(settings: Settings, serving: bool = False, hurried: bool = False) -> Stores:
    keys = keys_of(settings)
    data_dir = settings.data_dir if settings.by_url else embedded.prepare_data_dir(settings.data_dir)
    held = None if settings.by_url else embedded.hold(data_dir, serving=serving)
    warehouse = postgres = None
    try:
        warehouse = Warehouse(
            settings.warehouse_url or embedded.warehouse_url(data_dir),
            settings.query_memory_bytes,
            settings.query_threads,
        )
        if not settings.records_url:
            postgres = start_postgres(data_dir)
        address = settings.records_url or (postgres.address if postgres else "")
        records = Records(address, settings.most_connections, keys, hurried=hurried)
        records.check()
        if settings.records_url:
            records.require_sessions()
        OUTSIDE.keep_with(records.time)
    except BaseException:
        if warehouse is not None:
            warehouse.close()
        if not settings.records_url:
            end_postgres(data_dir)
        _let_go(held)
        raise
    return Stores(settings, records, warehouse, postgres=postgres, held=held)


def _let_go(held: int | None) -> None:
    if held is not None:
        os.close(held)


def _before_migration(stores: Stores, upgrading: bool) -> Callable[[], Callable[[], None]]:
    """What is done before the schema changes: a backup. It answers what enters it, once there is a place for that."""

    def before() -> Callable[[], None]:
        if not upgrading and (stores.settings.records_url or stores.settings.warehouse_url):
            raise Unavailable(OLDER_SCHEMA)
        written = stores._back_up(_place_of_before(stores))
        return lambda: backup_log.note(stores.records, *written)

    return before


def _place_of_before(stores: Stores) -> Path:
    folder = stores.settings.upgrade_backups
    embedded.create(folder)
    revision = migrations.records_revision(stores.records)
    return folder / f"before-migration-from-{revision}-{stores.clock.now():%Y%m%dT%H%M%SZ}.rapport"


def current() -> Stores:
    """The stores of this process, for durable work that has only names and numbers as arguments."""
    if _current is None:
        raise RuntimeError("open_stores was not called in this process")
    return _current
