"""What the command line asks of a running server: long work, answered as JSON lines (see api.streaming).

Files are named by their path on the server's machine, where the caller is too.
"""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from rapport.access.keys import keys_check
from rapport.access.scope import Scope
from rapport.access.secrets import seal_secrets
from rapport.api.http.auth import operated, operator
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.streaming import Progress, stream
from rapport.api.sections import SectionRouter
from rapport.campaigns.cycle import daily, measuring
from rapport.customers import consent_marks
from rapport.customers.importing import imports
from rapport.customers.importing import mapping as customer_mapping
from rapport.errors import Invalid
from rapport.notifications import service as notifications
from rapport.realtime import retention
from rapport.stores import Stores, holds, migrations
from rapport.stores.checks import Check, backup_check, clock_check, engine_checks, outbound_check, secrets_check

router = SectionRouter("Management: operator", "/manage/v1/operator", JsonRoute)

LONGEST_RUN = timedelta(days=3660)


class BackupIn(Body):
    """Where the backup goes."""

    path: Annotated[str, Field(min_length=1, examples=["/backups/monday.rapport"])]
    encrypt: Annotated[bool, Field(description="Encrypt it with the key of RAPPORT_BACKUP_KEY_FILE")] = False


class ImportIn(Body):
    """A file to load."""

    kind: Literal["customers", "transactions", "items", "products", "activity"]
    path: Annotated[str, Field(min_length=1, examples=["/data/customers.csv"])]
    mapping: Annotated[str | None, Field(description="Path of a mapping file")] = None
    mode: Literal["full", "incremental"] = "incremental"
    allow_rejects: Annotated[bool, Field(description="Load the valid rows even if others are rejected")] = False
    blank_cells: Annotated[Literal["clear", "keep"] | None, Field(description="null: as the mapping says")] = None
    confirm_removal: Annotated[bool, Field(description="A full load may remove any number of rows")] = False
    dry_run: Annotated[bool, Field(description="Check the file and show its first rows; change nothing")] = False


class HeldOut(BaseModel):
    """Whether and why sending is held, and what would be sent once it is released. Times are UTC."""

    held: bool
    reason: str = ""
    since: Annotated[datetime | None, Field(description="Since when sending is held after a restore")] = None
    backup_taken_at: Annotated[
        datetime | None, Field(description="Messages that were sent after this time would be sent again")
    ] = None
    open_campaigns: Annotated[int, Field(description="Runs of campaigns that are under way or due")]
    campaigns: Annotated[list[str], Field(description="The first hundred: tenant/campaign", examples=[["3001/17"]])]
    messages: Annotated[int, Field(description="Unsent messages of these campaigns")]
    active_series: int
    active_triggers: int
    firings: Annotated[int, Field(description="Firings that wait for the end of quiet hours or for the gateway")]
    firing_messages: Annotated[int, Field(description="Messages of firings that wait to be sent")]
    events: Annotated[int, Field(description="Events that may fire triggers, up to a million")]
    deliveries: Annotated[int, Field(description="Deliveries to listeners that wait, up to a million")]


class CycleRange(Body):
    """Days to process, the first and the last; both yesterday when left out."""

    first: date | None = None
    last: date | None = None


@router.post("/backups", summary="Write a backup of all tenants", response_class=StreamingResponse)
def write_backup(body: BackupIn, stores: Stores = Depends(operator)) -> StreamingResponse:  # noqa: B008
    """Write a backup while the server runs; progress counts rows."""

    def work(progress: Progress) -> dict[str, Any]:
        written = stores.backup(Path(body.path), progress, encrypted=body.encrypt)
        return {"path": written.path, "bytes": written.bytes, "rows": written.rows}

    return stream("backup", work)


