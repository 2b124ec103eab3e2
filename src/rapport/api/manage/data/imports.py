"""Management of imports: upload a file, see what became of it, and what must have come before a day is computed."""

import re
import shutil
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, File, Form, Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import FileResponse

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import only_known_fields
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.customers.importing import imports, load_checks
from rapport.customers.importing import mapping as customer_mapping
from rapport.customers.importing.load_checks import KindChecks, LoadCheck, LoadCheckFailed
from rapport.errors import NotFound

router = SectionRouter("Management: data in", "/manage/v1", JsonRoute)
Kind = Literal["customers", "transactions", "items", "products", "activity"]
Limit = Annotated[int, Query(ge=1, le=1000)]
BlankCells = Literal["clear", "keep"]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]


class WarningOut(BaseModel):
    """A likely mistake in a file, with a count and a few examples. It does not stop the import."""

    code: str = Field(examples=["similar_ids"])
    message: str
    count: int = Field(description="Number of rows, IDs or columns concerned")
    examples: list[str] = Field(examples=[["'17850' and '17850.0'"]])


class ImportOut(BaseModel):
    """A file that was loaded, refused, failed, checked (a dry run), needs confirmation, or was unchanged."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: Kind
    file_name: str = Field(examples=["customers.csv.gz"])
    sha256: str
    mode: Literal["full", "incremental"]
    state: Literal["running", "loaded", "refused", "failed", "unchanged", "needs_confirmation", "checked"]
    message: str
    loaded: int
    rejected: int
    counts: dict[str, Any]
    warnings: list[WarningOut]
    started_at: datetime
    finished_at: datetime | None


class FilePreviewOut(BaseModel):
    """The first rows of a dry run as they would be stored, by column, and the attributes that would be created."""

    model_config = ConfigDict(from_attributes=True)

    rows: list[dict[str, str | None]]
    new_attributes: dict[str, str] = Field(examples=[{"LOYALTY_TIER": "Nvarchar"}], description="Name and type")


class ImportMade(ImportOut):
    """An import, with the preview of a dry run."""

    preview: FilePreviewOut | None = None


class ChecksOut(BaseModel):
    """The load checks of a data date."""

    data_date: date
    passed: bool
    checks: list[LoadCheck]


@router.post(
    "/imports", status_code=201, summary="Import a file", dependencies=[Depends(admin), Depends(only_known_fields)]
)
def create_import(
    file: Annotated[UploadFile, File(description="CSV, JSON lines or Parquet, each also as .gz")],
    kind: Annotated[Kind, Form()],
    mode: Annotated[Literal["full", "incremental"], Form()] = "incremental",
    allow_rejects: Annotated[bool, Form()] = False,
    confirm_removal: Annotated[bool, Form(description="A full load may remove any number of rows")] = False,
    mapping: Annotated[str, Form(description="A mapping as YAML text")] = "",
    blank_cells: Annotated[BlankCells | None, Form(description="What a blank cell does to a stored value")] = None,
    dry_run: Annotated[bool, Form(description="Check the file and show its first rows; change nothing")] = False,
    principal: Principal = Depends(admin),  # noqa: B008
) -> ImportMade:
    """All or nothing: if rows are refused, nothing is loaded, unless allow_rejects is set.

    A full load that would remove everything, or more than the share files.removal_share, changes nothing and answers
    with the state needs_confirmation; load it again with confirm_removal.
    """
    base_mapping = customer_mapping.read_mapping(mapping) if mapping.strip() else None
    parsed = customer_mapping.with_blank_cells(base_mapping, blank_cells)
    with tempfile.TemporaryDirectory(prefix="rapport-upload-") as folder:
        path = Path(folder) / (re.sub(r"[^\w.-]", "_", file.filename or "")[-200:] or "upload.csv")
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        result = imports.import_file(
            principal.scope,
            kind,
            path,
            parsed,
            mode,
            allow_rejects=allow_rejects,
            confirm_removal=confirm_removal,
            dry_run=dry_run,
        )
    created = ImportMade.model_validate(imports.import_of(principal.scope, result.import_id))
    preview = FilePreviewOut.model_validate(result.preview) if result.preview else None
    return created.model_copy(update={"preview": preview})


@router.get("/imports", summary="List imports")
def list_imports(
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ImportOut]:
    """Newest first."""
    return imports.imports(principal.scope, limit, offset).each(ImportOut.model_validate)


@router.get("/imports/{import_id}", summary="Get an import")
def get_import(import_id: int, principal: Principal = Depends(admin)) -> ImportOut:  # noqa: B008
    """404 for an unknown one."""
    return ImportOut.model_validate(imports.import_of(principal.scope, import_id))


@router.get("/imports/{import_id}/rejects", summary="Download the rejected rows", response_class=FileResponse)
def get_rejects(import_id: int, principal: Principal = Depends(admin)) -> FileResponse:  # noqa: B008
    """CSV: line, column, reason, value. 404 when no row was refused."""
    path = imports.import_of(principal.scope, import_id).rejects_path
    if path is None or not Path(path).is_file():
        raise NotFound(f"Import {import_id} has no rejects.")
    return FileResponse(path, media_type="text/csv", filename=Path(path).name)


@router.get("/load-checks", summary="Get the load checks")
def get_load_checks(principal: Principal = Depends(admin)) -> dict[Kind, KindChecks]:  # noqa: B008
    """By kind of file; a kind without checks is absent."""
    return load_checks.load_checks(principal.scope)  # type: ignore[return-value]


@router.put("/load-checks", summary="Set the load checks")
def put_load_checks(
    body: dict[Kind, KindChecks],
    principal: Principal = Depends(admin),  # noqa: B008
) -> dict[Kind, KindChecks]:
    """Replaces all of them."""
    checks = {kind: kind_checks.model_dump() for kind, kind_checks in body.items()}
    return load_checks.set_load_checks(principal.scope, checks)  # type: ignore[return-value, arg-type]


@router.get("/load-checks/{data_date}", summary="Check the loads of a data date")
def run_load_checks(data_date: date, principal: Principal = Depends(admin)) -> ChecksOut:  # noqa: B008
    """Returns what the daily cycle of that date would find."""
    try:
        checks = load_checks.check_loads(principal.scope, data_date)
    except LoadCheckFailed as failure:
        return ChecksOut(data_date=data_date, passed=False, checks=failure.checks)
    return ChecksOut(data_date=data_date, passed=True, checks=checks)
