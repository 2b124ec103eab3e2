"""What the command line asks of a running server: long work, answered as JSON lines (see api.streaming).

Files are named by their path on the server's machine, where the caller is too.
"""

from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.auth import admin, operator
from rapport.api.streaming import Progress, stream
from rapport.campaigns import service as campaigns
from rapport.customers import service as customers
from rapport.errors import Invalid
from rapport.stores import Stores, migrations
from rapport.stores.checks import Check, engine_checks

router = APIRouter(prefix="/manage/v1/operator", tags=["Management: operator"])

LONGEST_RUN = timedelta(days=3660)


class BackupIn(BaseModel):
    """Where the backup goes."""

    path: Annotated[str, Field(min_length=1, examples=["/backups/monday.rapport"])]


class ImportIn(BaseModel):
    """A file to load."""

    kind: Literal["customers", "transactions", "items", "products", "activity"]
    path: Annotated[str, Field(min_length=1, examples=["/data/customers.csv"])]
    mapping: Annotated[str | None, Field(description="Path of a mapping file")] = None
    mode: Literal["full", "incremental"] = "incremental"
    allow_rejects: Annotated[bool, Field(description="Load the good rows of a file that has bad ones")] = False
    blank_cells: Annotated[Literal["clear", "keep"] | None, Field(description="None: as the mapping says")] = None
    confirm_removal: Annotated[bool, Field(description="A full load may remove any number of rows")] = False


class CycleIn(BaseModel):
    """Days to process, the first and the last; both yesterday when left out."""

    first: date | None = None
    last: date | None = None


@router.post("/backups", summary="Write a backup of all tenants", response_class=StreamingResponse)
def write_backup(body: BackupIn, stores: Stores = Depends(operator)) -> StreamingResponse:  # noqa: B008
    """Write a backup while the server runs; progress counts rows."""

    def work(progress: Progress) -> dict[str, Any]:
        written = stores.backup(Path(body.path), progress)
        return {"path": written.path, "bytes": written.bytes, "rows": written.rows}

    return stream("backup", work)


def operated(principal: Principal = Depends(admin), _stores: Stores = Depends(operator)) -> Scope:  # noqa: B008
    """A dependency: the scope of the tenant that the operator names."""
    return principal.scope


@router.post("/imports", summary="Load a file", response_class=StreamingResponse)
def load_file(body: ImportIn, scope: Scope = Depends(operated)) -> StreamingResponse:  # noqa: B008
    """Load a file of the server's machine; progress counts bytes or rows."""
    given = customers.read_mapping(Path(body.mapping)) if body.mapping else None
    mapping = customers.with_blank_cells(given, body.blank_cells)

    def work(progress: Progress) -> dict[str, Any]:
        path = Path(body.path)
        result = customers.import_file(
            scope, body.kind, path, mapping, body.mode, body.allow_rejects, progress, body.confirm_removal
        )
        return asdict(result) | {"rejects_path": str(result.rejects_path) if result.rejects_path else None}

    return stream("import", work)


@router.post("/cycles", summary="Process days", response_class=StreamingResponse)
def run_cycles(body: CycleIn, scope: Scope = Depends(operated)) -> StreamingResponse:  # noqa: B008
    """Process a tenant's days in order; progress counts days."""
    first = body.first or scope.today() - timedelta(days=1)
    last = body.last or first
    if not first <= last <= first + LONGEST_RUN:
        raise Invalid("The last day must not be before the first, nor more than ten years after it.")

    def work(progress: Progress) -> list[dict[str, Any]]:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        results = []
        for number, day in enumerate(days, 1):
            result = campaigns.run_cycle(scope, day)
            results.append(asdict(result) | {"seconds": result.seconds})
            progress(number, len(days))
        return results

    return stream("cycle", work)


@router.post("/migrations", summary="Bring both engines to the newest schema", response_class=StreamingResponse)
def migrate(stores: Stores = Depends(operator)) -> StreamingResponse:  # noqa: B008
    """Run what a start runs; a server that answers has done it already, so this usually changes nothing."""

    def work(progress: Progress) -> dict[str, Any]:
        migrations.migrate(stores.records, stores.warehouse)
        customers.convert_all(stores)
        progress(1, 1)
        return {"checks": [asdict(check) for check in _checks(stores)]}

    return stream("migrate", work)


@router.get("/checks", summary="Versions and schemas of both engines")
def list_checks(stores: Stores = Depends(operator)) -> list[Check]:  # noqa: B008
    """What rapport doctor shows of the engines."""
    return _checks(stores)


def _checks(stores: Stores) -> list[Check]:
    return [*engine_checks(stores.records, stores.warehouse), *customers.conversion_checks(stores)]
