"""Imports: a file is all or nothing, and is never half-loaded.

Everything is prepared in tables aside; the table that is read changes in one step at the end. Files of one kind are
imported one after the other, those of several kinds side by side until that step. A process that dies before it leaves
tables aside, which the next import of the kind drops; one that dies after leaves a loaded file whose import says that
it failed, and importing it again gives the same rows. While the records are away an import that has begun waits for
them, and is done again from its beginning.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from rapport.access.scope import Scope
from rapport.customers import event_types
from rapport.customers.attributes import declare
from rapport.customers.formats.files import File, digest, must_have_rows, opened
from rapport.customers.formats.inference import keep_origins, typed
from rapport.customers.importing import consent_columns, file_warnings, merging, rejects, removals, spelling, staging
from rapport.customers.importing.column_plans import Plan, make_plan
from rapport.customers.importing.file_kinds import Kind, kind_of, names_customers
from rapport.customers.importing.file_warnings import counted
from rapport.customers.importing.inspection import inspect
from rapport.customers.importing.mapping import FileMapping, parse_mapping
from rapport.customers.importing.merging import Counts
from rapport.customers.importing.previews import Preview, preview
from rapport.customers.importing.staging import Stage
from rapport.customers.importing.survey import UNTYPED, Survey, survey
from rapport.customers.models import Import
from rapport.customers.privacy import masking, personal_columns, tasks
from rapport.customers.states import ImportMode, ImportState
from rapport.customers.writes import locks, ordering
from rapport.errors import Invalid, NotFound
from rapport.stores.outages import outage
from rapport.stores.parts import Part, part
from rapport.stores.records import next_id
from rapport.stores.workers.listening import Topic, publish
from rapport.stores.workflows import work

Progress = Callable[[int, int], None]
STEPS = 4
HOW_TO_GO_ON = "mend the file, or load the other rows with --allow-rejects (allow_rejects)"


@dataclass(frozen=True)
class ImportResult:
    """What became of a file. unchanged: it had been loaded before and nothing was done.

    warnings are what was suspicious of it, as the members of FileWarning; counts are those of merging.Counts, of a dry
    run only the unknown customers. A dry run has a preview.
    """

    import_id: int
    loaded: int
    rejected: int
    unchanged: bool
    rejects_path: Path | None
    state: str = ImportState.LOADED
    message: str = ""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    preview: Preview | None = None
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass
class ImportRun:
    """An import under way."""

    scope: Scope
    row: Import
    kind: Kind
    mapping: FileMapping
    allow_rejects: bool
    confirm_removal: bool
    progress: Progress
    stage: Stage
    dry_run: bool = False
    preview: Preview | None = None


def import_file(
    scope: Scope,
    kind: str,
    path: Path,
    mapping: FileMapping | dict[str, Any] | None = None,
    mode: str = ImportMode.INCREMENTAL,
    progress: Progress | None = None,
    *,
    allow_rejects: bool = False,
    confirm_removal: bool = False,
    dry_run: bool = False,
) -> ImportResult:
    """Import a file of customers, transactions, items, products or activity.

    mode full: the file replaces what files brought before; incremental: its rows are added or replace
    those of the same primary key. With rejects nothing is loaded unless allow_rejects; the result
    tells where they are. A full load that would remove more than the tenant's share needs confirm_removal.
    A dry run does all but change what is stored: its state is checked when the file would be loaded.
    progress is called with steps done and steps in all. Raises Invalid for a file that cannot be read at all.
    """
    file_kind = kind_of(kind)
    if mode not in tuple(ImportMode):
        raise Invalid(f"mode must be full or incremental, not {mode!r}.")
    parsed = parse_mapping(mapping)
    begun: list[Import] = []

    def attempt() -> ImportResult:
        with locks.importing(scope, file_kind.name):
            _give_up_dead(scope, file_kind)
            staging.drop_leftovers(scope.warehouse, partial(_running, scope))
            with opened(scope.warehouse, path, parsed) as file:
                row = _again(scope, begun[0]) if begun else _begin(scope, file_kind, path, parsed, mode)
                if row.state == ImportState.UNCHANGED:
                    return _result(row)
                begun[:] = [row]
                if not file.is_small:
                    scope.warehouse.expect_many_rows()
                report_progress = progress or (lambda done, total: None)
                stage = Stage(scope.warehouse, row.id, partial(locks.replacing, scope))
                run = ImportRun(
                    scope, row, file_kind, parsed, allow_rejects, confirm_removal, report_progress, stage, dry_run
                )
                return _carry_out(run, file)

    try:
        return attempt()
    except Exception as error:
        if not begun or outage(error) is None:
            raise
    return work.waiting(attempt, "import")()


def _carry_out(run: ImportRun, file: File) -> ImportResult:
    try:
        _load(run, file)
    except Invalid as error:
        _finish(run, ImportState.FAILED, error.message)
        raise
    except BaseException as error:
        if outage(error) is not None:  # it is done again
            raise
        _finish(run, ImportState.FAILED, f"The import ended with an error ({type(error).__name__}).")
        readable = rejects.unreadable(error)
        if readable is not None:
            raise readable from error
        raise
    finally:
        run.stage.drop()
    return replace(_result(run.row), preview=run.preview)


def _load(run: ImportRun, file: File) -> None:
    run.progress(0, STEPS)
    plan, newly_personal, surveyed = _stage(run, file)
    if not surveyed.rows and "rejects" not in run.stage.parts:
        must_have_rows(file)
    run.progress(1, STEPS)
    if surveyed.doubled:
        rejects.refuse_duplicates(run.stage, plan, file, allowed=run.allow_rejects)
    run.progress(2, STEPS)
    orphans = []
    if run.kind.name == "items":
        orphans = rejects.refuse_orphans(run.stage, plan, file)
        spelling.complete_items(run.stage, plan)
    warnings = [
        *orphans,
        *inspect(run.stage, plan, file, surveyed.signs),
        *personal_columns.warnings(plan, newly_personal),
    ]
    warnings += [*personal_columns.guessed(plan), *personal_columns.not_mapped(plan, newly_personal)]
    warnings += consent_columns.warnings(plan)
    run.row.rejected = rejects.count(run.stage)
    if run.row.rejected:
        warnings += rejects.mappable(run.stage)
    if run.row.rejected and run.allow_rejects:
        warnings += consent_columns.refused(run.stage, plan, file)
    run.row.warnings = [asdict(warning) for warning in warnings]
    if run.dry_run:
        run.preview = preview(run.stage, plan, file)
    if run.row.rejected:
        run.row.rejects_path = str(rejects.write(run.scope, run.stage, file.encoding))
        refused = counted(run.row.rejected, "row was", "rows were")
        if not run.allow_rejects:
            nothing = "nothing would be loaded" if run.dry_run else "nothing was loaded"
            return _finish(run, ImportState.REFUSED, f"{refused} refused, so {nothing}: {HOW_TO_GO_ON}.")
    rows = run.stage.count("good")
    if run.dry_run and run.row.rejected and not rows:
        return _finish(run, ImportState.REFUSED, f"{refused} refused, and no row would be loaded.")
    if run.row.mode == ImportMode.FULL and not run.confirm_removal:
        question = removals.question(run.scope, run.stage, plan, rows)
        if question:
            return _finish(run, ImportState.NEEDS_CONFIRMATION, question)
    if run.dry_run:
        if names_customers(run.kind):
            run.row.counts = {"unknown_customers": spelling.respell(run.stage, plan).unknown_customers}
        good = counted(rows, "row would be loaded", "rows would be loaded")
        return _finish(run, ImportState.CHECKED, f"{good}; nothing was changed.")
    run.row.loaded = rows
    counts = _swap_in(run, plan, newly_personal)
    run.row.counts = asdict(counts)
    _finish(run, ImportState.LOADED, "")
    run.progress(STEPS, STEPS)
    return None


def _stage(run: ImportRun, file: File) -> tuple[Plan, list[personal_columns.PersonalColumn], Survey]:
    """Read the file into the staging tables; what is asked of a small file beforehand is asked of its staged rows."""
    plan = typed(run.scope.warehouse, file, make_plan(run.scope, run.kind, file, run.mapping, run.row.mode))
    of_people, newly_personal = run.kind.name == "customers", list[personal_columns.PersonalColumn]()
    if of_people and not file.is_small:
        plan, newly_personal = personal_columns.marked(run.scope, file, plan)
    known_types = event_types.event_types(run.scope) if run.kind.name == "activity" and file.is_small else []
    if run.kind.name == "activity":
        types = tuple((event_type.name, event_type.id) for event_type in known_types) or event_types.of_file(
            run.scope, file, plan, keep=not run.dry_run
        )
        plan = replace(plan, event_types=types)
    staging.create(run.stage, plan)
    staging.fill(run.stage, plan, file)
    surveyed = survey(run.stage, plan, small=file.is_small)
    if known_types and (surveyed.aside or UNTYPED in surveyed.signs):
        plan = replace(plan, event_types=event_types.of_file(run.scope, file, plan, keep=not run.dry_run))
        staging.empty(run.stage)
        staging.fill(run.stage, plan, file)
    elif known_types and not run.dry_run:
        event_types.note_staged(run.scope, run.stage, plan, known_types)
    if of_people and file.is_small:
        plan, newly_personal = personal_columns.marked(
            run.scope, file, plan, "" if surveyed.aside else run.stage.table("good")
        )
    if surveyed.aside:
        staging.judge(run.stage, plan, file)
    if surveyed.aside or newly_personal or UNTYPED in surveyed.signs:
        surveyed = survey(run.stage, plan, small=file.is_small)
    return plan, newly_personal, surveyed


def _swap_in(run: ImportRun, plan: Plan, newly_personal: list[personal_columns.PersonalColumn]) -> Counts:
    respelled, removed = Counts(), 0
    if run.kind.name == "customers":
        if plan.new_attributes:
            declare(run.scope, plan.new_attributes)
        keep_origins(run.scope, plan)
        if personal_columns.mark_known(run.scope, newly_personal):
            tasks.erase_again(run.scope)
        removed = masking.stage_removed(run.scope, run.stage)
    # A file is newer than what was acknowledged before it takes its place, and older than what is after.
    with ordering.writing(run.scope):
        if names_customers(run.kind):
            respelled = spelling.respell(run.stage, plan)
            if run.mapping.create_customers and respelled.unknown_customers:
                respelled.created_customers = spelling.create_unknown_customers(run.stage)
            masking.mask_properties(run.scope, run.stage)
        run.progress(3, STEPS)
        counts = merging.merge(run.scope, run.stage, plan, run.row.mode, run.row.loaded, removed=bool(removed))
    created = respelled.created_customers
    return replace(counts, unknown_customers=respelled.unknown_customers - created, created_customers=created)


def _again(scope: Scope, row: Import) -> Import:
    """An import that an outage of the records has stopped, as it was when it began."""
    row.state, row.message, row.finished_at = ImportState.RUNNING, "", None
    row.loaded, row.rejected, row.counts, row.rejects_path, row.warnings = 0, 0, {}, None, []
    _note(scope, row)
    return row


def _begin(scope: Scope, kind: Kind, path: Path, mapping: FileMapping, mode: str) -> Import:
    sha256 = digest(path)
    with scope.records() as session:
        same = _loaded_before(scope, kind.name, sha256, mapping.digest, mode)
        row = Import(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "import"),
            kind=kind.name,
            file_name=path.name[:255],
            sha256=sha256,
            mapping_sha256=mapping.digest,
            mode=mode,
            state=ImportState.RUNNING,
            message="",
            loaded=0,
            rejected=0,
            counts={},
            rejects_path=None,
            warnings=[],
            data_date=scope.today() - timedelta(days=1),
            started_at=scope.clock.now(),
        )
        if same is not None:
            row.state, row.finished_at = ImportState.UNCHANGED, row.started_at
            row.message = f"The same file was loaded before, as import {same}; nothing was changed."
        session.add(row)
        scope.audit(session, "import", f"import {row.id}", kind=kind.name, mode=mode, state=row.state)
    return row


def _loaded_before(scope: Scope, kind: str, sha256: str, mapping: str, mode: str) -> int | None:
    """The import that loaded every row of this very file, if no full one of another file came after it.

    Rows that were refused may fit what has been loaded or declared since, so a file that had some is loaded again.
    """
    with scope.reads() as session:
        done = session.execute(
            select(Import.id, Import.loaded, Import.rejected, Import.sha256, Import.mapping_sha256, Import.mode)
            .where(Import.tenant_id == scope.tenant_id, Import.kind == kind, Import.state == ImportState.LOADED)
            .order_by(Import.id.desc())
        )
        for id_, loaded, rejected, *earlier in done:
            if earlier == [sha256, mapping, mode]:
                return int(id_) if loaded and not rejected else None
            if mode == ImportMode.FULL or earlier[2] == ImportMode.FULL:
                return None
    return None


def _running(scope: Scope) -> list[int]:
    with scope.reads() as session:
        return list(session.scalars(select(Import.id).filter_by(tenant_id=scope.tenant_id, state=ImportState.RUNNING)))


def _give_up_dead(scope: Scope, kind: Kind) -> None:
    """Call it under the lock of imports of the kind: then none of them is under way."""
    with scope.records() as session:
        session.execute(
            update(Import)
            .where(Import.tenant_id == scope.tenant_id, Import.kind == kind.name, Import.state == ImportState.RUNNING)
            .values(
                state=ImportState.FAILED,
                message="The process ended before the import did.",
                finished_at=scope.clock.now(),
            )
        )


def _finish(run: ImportRun, state: ImportState, message: str) -> None:
    run.row.state, run.row.message = state, message[:1000]
    run.row.finished_at = run.scope.clock.now()
    work.waiting(_note, "import.finish", bounded=False)(run.scope, run.row)


def _note(scope: Scope, row: Import) -> None:
    columns = ("state", "message", "finished_at", "loaded", "rejected", "counts", "rejects_path", "warnings")
    this_import = (Import.tenant_id == scope.tenant_id, Import.id == row.id)
    with scope.records() as session:
        session.execute(update(Import).where(*this_import).values({name: getattr(row, name) for name in columns}))
        publish(session, Topic.SCHEDULE, scope.tenant_id)  # the data of a day may be there now


def _result(row: Import) -> ImportResult:
    path = Path(row.rejects_path) if row.rejects_path else None
    return ImportResult(
        row.id,
        row.loaded,
        row.rejected,
        row.state == ImportState.UNCHANGED,
        path,
        row.state,
        row.message,
        row.warnings,
        counts=row.counts,
    )


def forget(scope: Scope, customer_id: str) -> None:
    """Take a person out of what imports told."""
    with scope.records() as session:
        query = select(Import).where(Import.tenant_id == scope.tenant_id, func.jsonb_array_length(Import.warnings) > 0)
        for row in session.scalars(query):
            row.warnings = file_warnings.without(row.warnings, customer_id)


def imports(scope: Scope, limit: int = 100, offset: int = 0) -> Part[Import]:
    """The tenant's imports, newest first."""
    with scope.reads() as session:
        query = select(Import).where(Import.tenant_id == scope.tenant_id).order_by(Import.id.desc())
        return part(session, query, limit, offset)


def import_of(scope: Scope, import_id: int) -> Import:
    """An import by id. Raises NotFound."""
    with scope.reads() as session:
        row = session.get(Import, (scope.tenant_id, import_id))
    if row is None:
        raise NotFound(f"There is no import {import_id}.")
    return row
