"""rapport backup, restore, migrate, doctor, openapi."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands import server_file
from rapport.commands.connection import connected
from rapport.commands.output import DataDir, Json, print_json, progress, settings_of, show, show_rows
from rapport.errors import RapportError, Unavailable
from rapport.settings import Settings

if TYPE_CHECKING:
    from rapport.persons.service import Applied

# Engines are imported by the commands that open them: the others answer at once.

File = Annotated[Path, typer.Argument(help="The backup's file.")]
COLUMNS = ("name", "outcome", "detail")


def backup(file: File, data_dir: DataDir = None, json: Json = False) -> None:
    """Write both engines into one file, while everything runs."""
    body = {"path": str(file.absolute())}
    with connected(settings_of(data_dir)) as connection, progress("Backing up", json) as tell:
        written = connection.follow("/manage/v1/operator/backups", tell, body=body)
    rows = sum(count for tables in written["rows"].values() for count in tables.values())
    show(written, json, f"{written['path']}: {rows:,} rows, {written['bytes'] / 1e6:,.1f} MB")


def restore(file: File, data_dir: DataDir = None, json: Json = False) -> None:
    """Load a backup into an empty data folder."""
    from rapport import stores
    from rapport.persons import service as persons

    settings = settings_of(data_dir)
    with progress("Restoring", json) as tell:
        applied = stores.restore(settings, file, persons.apply, tell)
    folder = str(settings.data_dir.expanduser())
    show({"data_dir": folder, "applied": asdict(applied)}, json, f"Restored into {folder}. {_told(applied, settings)}")


def _told(applied: "Applied", settings: Settings) -> str:
    """What was applied of the time since the backup."""
    if not applied.journals:
        return (
            f"No journal of erasures and opt-outs was found in {settings.kept_folder}: whoever was erased or said no "
            "since the backup is back."
        )
    unknown = f" {applied.unknown} entries are of tenants that the backup does not have." if applied.unknown else ""
    return (
        f"Applied of the time since the backup: {applied.erased} persons erased, {applied.anonymised} anonymised, "
        f"{applied.wishes} opt-outs and other wishes.{unknown}"
    )


def migrate(data_dir: DataDir = None, json: Json = False) -> None:
    """Bring both engines to the newest schema, after a backup when there is something to do."""
    with connected(settings_of(data_dir)) as connection, progress("Migrating", json) as tell:
        done = connection.follow("/manage/v1/operator/migrations", tell)
    show_rows(done["checks"], COLUMNS, json)


def doctor(data_dir: DataDir = None, json: Json = False) -> None:
    """Look at engines, versions, disk space, permissions, the port and leftovers; exit code 1 when one failed."""
    from rapport.stores.checks import folder_checks

    settings = settings_of(data_dir)
    folder = settings.data_dir.expanduser()
    running = None if settings.by_url else server_file.read(folder)
    checks = [] if settings.by_url else folder_checks(folder, settings.kept_folder, running.pid if running else None)
    found = [asdict(check) for check in checks] + [_server(settings, running)] + _engines(settings)
    show_rows(found, COLUMNS, json)
    if any(check["outcome"] == "failed" for check in found):
        raise typer.Exit(1)


def openapi() -> None:
    """Print the OpenAPI document of everything; opens no engine."""
    from rapport.app import openapi_document

    print_json(openapi_document())


def _engines(settings: Settings) -> list[dict[str, Any]]:
    if not settings.by_url and not settings.data_dir.expanduser().exists():
        return []
    try:
        with connected(settings) as connection:
            checks: list[dict[str, Any]] = connection.call("GET", "/manage/v1/operator/checks")
    except RapportError as error:
        return [_check("engines", "failed", error.message)]
    return checks


def _server(settings: Settings, running: server_file.Running | None) -> dict[str, Any]:
    if running is not None:
        return _check("server", "ok", f"process {running.pid} at {running.base_url}")
    try:
        server_file.listen(settings.host, settings.port).close()
    except Unavailable as error:
        return _check("port", "warning", error.message)
    return _check("port", "ok", f"{settings.host}:{settings.port} is free")


def _check(name: str, outcome: str, detail: str) -> dict[str, Any]:
    return {"name": name, "outcome": outcome, "detail": detail}
