"""rapport backup, restore, migrate, doctor, openapi."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapport.commands import server_file
from rapport.commands.connection import connected
from rapport.commands.output import DataDir, Json, people, print_json, progress, settings_of, show, show_rows
from rapport.errors import Invalid, RapportError, Unavailable
from rapport.settings import Settings

if TYPE_CHECKING:
    from rapport.persons.restored import Applied

# Engines are imported by the commands that open them: the others answer at once.

File = Annotated[Path, typer.Argument(help="Path of the backup file.")]
COLUMNS = ("name", "outcome", "detail")
SIGNATURES = {
    "VALID": "It is signed with the key.",
    "MISSING": "It is not signed: nothing says who wrote it.",
    "OTHER_KEY": "It is signed with another key.",
    "NOT_CHECKED": "Its signature was not checked: RAPPORT_BACKUP_KEY_FILE is not set.",
}


def backup(
    file: File,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check whether a backup can be restored; writes nothing.")
    ] = False,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the backup with the server's backup key.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write a backup of both databases into one file while everything runs, or verify one."""
    if verify:
        _verify(file, settings_of(data_dir), json)
        return
    body = {"path": str(file.absolute()), "encrypt": encrypt}
    with connected(settings_of(data_dir)) as connection, progress("Backing up", as_json=json) as tell:
        manifest = connection.follow("/manage/v1/operator/backups", tell, body=body)
    rows = sum(count for tables in manifest["rows"].values() for count in tables.values())
    show(manifest, f"{manifest['path']}: {rows:,} rows, {manifest['bytes'] / 1e6:,.1f} MB", as_json=json)


def _verify(file: Path, settings: Settings, as_json: bool) -> None:
    from rapport.stores.backups.backup_key import backup_key
    from rapport.stores.backups.restore import verify

    verified = verify(file, backup_key(settings))
    size = f"{verified.tenants} tenants, {verified.rows:,} rows, {verified.bytes / 1e6:,.1f} MB"
    message = (
        f"{verified.path} can be restored: taken at {verified.taken_at} by Rapport {verified.rapport}, {size}. "
        f"{SIGNATURES[verified.signature.name]}"
    )
    show(asdict(verified), message, as_json=as_json)


