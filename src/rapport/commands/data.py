"""rapport import, rapport cycle."""

from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rapport.commands.connection import connected
from rapport.commands.options import day
from rapport.commands.output import DataDir, Json, Tenant, print_json, progress, settings_of, show, show_rows
from rapport.errors import Invalid

DayOption = partial(typer.Option, parser=day, metavar="YYYY-MM-DD")
cycles = typer.Typer(help="Run the daily cycle of a tenant.", no_args_is_help=True)


class Kind(StrEnum):
    """What a file holds."""

    customers = "customers"
    transactions = "transactions"
    items = "items"
    products = "products"
    activity = "activity"


class Mode(StrEnum):
    """Whether a file is all there is, or what is new."""

    full = "full"
    incremental = "incremental"


class BlankCells(StrEnum):
    """Whether a blank cell takes a value away, or leaves it."""

    clear = "clear"
    keep = "keep"


def import_files(
    kind: Annotated[Kind, typer.Argument(help="What the files contain.")],
    files: Annotated[list[Path], typer.Argument(help="CSV, JSON lines or Parquet files; may be .gz.")],
    tenant: Tenant,
    mapping: Annotated[Path | None, typer.Option(help="A mapping file, for other column names or formats.")] = None,
    mode: Annotated[
        Mode, typer.Option(help="incremental adds and updates rows; full replaces all rows.")
    ] = Mode.incremental,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Load the valid rows even if others are rejected.")
    ] = False,
    blank_cells: Annotated[
        BlankCells | None, typer.Option("--blank-cells", help="Whether a blank cell clears or keeps the stored value.")
    ] = None,
    confirm_removal: Annotated[
        bool, typer.Option("--confirm-removal", help="Allow a full load to remove many rows that its file lacks.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the files and show their first rows, without loading.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Load files, each completely or not at all. Exit code 1 if a file was not loaded, or had no valid row."""
    if mode is Mode.full and len(files) > 1:
        raise Invalid("A full import takes one file: each file would replace the one before.")
    options = {"kind": kind.value, "mode": mode.value} | {
        "allow_rejects": allow_rejects,
        "confirm_removal": confirm_removal,
        "dry_run": dry_run,
    }
    if blank_cells:
        options["blank_cells"] = blank_cells.value
    if mapping:
        options["mapping"] = str(mapping.absolute())
    results = []
    with connected(settings_of(data_dir)) as connection:
        tenant_id = connection.tenant(tenant)
        for file in files:
            with progress(file.name, as_json=json) as tell:
                body = options | {"path": str(file.absolute())}
                result = connection.follow("/manage/v1/operator/imports", tell, tenant_id, body)
            results.append({"file": str(file), **result})
            if not json:
                show(None, f"{file.name}: {_import_sentence(result)}", as_json=False)
                _show_preview(result["preview"])
                for warning in result["warnings"]:
                    show(None, f"  warning: {_warned(warning)}", as_json=False)
    if json:
        print_json(results)
    if not all(map(_has_succeeded, results)):
        raise typer.Exit(1)


def _has_succeeded(result: dict[str, Any]) -> bool:
    """Whether a file is as it was asked for; it is not where every row of it was refused."""
    if result["state"] == "loaded":
        return result["loaded"] > 0 or not result["rejected"]
    return result["state"] in ("unchanged", "checked")


def _show_preview(preview: dict[str, Any] | None) -> None:
    """The first rows of a dry run, a line for each column."""
    if not preview or not preview["rows"]:
        return
    rows, new_attributes = preview["rows"], preview["new_attributes"]
    names = [f"row {number}" for number in range(1, len(rows) + 1)]
    lines = [{"column": name} | {n: row[name] for n, row in zip(names, rows, strict=True)} for name in rows[0]]
    show_rows(lines, ["column", *names], as_json=False)
    if new_attributes:
        show(
            None,
            f"  new attributes: {', '.join(f'{name} ({kind})' for name, kind in new_attributes.items())}",
            as_json=False,
        )


def _import_sentence(result: dict[str, Any]) -> str:
    if result["state"] in ("needs_confirmation", "checked"):
        return str(result["message"]) + _counted(result["counts"])
    if result["unchanged"]:
        return "unchanged, it was loaded before"
    loaded = (
        f"{result['loaded']:,} {'row' if result['loaded'] == 1 else 'rows'} loaded, {result['rejected']:,} rejected"
    )
    reasons = f"; the reasons are in {result['rejects_path']}" if result["rejects_path"] else ""
    return f"{loaded}{_counted(result['counts'])}{reasons}{'; ' + result['message'] if result['message'] else ''}"


def _counted(counts: dict[str, Any]) -> str:
    """What an import did to its table, without what is none; columns that were ignored have a warning."""
    counted = [
        f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count and isinstance(count, int)
    ]
    return f" ({', '.join(counted)})" if counted else ""


def _warned(warning: dict[str, Any]) -> str:
    examples = ", ".join(warning["examples"])
    return f"{warning['message']} For example {examples}." if examples else str(warning["message"])


@cycles.command("run")
def run_cycles(
    tenant: Tenant,
    data_date: Annotated[date | None, DayOption("--date", help="Data date to process. Default: yesterday.")] = None,
    first: Annotated[date | None, DayOption("--from", help="First of several data dates.")] = None,
    last: Annotated[date | None, DayOption("--to", help="Last of several data dates.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Model a day of data and process its campaigns, or several days in order. You can run a day again.

    Campaigns of past days send their messages now: pause series that should not.
    """
    if (data_date and (first or last)) or bool(first) != bool(last):
        raise Invalid("Give --date, or --from and --to.")
    begin, end = first or data_date, last or data_date
    body = {"first": begin.isoformat(), "last": end.isoformat()} if begin and end else {}
    with connected(settings_of(data_dir), working=True) as connection:
        tenant_id = connection.tenant(tenant)
        with progress("Processing days", as_json=json) as tell:
            results = connection.follow("/manage/v1/operator/cycles", tell, tenant_id, body)
    show_rows(results, ("data_date", "state", "seconds"), as_json=json)
