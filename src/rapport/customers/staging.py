"""Staging: a file is read once into tables aside, good rows in one, refused ones with their reasons in another.

The file's rows run through a table that keeps nothing (engine Null); two views of it split them. So
the file is read and parsed once, in constant memory, and nothing that is read by others changes.
"""

import re
from dataclasses import dataclass

from rapport.customers.cells import MAX_SHOWN, unclean, unclean_reason
from rapport.customers.files import File, rows_sql
from rapport.customers.json_lines import missing
from rapport.customers.kinds import Field
from rapport.customers.plans import Bound, Plan
from rapport.customers.values import sql_type
from rapport.stores.warehouse import Database, identifier, literal

PREFIX = "import_"
TABLES = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})"
HIDDEN = "(not shown)"
KEPT = "_kept"
EMPTY, BLANK = "''", "' '"


@dataclass(frozen=True)
class Stage:
    """The staging tables of an import."""

    warehouse: Database
    import_id: int

    def table(self, part: str) -> str:
        """The name of one of the tables: good, rejects, next, ..."""
        return f"{PREFIX}{self.import_id}_{part}"

    def count(self, part: str) -> int:
        """Rows of one of the tables."""
        return int(self.warehouse.value(f"SELECT count() FROM {self.table(part)}"))  # noqa: S608 - our table


def drop_leftovers(warehouse: Database) -> None:
    """Drop every staging table. Call it only under the lock of imports: then all of them belong to dead imports."""
    names = [name for (name,) in warehouse.rows(TABLES, database=warehouse.name, prefix=PREFIX)]
    for name in sorted(names, key=lambda name: not name.endswith("_view")):
        warehouse.execute(f"DROP TABLE IF EXISTS {identifier(name)} SYNC")


def create(stage: Stage, plan: Plan, file: File) -> None:
    """Make the staging tables of a plan."""
    warehouse = stage.warehouse
    warehouse.execute(f"CREATE TABLE {stage.table('good')} AS {plan.kind.table}")
    for info in plan.new_attributes:
        column = f"{identifier(info.real_field_name)} {sql_type(info.field_type)}"
        warehouse.execute(f"ALTER TABLE {stage.table('good')} ADD COLUMN {column}")
    if plan.partial:
        warehouse.execute(f"ALTER TABLE {stage.table('good')} ADD COLUMN {KEPT} Array(String)")
    warehouse.execute(
        f"CREATE TABLE {stage.table('rejects')} (line UInt64, column String, reason String, value Nullable(String)) "
        "ENGINE = MergeTree ORDER BY line"
    )
    warehouse.execute(f"CREATE TABLE {stage.table('pipe')} ({_pipe_columns(plan, file)}) ENGINE = Null")
    warehouse.execute(
        f"CREATE TABLE {stage.table('unread')} (column String, value String) ENGINE = MergeTree ORDER BY column"
    )
    views = [("good", _good_sql(stage, plan)), ("rejects", _rejects_sql(stage, plan))]
    views += [("unread", _unread_sql(stage, plan))] if plan.consents else []
    for part, sql in views:
        warehouse.execute(f"CREATE MATERIALIZED VIEW {stage.table(part)}_view TO {stage.table(part)} AS {sql}")


def fill(stage: Stage, plan: Plan, file: File, without: str = "") -> None:
    """Read the file into the staging tables; `without` is SQL of the line numbers to leave out."""
    for part in ("good", "rejects", "unread"):
        stage.warehouse.execute(f"TRUNCATE TABLE {stage.table(part)}")
    values = ", ".join(f"{plan.value(one)} AS v_{one.field.column}" for one in plan.bound)
    faults = " OR ".join(["_fault != ''", unclean(_all(plan)), *(plan.fault(one) for one in plan.bound)])
    where = f"WHERE _row NOT IN ({without})" if without else ""
    stage.warehouse.execute(f"""
        INSERT INTO {stage.table("pipe")}
        SELECT _row, {_texts(file)}, {_values(plan)}, {_properties(plan)}, _missing, _fault, {faults}
        FROM (SELECT *, {missing_sql(plan, file)} AS _missing, {values} FROM ({rows_sql(file)}) {where})
        {file.settings}
    """)  # noqa: S608 - made of the file's structure, names quoted


def missing_sql(plan: Plan, file: File) -> str:
    """SQL of the file's columns, from 0, that a row does not speak of, so that what is stored stays."""
    if not plan.partial:
        return "CAST([], 'Array(UInt16)')"
    if file.format == "jsonl":
        return missing(file.keys)
    blank = ", ".join(f"r{index} IS NULL" for index in range(len(file.names)))
    places = f"CAST(range({len(file.names)}), 'Array(UInt16)')"
    return f"arrayFilter((place, blank) -> blank, {places}, [{blank}])"


def _kept(plan: Plan) -> str:
    """SQL of the names of what a row does not speak of: columns of the table, and properties behind a dot."""
    names = {one.place: one.field.column for one in plan.bound}
    names |= {int(text[1:]): f".{name}" for name, text in plan.properties if text.startswith("r")}
    last = max((place for place in names if place is not None), default=-1)
    told = ", ".join(literal(names.get(place, "")) for place in range(last + 1))
    return f"arrayFilter(name -> name != '', arrayMap(place -> [{told}, ''][place + 1], _missing))"


