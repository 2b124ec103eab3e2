"""Previews: the first rows of a file as a load would store them."""

from dataclasses import dataclass

from rapport.customers.formats.files import File, rows_sql
from rapport.customers.importing import rejects
from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.merging import key_sql
from rapport.customers.importing.staging import FIRST_ROWS, Stage
from rapport.stores.warehouse import identifier, literal

# Rows of a dry run that are shown.
PREVIEWED = 5
Key = tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """The first rows of a dry run as they would be stored, texts by column, and the attributes that would be made."""

    rows: list[dict[str, str | None]]
    new_attributes: dict[str, str]


def preview(stage: Stage, plan: Plan, file: File) -> Preview:
    """The first good rows in the order of the file; staged rows are in the order of their keys."""
    new_attributes = {info.real_field_name: info.field_type for info in plan.new_attributes}
    keys = _first_keys(stage, plan, file, FIRST_ROWS)
    if len(keys) < PREVIEWED and stage.count("good") > len(keys):
        keys = _first_keys(stage, plan, file, 0)
    if not keys:
        return Preview([], new_attributes)
    table, key = stage.table("good"), _texts(key_sql(plan).split(", "))
    columns = [name for name in stage.warehouse.columns(table) if _is_shown(name, plan)]
    shown = ", ".join(_shown(name) for name in columns)
    row_keys = ", ".join(f"({', '.join(map(literal, row_key))})" for row_key in keys)
    staged = stage.warehouse.rows(f"SELECT {key}, {shown} FROM {table} WHERE ({key}) IN ({row_keys})")  # noqa: S608 - texts are quoted
    parts = len(plan.kind.key)
    by_key = {row[:parts]: row[parts:] for row in staged}
    return Preview(
        [dict(zip(columns, by_key[row_key], strict=True)) for row_key in keys if row_key in by_key], new_attributes
    )


def _is_shown(column: str, plan: Plan) -> bool:
    """Whether a column tells something: of customers those that the file does not give stay as they are."""
    if plan.kind.extras == "attributes":
        return any(mapped.field.column == column for mapped in plan.columns)
    return not column.startswith("_")


def _shown(column: str) -> str:
    """A column as a text; properties as one JSON object."""
    return "toJSONString(properties)" if column == "properties" else f"toString({identifier(column)})"


def _texts(columns: list[str]) -> str:
    return ", ".join(f"toString({column})" for column in columns)


def _first_keys(stage: Stage, plan: Plan, file: File, most: int) -> list[Key]:
    """The keys of the first good rows, in order; of the file's first rows only, unless `most` is 0."""
    rows = f"SELECT * FROM ({rows_sql(file)})" + (f" LIMIT {most}" if most else "")  # noqa: S608 - made of the file's structure
    refused = f"WHERE _row NOT IN (SELECT line FROM {stage.rejects()})" if "rejects" in stage.parts else ""  # noqa: S608 - our table
    keys = stage.warehouse.rows(f"""
        SELECT {rejects.key_texts_sql(plan)} FROM ({rows}) {refused} ORDER BY _row LIMIT {PREVIEWED}
        {file.settings}, max_block_size = {FIRST_ROWS}, max_threads = 1
    """)  # noqa: S608 - made of the file's structure
    return [tuple(map(str, key)) for key in keys]
