"""What `rapport doctor` asks of open engines and of the folder they live in."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from rapport.settings import Settings
from rapport.stores import holds
from rapport.stores.backups import backup_log
from rapport.stores.clock import OUTSIDE
from rapport.stores.local import disk
from rapport.stores.local.disk import GIGABYTE
from rapport.stores.local.postgres import postmaster
from rapport.stores.migrations import records_revision, warehouse_versions
from rapport.stores.opened import OpenStores
from rapport.stores.records import Records, sealed_values, sealing
from rapport.stores.warehouse import Warehouse
from rapport.stores.workers.presence import FAR_AHEAD, KEEP_TIME, processes


@dataclass(frozen=True)
class Check:
    """The result of one check: "ok", "warning" (it works, but needs attention) or "failed"."""

    name: str
    outcome: Literal["ok", "warning", "failed"]
    detail: str


def engine_checks(records: Records, warehouse: Warehouse) -> list[Check]:
    """Versions and schemas of both engines. Raises Unavailable when one does not answer."""
    with records.engine.connect() as connection:
        server = connection.execute(text("SHOW server_version")).scalar_one()
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        living = processes(connection)
    versions = warehouse_versions(warehouse)
    stand = f"tenants: {len(versions)}, schema {sorted(set(versions))}"
    kind = "embedded" if warehouse.embedded else "server"
    engine = warehouse.database("default").value("SELECT version()")
    return [
        Check("records", "ok", f"PostgreSQL {server}, schema {records_revision(records)}, {size / GIGABYTE:.2f} GB"),
        Check("warehouse", "ok", f"ClickHouse {engine} ({kind}), {stand}"),
        _processes(living),
    ]


def _processes(living: dict[str, int]) -> Check:
    processes = ", ".join(f"{number} {role}" for role, number in living.items() if role != "console")
    if any(living.values()) and not (living["worker"] and living["scheduler"]):
        return Check("processes", "warning", f"{processes}: without a worker and a scheduler nothing is carried out")
    return Check("processes", "ok", processes if any(living.values()) else "none serves")


def backup_check(records: Records) -> Check:
    """The last good backup, of records whose schema is the newest."""
    last = backup_log.last(records)
    if last is None:
        return Check("backup", "warning", "none was written yet: `rapport backup FILE`")
    hours = (OUTSIDE.now() - last.taken_at).total_seconds() / 3600
    return Check("backup", "ok", f"{last.path}, {hours:.1f} hours old, {last.bytes / GIGABYTE:.3f} GB")


def clock_check(records: Records) -> Check:
    """Whether the clock of this machine, by which campaigns go, is that of the records database."""
    seconds = OUTSIDE.keep_with(records.time).total_seconds()
    offset = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the records database"
    is_far = abs(seconds) > FAR_AHEAD.total_seconds()
    return Check("clock", "warning", f"{offset}: {KEEP_TIME}") if is_far else Check("clock", "ok", offset)


def outbound_check(stores: OpenStores) -> Check:
    """Whether what goes out is held, and why, as far as the process that is asked knows."""
    reason = holds.why_held(stores)
    return Check("outbound", "warning", str(reason)) if reason else Check("outbound", "ok", "what is due goes out")


def secrets_check(settings: Settings, records: Records) -> Check:
    """Whether the secrets in the records are sealed, and the key is not beside them."""
    file = settings.secret_key_file
    if file and not settings.by_url and file.expanduser().resolve().is_relative_to(settings.data_dir.resolve()):
        return Check("secrets", "warning", "RAPPORT_SECRET_KEY_FILE is in the data folder: whoever has one has both")
    if not records.keys.keys:
        return Check("secrets", "warning", sealing.NO_KEY)
    with records.reading() as connection:
        left = sealed_values.left(connection, records.keys)
    if left:
        return Check("secrets", "warning", f"{left} are not sealed with the first key: `rapport secrets seal`")
    return Check("secrets", "ok", f"sealed with key {records.keys.first}")


def folder_checks(data_dir: Path, kept: Path, served_by: int | None) -> list[Check]:
    """The data folder: there, writable, with room; what a killed process left. served_by is the server's process.

    kept is where erasures and opt-outs outlive the data.
    """
    if not data_dir.exists():
        return [Check("folder", "warning", f"{data_dir} is not there yet; the first start makes it")]
    checks = [_permission(data_dir), _room(data_dir), _kept(data_dir, kept), _left(data_dir, served_by)]
    parts = list(data_dir.glob("**/*.part"))
    if parts:
        checks.append(Check("unfinished files", "warning", f"{len(parts)} left by a stopped backup or copy"))
    return checks


def _permission(data_dir: Path) -> Check:
    if os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        return Check("folder", "ok", str(data_dir))
    if disk.is_read_only(data_dir):
        return Check("folder", "failed", f"the file system of {data_dir} is read-only")
    return Check("folder", "failed", f"{data_dir} may not be written by this user")


def _room(data_dir: Path) -> Check:
    usage = shutil.disk_usage(data_dir)
    detail = f"{usage.free / GIGABYTE:.1f} of {usage.total / GIGABYTE:.1f} GB free"
    if usage.free < disk.NONE_LEFT:
        return Check("disk", "failed", f"{detail}: nothing can be written, make room")
    return Check("disk", "ok" if usage.free >= disk.LOW else "warning", detail)


def _kept(data_dir: Path, kept: Path) -> Check:
    if kept.is_relative_to(data_dir.resolve()):
        fault = f"{kept} is lost with the data folder, and a restore then knows none: set RAPPORT_KEPT_DIR"
        return Check("erasures and opt-outs", "warning", fault)
    if os.access(kept if os.path.exists(kept) else kept.parent, os.R_OK | os.W_OK | os.X_OK):
        return Check("erasures and opt-outs", "ok", str(kept))
    return Check("erasures and opt-outs", "failed", f"{kept} may not be written by this user: set RAPPORT_KEPT_DIR")


def _left(data_dir: Path, served_by: int | None) -> Check:
    process = postmaster(data_dir / "records")
    if process is not None and served_by is None:
        return Check("leftovers", "warning", f"PostgreSQL {process.pid} of an ended process; the next start adopts it")
    return Check("leftovers", "ok", "none")