def _all(plan: Plan) -> str:
    """SQL of everything of a row that is loaded, in one text."""
    texts = [one.text for one in plan.bound] + [text for _, text in plan.properties]
    # A blank between them keeps halves of characters in two columns from making a whole one.
    return f"concat({', '.join(f'ifNull({text}, {EMPTY}), {BLANK}' for text in texts)})" if texts else EMPTY


def _texts(file: File) -> str:
    return ", ".join(f"r{index}" for index in range(len(file.names)))


def _values(plan: Plan) -> str:
    return ", ".join(f"v_{one.field.column}" for one in plan.bound)


def _properties(plan: Plan) -> str:
    if not plan.properties:
        return "map()"
    pairs = ", ".join(f"{literal(name)}, ifNull({text}, '')" for name, text in plan.properties)
    return f"mapFilter((name, value) -> value != '', map({pairs}))"


def _pipe_columns(plan: Plan, file: File) -> str:
    texts = [f"r{index} Nullable(String)" for index in range(len(file.names))]
    values = [f"v_{one.field.column} {sql_type(one.field.type)}" for one in plan.bound]
    ends = ["properties Map(String, String)", "_missing Array(UInt16)", "_fault String", "_bad UInt8"]
    return ", ".join(["_row UInt64", *texts, *values, *ends])


def _good_sql(stage: Stage, plan: Plan) -> str:
    given = {one.field.column: one.field for one in plan.bound}
    defaults = {one.column: one.default for one in plan.kind.fields if one.default != "NULL"}
    columns = {"properties": "properties", "event_type_id": _event_type(plan)}
    columns |= defaults | {name: _column(plan, field) for name, field in given.items()}
    columns[KEPT] = _kept(plan)
    present = stage.warehouse.columns(stage.table("good"))
    selected = ", ".join(f"{columns[name]} AS {identifier(name)}" for name in present if name in columns)
    return f"SELECT {selected} FROM {stage.table('pipe')} WHERE _bad = 0"  # noqa: S608 - names of columns


def _column(plan: Plan, field: Field) -> str:
    value = identifier(f"v_{field.column}")
    if plan.kind.name == "customers" and field.column != "customer_id":
        return value
    if field.required:
        return f"assumeNotNull({value})"
    return value if field.default == "NULL" else f"ifNull({value}, {field.default})"


def _event_type(plan: Plan) -> str:
    names = ", ".join(literal(name) for name, _ in plan.event_types)
    numbers = ", ".join(str(number) for _, number in plan.event_types)
    return f"toUInt32(transform(assumeNotNull(v_event_name), [{names}], [{numbers}], 0))"


def _rejects_sql(stage: Stage, plan: Plan) -> str:
    faults = [
        f"({literal(one.name)}, {_clean_or(one.text, plan.fault(one), plan.reason(one))}, {_shown(one)})"
        for one in plan.bound
    ]
    faults += [f"({literal(name)}, {_clean_or(text)}, {text})" for name, text in plan.properties]
    line = "('', _fault, CAST(NULL, 'Nullable(String)'))"
    return f"""
        SELECT _row AS line, fault.1 AS column, fault.2 AS reason, fault.3 AS value
        FROM (
            SELECT
                _row,
                arrayJoin(if(_fault != '', [{line}], arrayFilter(one -> one.2 != '', [{", ".join(faults)}]))) AS fault
            FROM {stage.table("pipe")} WHERE _bad
        )
    """  # noqa: S608 - names of columns are quoted


def _unread_sql(stage: Stage, plan: Plan) -> str:
    """What stood in columns of consent and is neither yes nor no."""
    words = [
        f"({literal(one.name)}, if({one.field.consent.unread_sql(one.text)}, left({one.text}, {MAX_SHOWN}), ''))"
        for one in plan.bound
        if one.field.consent is not None
    ]
    return f"""
        SELECT word.1 AS column, assumeNotNull(word.2) AS value
        FROM (
            SELECT arrayJoin(arrayFilter(one -> one.2 != '', [{", ".join(words)}])) AS word
            FROM {stage.table("pipe")} WHERE _bad = 0
        )
    """  # noqa: S608 - names of columns are quoted


def _clean_or(text: str, fault: str = "", reason: str = "") -> str:
    """SQL of why a text is refused: for what it is made of, else for its type; empty for nothing."""
    typed = f"if({fault}, {reason}, '')" if fault else "''"
    return f"if({unclean(f'ifNull({text}, {EMPTY})')}, {unclean_reason(f'ifNull({text}, {EMPTY})')}, {typed})"


def _shown(one: Bound) -> str:
    if one.field.pii or not re.fullmatch(r"r\d+", one.text):
        return f"CAST(if({one.text} IS NULL, NULL, '{HIDDEN}'), 'Nullable(String)')"
    return one.text
