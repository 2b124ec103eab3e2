"""What `rapport doctor` asks of open engines and of the folder they live in."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from rapport.stores.migrations import records_revision, tenant_databases, warehouse_version
from rapport.stores.postgres import postmaster
from rapport.stores.records import Records
from rapport.stores.warehouse import Warehouse

GIGABYTE = 1024**3
LOW_DISK = 2 * GIGABYTE


@dataclass(frozen=True)
class Check:
    """One thing looked at: "ok", "warning" (works, look at it) or "failed"."""

    name: str
    outcome: Literal["ok", "warning", "failed"]
    detail: str


def engine_checks(records: Records, warehouse: Warehouse) -> list[Check]:
    """Versions and schemas of both engines. Raises Unavailable when one does not answer."""
    with records.engine.connect() as connection:
        server = connection.execute(text("SHOW server_version")).scalar_one()
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    databases = tenant_databases(warehouse)
    versions = sorted({warehouse_version(database) for database in databases})
    kind = "embedded" if warehouse.embedded else "server"
    engine = warehouse.database("default").value("SELECT version()")
    return [
        Check("records", "ok", f"PostgreSQL {server}, schema {records_revision(records)}, {size / GIGABYTE:.2f} GB"),
        Check("warehouse", "ok", f"ClickHouse {engine} ({kind}), {len(databases)} tenants, schema {versions}"),
    ]


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
    return Check("folder", "failed", f"{data_dir} may not be written by this user")


def _room(data_dir: Path) -> Check:
    usage = shutil.disk_usage(data_dir)
    detail = f"{usage.free / GIGABYTE:.1f} of {usage.total / GIGABYTE:.1f} GB free"
    return Check("disk", "ok" if usage.free >= LOW_DISK else "warning", detail)


def _kept(data_dir: Path, kept: Path) -> Check:
    if kept.is_relative_to(data_dir.resolve()):
        told = f"{kept} is lost with the data folder, and a restore then knows none: set RAPPORT_KEPT_DIR"
        return Check("erasures and opt-outs", "warning", told)
    if os.access(kept if kept.exists() else kept.parent, os.R_OK | os.W_OK | os.X_OK):
        return Check("erasures and opt-outs", "ok", str(kept))
    return Check("erasures and opt-outs", "failed", f"{kept} may not be written by this user: set RAPPORT_KEPT_DIR")


def _left(data_dir: Path, served_by: int | None) -> Check:
    process = postmaster(data_dir / "records")
    if process is not None and served_by is None:
        return Check("leftovers", "warning", f"PostgreSQL {process.pid} of an ended process; the next start adopts it")
    return Check("leftovers", "ok", "none")