def restore(
    file: File,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Accept a backup that is not signed with the configured key.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Restore a backup into an empty data folder."""
    from rapport import stores
    from rapport.persons import restored

    settings = settings_of(data_dir)
    with progress("Restoring", as_json=json) as tell:
        applied, signature = stores.restore(
            settings,
            file,
            lambda opened, restored_backup: (
                restored.apply(opened, restored_backup.manifest),
                restored_backup.signature,
            ),
            tell,
            unsigned=unsigned,
        )
    folder = str(settings.data_dir.expanduser())
    message = (
        f"Restored into {_where(settings, folder)}. {SIGNATURES[signature.name]} "
        f"{_applied_sentence(applied, settings)} "
        "Nothing is sent until `rapport resume`."
    )
    show({"data_dir": folder, "signature": signature, "applied": asdict(applied)}, message, as_json=json)


def _where(settings: Settings, folder: str) -> str:
    """Which engines a restore went to."""
    by_url = [name for name in ("records", "warehouse") if getattr(settings, f"{name}_url")]
    if settings.by_url:
        return "the engines by URL"
    return f"{folder} and the {by_url[0]} by URL" if by_url else folder


def _applied_sentence(applied: "Applied", settings: Settings) -> str:
    """What was applied of the time since the backup."""
    if not applied.journals:
        return (
            f"No journal of erasures and opt-outs was found in {settings.kept_folder}: whoever was erased or opted out "
            "since the backup is back."
        )
    unknown = f" {applied.unknown} entries are of tenants that the backup does not have." if applied.unknown else ""
    erased = "1 person" if applied.erased == 1 else f"{applied.erased} persons"
    return (
        f"Applied of the time since the backup: {erased} erased, {applied.anonymised} anonymised, "
        f"{applied.wishes} opt-outs and other wishes, {applied.ended} keys, users and tokens ended.{unknown}"
    )


def resume(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Release what a restore holds back: mail, posts, triggers, the schedule. Lists it and asks first.

    Exit code 1 if sending is still held, by RAPPORT_OUTBOUND=off.
    """
    with connected(settings_of(data_dir)) as connection:
        waiting = connection.call("GET", "/manage/v1/operator/held")
        if waiting["since"] and not yes:
            if json:
                print_json(waiting)
                raise Invalid(NOTHING_CHANGED)
            _ask(_about_to_leave(waiting))
        done = connection.call("POST", "/manage/v1/operator/resume")
    if not done["held"]:
        show(done, "What was held is being sent.", as_json=json)
        return
    if json:
        print_json(done)
    raise Unavailable(STILL_HELD)


STILL_HELD = (
    "Sending is still held in this process by RAPPORT_OUTBOUND=off. Set it to on, or unset it, and start again."
)
NOTHING_CHANGED = "Nothing was changed: use --yes to release what is held."


def _about_to_leave(waiting: dict[str, Any]) -> str:
    """What a resume lets go out, in sentences."""
    named = ", ".join(waiting["campaigns"])
    more = ", ..." if waiting["open_campaigns"] > len(waiting["campaigns"]) else ""
    campaigns = f" (tenant/campaign: {named}{more})" if named else ""
    sentences = [
        f"{waiting['reason']}.",
        f"Waiting to be sent: {waiting['messages']:,} messages of {waiting['open_campaigns']:,} campaigns{campaigns}, "
        f"{waiting['firings']:,} firings and {waiting['firing_messages']:,} messages of triggers, "
        f"{waiting['deliveries']:,} deliveries to listeners.",
        f"Active and running automatically: {waiting['active_series']:,} series and {waiting['active_triggers']:,} "
        f"triggered campaigns, for which {waiting['events']:,} events wait.",
    ]
    taken_at = waiting["backup_taken_at"]
    since = f"on {taken_at[:19].replace('T', ' ')} UTC" if taken_at else "that was restored"
    sentences.append(
        f"Messages sent after the backup was taken {since} are not recorded here and would be sent again: "
        "cancel those campaigns and pause their series first."
    )
    return "\n".join(sentences)


def _ask(question: str) -> None:
    """Go on when a person says so. Raises Invalid where there is none to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Invalid(f"{question}\n{NOTHING_CHANGED}")
    people.print(question, highlight=False, soft_wrap=True, markup=False, emoji=False)
    typer.confirm("Send it now?", abort=True)


def migrate(data_dir: DataDir = None, json: Json = False) -> None:
    """Migrate both databases to the newest schema, after a backup if anything has to change."""
    settings = settings_of(data_dir)
    with connected(settings, upgrading=True) as connection, progress("Migrating", as_json=json) as tell:
        done = connection.follow("/manage/v1/operator/migrations", tell)
    show_rows(done["checks"], COLUMNS, as_json=json)


def doctor(data_dir: DataDir = None, json: Json = False) -> None:
    """Check databases, versions, disk space, permissions, the port, backups and keys. Exit code 1 if a check failed."""
    from rapport.stores.checks import folder_checks

    settings = settings_of(data_dir)
    folder = settings.data_dir.expanduser()
    running = None if settings.by_url else server_file.read(folder)
    checks = [] if settings.by_url else folder_checks(folder, settings.kept_folder, running.pid if running else None)
    outcomes = [asdict(check) for check in checks] + [_server(settings, running)] + _engines(settings)
    show_rows(outcomes, COLUMNS, as_json=json)
    if any(check["outcome"] == "failed" for check in outcomes):
        raise typer.Exit(1)


def openapi() -> None:
    """Print the OpenAPI document of both APIs."""
    from rapport.app import openapi_document

    print_json(openapi_document())


def _engines(settings: Settings) -> list[dict[str, Any]]:
    if not settings.by_url and not settings.data_dir.expanduser().exists():
        return []
    from rapport import stores

    try:
        # Whoever looks at engines by URL must not upgrade what others run on.
        if settings.records_url and (engine_checks := stores.look(settings)) is not None:
            return [asdict(check) for check in engine_checks]
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