@router.get("/held", summary="Show whether sending is held, and what would be sent")
def list_held(stores: Stores = Depends(operator)) -> HeldOut:  # noqa: B008
    """Everything that waits in all tenants, whether sending is held or not."""
    reason = holds.why_held(stores)
    counts = {**asdict(measuring.pending_sends(stores)), **asdict(retention.leaving(stores))}
    hold = {"reason": str(reason), "backup_taken_at": reason.backup_taken_at} if reason else {}
    since = reason.since if reason else None
    return HeldOut(held=reason is not None, since=since, deliveries=notifications.leaving(stores), **hold, **counts)


@router.post("/resume", summary="Release what a restore holds back")
def resume(stores: Stores = Depends(operator)) -> dict[str, bool]:  # noqa: B008
    """Mail, posts, triggers and the schedule resume, unless RAPPORT_OUTBOUND=off holds them in a process."""
    holds.resume(stores.records)
    return {"held": holds.is_held(stores)}


@router.post("/imports", summary="Load a file", response_class=StreamingResponse)
def load_file(body: ImportIn, scope: Scope = Depends(operated)) -> StreamingResponse:  # noqa: B008
    """Load a file on the server's machine; progress counts bytes or rows."""
    base_mapping = customer_mapping.read_mapping(Path(body.mapping)) if body.mapping else None
    mapping = customer_mapping.with_blank_cells(base_mapping, body.blank_cells)

    def work(progress: Progress) -> dict[str, Any]:
        result = imports.import_file(
            scope,
            body.kind,
            Path(body.path),
            mapping,
            body.mode,
            progress,
            allow_rejects=body.allow_rejects,
            confirm_removal=body.confirm_removal,
            dry_run=body.dry_run,
        )
        return asdict(result) | {"rejects_path": str(result.rejects_path) if result.rejects_path else None}

    return stream("import", work)


@router.post("/cycles", summary="Process data dates", response_class=StreamingResponse)
def run_cycles(body: CycleRange, scope: Scope = Depends(operated)) -> StreamingResponse:  # noqa: B008
    """Process a tenant's days in order; progress counts days."""
    first = body.first or scope.today() - timedelta(days=1)
    last = body.last or first
    if not first <= last <= first + LONGEST_RUN:
        raise Invalid("The last day must not be before the first, nor more than ten years after it.")

    def work(progress: Progress) -> list[dict[str, Any]]:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        results = []
        for number, day in enumerate(days, 1):
            result = daily.run_cycle(scope, day)
            results.append(asdict(result) | {"seconds": result.seconds})
            progress(number, len(days))
        return results

    return stream("cycle", work)


@router.post("/migrations", summary="Migrate both databases to the newest schema", response_class=StreamingResponse)
def migrate(stores: Stores = Depends(operator)) -> StreamingResponse:  # noqa: B008
    """Do what a server does at its start. A server that answers has already done it, so this usually changes
    nothing.
    """

    def work(progress: Progress) -> dict[str, Any]:
        migrations.migrate(stores.records, stores.warehouse)
        consent_marks.convert_all(stores)
        progress(1, 1)
        return {"checks": [asdict(check) for check in _checks(stores)]}

    return stream("migrate", work)


@router.post("/secrets/seal", summary="Encrypt every stored secret with the first key")
def seal(stores: Stores = Depends(operator)) -> dict[str, int]:  # noqa: B008
    """Encrypts secrets that are not sealed yet, or are sealed with another key of RAPPORT_SECRET_KEY."""
    return {"sealed": seal_secrets(stores)}


@router.get("/checks", summary="Check both databases")
def list_checks(stores: Stores = Depends(operator)) -> list[Check]:  # noqa: B008
    """Returns what rapport doctor shows about the databases."""
    return _checks(stores)


def _checks(stores: Stores) -> list[Check]:
    engines = engine_checks(stores.records, stores.warehouse)
    own = [
        backup_check(stores.records),
        clock_check(stores.records),
        outbound_check(stores),
        secrets_check(stores.settings, stores.records),
        keys_check(stores),
    ]
    return [*engines, *own, *consent_marks.conversion_checks(stores)]
