"""Rows that are not loaded: why, and the file that lists them."""

import csv
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError
from pyarrow.csv import CSVWriter

from rapport import private
from rapport.access.personal_data import Texts
from rapport.access.scope import Scope
from rapport.customers.formats.cells import shown
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.importing import merging, staging
from rapport.customers.importing.column_plans import MappedColumn, Plan
from rapport.customers.importing.file_warnings import EXAMPLES, FileWarning, counted, visible
from rapport.customers.importing.staging import Stage
from rapport.customers.privacy.personal_values import PersonalTexts, identifies
from rapport.errors import Invalid
from rapport.stores.spreadsheets import without_formulas

SCHEMA = pa.schema([("line", pa.uint64()), ("column", pa.string()), ("reason", pa.string()), ("value", pa.string())])


def count(stage: Stage) -> int:
    """Rows refused so far (a row may have several faults)."""
    if "rejects" not in stage.parts:
        return 0
    return int(stage.warehouse.value(f"SELECT count() FROM (SELECT DISTINCT line FROM {stage.table('rejects')})"))  # noqa: S608 - ours


def _key_texts(plan: Plan) -> list[MappedColumn]:
    return [mapped for column in plan.kind.key for mapped in plan.columns if mapped.field.column == column]


def key_texts_sql(plan: Plan) -> str:
    """SQL of a row's key from the file's texts, as texts: spelled as the typed key would be."""
    shapes = {"customer_id": "lowerUTF8(ifNull({text}, ''))", "line_number": "toString(toUInt32OrZero({text}))"}
    texts = {mapped.field.column: mapped.text for mapped in _key_texts(plan)}
    # Items without numbers have that of their row.
    return ", ".join(
        shapes.get(column, "ifNull({text}, '')").replace("{text}", texts[column])
        if column in texts
        else "toString(_row)"
        for column in plan.kind.key
    )


def refuse_duplicates(stage: Stage, plan: Plan, file: File, *, allowed: bool) -> None:
    """Refuse every row whose primary key an earlier row has; the earlier row stays when rejects are allowed."""
    good, refused = stage.table("good"), stage.rejects()
    key, texts, first = merging.key_sql(plan), key_texts_sql(plan), _key_texts(plan)[0]
    typed = ", ".join(f"toString({part})" for part in key.split(", "))
    repeated = f"SELECT {typed} FROM {good} GROUP BY {key} HAVING count() > 1"  # noqa: S608 - our table
    doubles = stage.create(
        "doubles",
        f"""ENGINE = MergeTree ORDER BY line AS
        SELECT _row AS line, key, first_line FROM (
            SELECT _row, {first.text} AS key, min(_row) OVER (PARTITION BY {texts}) AS first_line
            FROM ({rows_sql(file)}) WHERE ({texts}) IN ({repeated}) AND _row NOT IN (SELECT line FROM {refused})
        ) WHERE _row > first_line
        {file.settings}""",  # noqa: S608 - made of the file's structure, names quoted
    )
    if allowed:
        staging.empty(stage)
        staging.fill(stage, plan, file, without=f"SELECT line FROM {doubles}")  # noqa: S608 - our table
        if stage.warehouse.value(f"SELECT countIf({staging.put_aside(plan)}) FROM {good}"):  # noqa: S608 - our table
            staging.judge(stage, plan, file)
    reason = "concat('has the same primary key as line ', toString(first_line))"
    sql = f"INSERT INTO {refused} SELECT line, {{column:String}}, {reason}, key FROM {doubles}"  # noqa: S608 - our tables
    stage.warehouse.execute(sql, column=first.name)


def refuse_orphans(stage: Stage, plan: Plan, file: File) -> list[FileWarning]:
    """Refuse items of transactions that are not known, when the file lacks what the transaction tells.

    They have one cause: it is told beside the refused rows.
    """
    good = stage.table("good")
    if plan.has("customer_id") and plan.has("transaction_time"):
        return []
    unknown = "transaction_id NOT IN (SELECT transaction_id FROM transactions)"
    keys = dict.fromkeys((good, "transactions"), "transaction_id")
    parts = stage.warehouse.hash_slices(keys, merging.stored_or_staged(stage, "transactions"))
    count = sum(int(part.value(f"SELECT count() FROM {good} WHERE {unknown}")) for part in parts)  # noqa: S608 - our table
    if not count:
        return []
    key, refused = _key_texts(plan)[0], stage.rejects()
    stage.warehouse.execute(
        f"""
        INSERT INTO {refused} SELECT _row, {{column:String}}, 'is not a known transaction', {key.text}
        FROM ({rows_sql(file)})
        WHERE {key.text} IN (SELECT transaction_id FROM {good} WHERE {unknown})
            AND _row NOT IN (SELECT line FROM {refused})
        {file.settings}
        """,  # noqa: S608 - made of the file's structure, names quoted
        column=key.name,
    )
    message = f"{counted(count, 'item is', 'items are')} of transactions that are not known: load transactions first."
    return [FileWarning("unknown_transactions", message, count)]


