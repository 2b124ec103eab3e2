"""rapport import, rapport cycle."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rapport.commands.connection import connected
from rapport.commands.output import DataDir, Json, Tenant, print_json, progress, settings_of, show
from rapport.errors import Invalid


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


def import_files(
    kind: Annotated[Kind, typer.Argument(help="What the files hold.")],
    files: Annotated[list[Path], typer.Argument(help="CSV, JSON lines or Parquet, also .gz.")],
    tenant: Tenant,
    mapping: Annotated[Path | None, typer.Option(help="A file that maps columns.")] = None,
    mode: Annotated[Mode, typer.Option(help="full replaces what is there.")] = Mode.incremental,
    allow_rejects: Annotated[bool, typer.Option("--allow-rejects", help="Load the good rows of a bad file.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Load files, each wholly or not at all; exit code 1 when one was rejected."""
    if mode is Mode.full and len(files) > 1:
        raise Invalid("A full import takes one file: each would replace the one before.")
    options = {"kind": kind.value, "mode": mode.value, "allow_rejects": allow_rejects}
    if mapping:
        options["mapping"] = str(mapping.absolute())
    results = []
    with connected(settings_of(data_dir)) as connection:
        for file in files:
            with progress(file.name, json) as tell:
                body = options | {"path": str(file.absolute())}
                result = connection.follow("/manage/v1/operator/imports", tell, tenant, body)
            results.append({"file": str(file), **result})
            if not json:
                show(None, False, f"{file.name}: {_told(result)}")
    if json:
        print_json(results)
    if any(result["state"] not in ("loaded", "unchanged") for result in results):
        raise typer.Exit(1)


def _told(result: dict[str, Any]) -> str:
    if result["unchanged"]:
        return "unchanged, it was loaded before"
    told = f"{result['loaded']:,} rows loaded, {result['rejected']:,} rejected"
    reasons = f"; the reasons are in {result['rejects_path']}" if result["rejects_path"] else ""
    return f"{told}{reasons}{'; ' + result['message'] if result['message'] else ''}"