# Refused values that a mapping can read: code, start of the reason, form of the value, what to do.
MAPPABLE = (
    (
        "dates_in_another_form",
        "^is not a (date|time) as ",
        "^([0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}|(19|20)[0-9]{6}$)",
        "dates in another form: date_format or date_formats of a mapping reads them",
    ),
    (
        "numbers_in_another_form",
        "^is not a (decimal )?number ",
        "^[-+]?[0-9][0-9., ']*[.,][0-9]+$",
        "numbers in another form: numbers of a mapping reads them",
    ),
)


def mappable(stage: Stage) -> list[FileWarning]:
    """What a mapping could read of the values that were refused, told once a file beside the refused rows."""
    warnings = []
    for code, reason, form, remedy in MAPPABLE:
        sql = f"""
            SELECT uniqExact(line), arraySort(groupUniqArray({EXAMPLES})(column)) FROM {stage.table("rejects")}
            WHERE match(reason, {{reason:String}}) AND match(ifNull(value, ''), {{form:String}})
        """  # noqa: S608 - our table
        count, columns = stage.warehouse.row(sql, reason=reason, form=form) or (0, [])
        if count:
            message = f"{counted(count, 'refused row has', 'refused rows have')} {remedy}, see docs/files.md."
            warnings.append(FileWarning(code, message, count, tuple(map(visible, columns))))
    return warnings


def _folder(scope: Scope) -> Path:
    return scope.stores.settings.data_dir / "rejects" / str(scope.tenant_id)


def write(scope: Scope, stage: Stage, encoding: str) -> Path:
    """Write the rejects of an import of a file in an encoding as CSV into the data folder, in order of line."""
    folder = _folder(scope)
    private.make_folder(folder)
    path = folder / f"import-{stage.import_id}.csv"
    value = shown("value", encoding)
    sql = f"SELECT line, column, reason, {value} AS value FROM {stage.table('rejects')} ORDER BY line, column"  # noqa: S608 - ours
    with open(path, "wb", opener=private.opener) as file, CSVWriter(file, SCHEMA) as writer:
        for batch in stage.warehouse.arrow_batches(sql):
            writer.write_batch(without_formulas(batch.cast(SCHEMA)))
    return path


def forget(scope: Scope, customer_ids: Iterable[str], own: Texts) -> None:
    """Take out of the files of refused rows the values that name these persons, or look as if they named anybody."""
    ids = PersonalTexts(customer_ids)
    for path in sorted(_folder(scope).glob("import-*.csv")):
        aside = path.with_suffix(".part")
        with (
            path.open(newline="", encoding="utf-8", errors="replace") as before,
            open(aside, "w", newline="", encoding="utf-8", opener=private.opener) as after,
        ):
            changed = csv.writer(after, quoting=csv.QUOTE_ALL)
            for row in csv.reader(before):
                is_personal = bool(row) and (ids.are_in(row[-1]) or own.are_in(row[-1]) or identifies(row[-1]))
                changed.writerow([*row[:-1], staging.HIDDEN] if is_personal else row)
        aside.replace(path)


def unreadable(error: BaseException) -> Invalid | None:
    """The sentence for an error of the engine that is the file's fault; None for any other."""
    codes = ("code: 6.", "code: 26.", "code: 27.", "code: 33.", "code: 36.", "code: 117.", "code: 354.", "code: 636.")
    text = str(error).lower()
    if isinstance(error, DatabaseError) and "code: 241." in text:
        return Invalid("The file takes more memory than the server has for an import: split it.")
    if isinstance(error, DatabaseError) and any(code in text for code in codes):
        return Invalid("The file cannot be read: a line is broken (a quote that is never closed?) or it is cut off.")
    return None
