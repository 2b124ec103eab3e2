"""Staging: a file is read once, by one statement and in constant memory, into a table aside.

Rows that are refused, or not judged yet, lie in it with their texts. They have no primary key, which every good row
has. What is wrong with them is found out afterwards, from these texts alone, and then they are taken out.
"""

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial

from rapport.customers.formats.cells import MAX_SHOWN, unclean, unclean_reason
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.json_lines import missing
from rapport.customers.formats.repeated import MIN_SAVED, Expression, grouped, written_once
from rapport.customers.formats.values import sql_type
from rapport.customers.importing.asides import drop, drop_aside
from rapport.customers.importing.column_plans import MappedColumn, Plan
from rapport.customers.importing.file_kinds import Field
from rapport.stores.warehouse import Database, identifier, literal

PREFIX = "import_"
TABLES = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})"
HIDDEN = "(not shown)"
# Columns that staged rows of some plans have beside those of their table.
KEPT, UNREAD, RAW_ROW = "_kept", "_unread", "_raw_row"
UNREAD_TYPE, RAW_ROW_TYPE = "Array(Tuple(String, String))", "Map(String, String)"
REJECTS = "(line UInt64, column String, reason String, value Nullable(String)) ENGINE = MergeTree ORDER BY line"
EMPTY, BLANK = "''", "' '"
NO_PAIRS = f"CAST(map(), '{RAW_ROW_TYPE}')"
# Columns of a kind that are stored as another: event_type_id.
UNSTORED = ("event_name",)
# So many rows tell in which forms a large file has its values.
FIRST_ROWS = 1000


@dataclass
class Stage:
    """The staging tables of an import; parts are those that there are.

    replacing: around the statement that puts a table, by its name, in the place of one that is read; it raises what
    forbids that.
    usual: values in another than the usual form were put aside.
    """

    warehouse: Database
    import_id: int
    replacing: Callable[[str], AbstractContextManager[None]]
    parts: list[str] = field(default_factory=list)
    usual: bool = False

    def table(self, part: str) -> str:
        """The name of one of the tables: good, rejects, next, ..."""
        return f"{PREFIX}{self.import_id}_{part}"

    def create(self, part: str, definition: str) -> str:
        """Make one of the tables, as SQL behind its name says; its name."""
        self.parts.append(part)
        self.warehouse.execute(f"CREATE TABLE {self.table(part)} {definition}")
        return self.table(part)

    def rejects(self) -> str:
        """The table of refused rows, which most files have none of: it is made when it is first asked for."""
        return self.table("rejects") if "rejects" in self.parts else self.create("rejects", REJECTS)

    def count(self, part: str) -> int:
        """Rows of one of the tables."""
        return int(self.warehouse.value(f"SELECT count() FROM {self.table(part)}"))  # noqa: S608 - our table

    def drop(self) -> None:
        """Drop what was made."""
        drop_aside(self.warehouse, [self.table(part) for part in self.parts])
        self.parts.clear()


def drop_leftovers(warehouse: Database, running: Callable[[], Collection[int]]) -> None:
    """Drop the staging tables of dead imports. running: the ids of those that are under way, which is asked afterwards.

    What an import has staged is not dropped before another one of its kind begins.
    """
    tables = [name for (name,) in warehouse.rows(TABLES, database=warehouse.name, prefix=PREFIX)]
    if tables:
        living = {str(import_id) for import_id in running()}
        drop(warehouse, [name for name in tables if name.removeprefix(PREFIX).partition("_")[0] not in living])


def create(stage: Stage, plan: Plan) -> None:
    """Make the staging table of a plan."""
    if plan.kind.extras == "attributes":
        new = {info.real_field_name: sql_type(info.field_type) for info in plan.new_attributes}
        extra_columns = (new | _beside(plan)).items()
        columns = [
            "*",
            *(f"defaultValueOfTypeName({literal(type_)}) AS {identifier(name)}" for name, type_ in extra_columns),
        ]
        rows = f"SELECT {', '.join(columns)} FROM {plan.kind.table}"  # noqa: S608 - names are quoted
        stage.create("good", f"ENGINE = MergeTree ORDER BY customer_id EMPTY AS {rows}")
        return
    stage.create("good", f"AS {plan.kind.table}")
    for column, type_ in _beside(plan).items():
        stage.warehouse.execute(f"ALTER TABLE {stage.table('good')} ADD COLUMN {column} {type_}")


def fill(stage: Stage, plan: Plan, file: File, without: str = "") -> None:
    """Read the file into the staging table; `without` is SQL of the line numbers to leave out.

    Rows that are refused are in it too, and, when only the usual forms of values are read, those with another: see
    judge.
    """
    where = f"WHERE _row NOT IN ({without})" if without else ""
    rows = f"SELECT *, {missing_sql(plan, file)} AS _missing FROM ({rows_sql(file)}) {where}"  # noqa: S608 - made of the file's structure, names quoted
    stage.usual = _is_usual(stage, plan, file, rows)
    first = replace(plan, usual=stage.usual)
    stage.warehouse.execute(f"{_insert(stage, first, file, rows, file.min_saved)} {file.settings}")


def judge(stage: Stage, plan: Plan, file: File) -> None:
    """Load the rows that were put aside for the form of a value, list why the others are refused, take both out."""
    rows = _put_aside(stage, plan, len(file.names))
    if stage.usual:
        stage.warehouse.execute(f"{_insert(stage, plan, file, rows)} WHERE NOT _bad {file.settings}")
    stage.warehouse.execute(f"INSERT INTO {stage.rejects()} {_rejects_sql(plan, rows)} {file.settings}")
    stage.warehouse.execute(f"ALTER TABLE {stage.table('good')} DELETE WHERE {put_aside(plan)}")


def _is_usual(stage: Stage, plan: Plan, file: File, rows: str) -> bool:
    """Whether the usual forms of values are tried first, in SQL that is faster understood and faster carried out.

    So it is for a small file, and for one whose first rows have no other.
    """
    if file.is_small:
        return True
    first = _judged(replace(plan, usual=True), f"SELECT * FROM ({rows}) LIMIT {FIRST_ROWS}")  # noqa: S608 - made of the file's structure
    sql = f"SELECT count() FROM ({first}) WHERE _bad {file.settings}, max_block_size = {FIRST_ROWS}"  # noqa: S608 - made of the file's structure
    return not stage.warehouse.value(sql)


def put_aside(plan: Plan) -> str:
    """SQL of whether a staged row is one that is refused, or waits to be judged."""
    return f"{plan.kind.key[0]} = ''"


def empty(stage: Stage) -> None:
    """Take everything out of the staging tables, to fill them anew."""
    for part in stage.parts:
        if part in ("good", "rejects"):
            stage.warehouse.execute(f"TRUNCATE TABLE {stage.table(part)}")


def _insert(stage: Stage, plan: Plan, file: File, rows: str, min_saved: int = MIN_SAVED) -> str:
    """SQL that stages rows of columns r0, r1 ... of a file; `_bad` are those whose values do not fit."""
    values = _staged(plan, len(file.names))
    columns = ", ".join(map(identifier, values))
    selected = ", ".join(f"{sql} AS {identifier(f's_{name}')}" for name, sql in values.items())
    return f"INSERT INTO {stage.table('good')} ({columns}) SELECT {selected} FROM ({_judged(plan, rows, min_saved)})"  # noqa: S608 - names are quoted


def _judged(plan: Plan, rows: str, min_saved: int = MIN_SAVED) -> str:
    """A SELECT of rows with the value v_<column> of each of the plan's, and whether one of them does not fit."""
    arrays, values = written_once(
        [(partial(plan.value, column), column.text) for column in plan.columns], "_values", min_saved
    )
    named = ", ".join(f"{value} AS v_{column.field.column}" for column, value in zip(plan.columns, values, strict=True))
    faults = " OR ".join(
        ["_fault != ''", f"(_odd AND {unclean(_all(plan))})", *(plan.fault(column) for column in plan.columns)]
    )
    if arrays:
        rows = f"SELECT {', '.join(['*', *arrays])} FROM ({rows})"  # noqa: S608 - made of the file's structure
    return f"SELECT *, {faults} AS _bad FROM (SELECT *, {named} FROM ({rows}))"  # noqa: S608 - made of the file's structure


def _put_aside(stage: Stage, plan: Plan, width: int) -> str:
    """A SELECT of the rows that were put aside, with the texts of their columns as they were read."""
    raw_column = RAW_ROW if plan.kind.extras == "attributes" else "properties"
    texts = ", ".join(f"_cells[{index + 1}] AS r{index}" for index in range(width))
    # The engine may read arrays of rows that were not put aside, too, before it leaves them out.
    cells, lacking = (f"if({put_aside(plan)}, {raw_column}['{name}'], '[]')" for name in ("cells", "missing"))
    return f"""
        SELECT toUInt64OrZero({raw_column}['row']) AS _row, {raw_column}['fault'] AS _fault, 1 AS _odd,
            CAST({lacking}, 'Array(UInt16)') AS _missing, {texts}
        FROM (
            SELECT *, CAST({cells}, 'Array(Nullable(String))') AS _cells
            FROM {stage.table("good")} WHERE {put_aside(plan)}
        )
    """  # noqa: S608 - names of columns


def columns(plan: Plan) -> list[str]:
    """The columns of staged rows that a file of properties may fill."""
    stored = [field.column for field in plan.kind.fields if field.column not in UNSTORED]
    return [*stored, "properties", *_beside(plan)]


def _beside(plan: Plan) -> dict[str, str]:
    """The types of the columns that staged rows of a plan have beside those of the table."""
    columns = {KEPT: "Array(String)"} if plan.partial else {}
    columns |= {UNREAD: UNREAD_TYPE} if plan.consents else {}
    return columns | ({RAW_ROW: RAW_ROW_TYPE} if plan.kind.extras == "attributes" else {})


def _staged(plan: Plan, width: int) -> dict[str, str]:
    """SQL of each staged column, by name."""
    cells = ", ".join(f"r{index}" for index in range(width))
    raw_row = (
        f"map('row', toString(_row), 'fault', _fault, 'missing', toString(_missing), 'cells', toString([{cells}]))"
    )
    values = {
        column.field.column: _column(plan, column.field)
        for column in plan.columns
        if column.field.column not in UNSTORED
    }
    if plan.kind.extras == "attributes":
        values[RAW_ROW] = f"if(_bad, {raw_row}, {NO_PAIRS})"
    else:
        defaults = {field.column: field.default for field in plan.kind.fields if field.default != "NULL"}
        values = (
            defaults
            | values
            | _implied(plan, defaults | values)
            | {"properties": f"if(_bad, {raw_row}, {_properties(plan)})"}
        )
    if plan.event_types:
        values["event_type_id"] = _event_type(plan)
    if plan.partial:
        values[KEPT] = _kept_names(plan)
    if plan.consents and not plan.usual:
        values[UNREAD] = f"if(_bad, [], {_unread_sql(plan)})"
    return values


def _implied(plan: Plan, values: Mapping[str, str]) -> dict[str, str]:
    """SQL of the columns of which others decide what they hold."""
    implying = [(column.field.implies, values[column.field.column]) for column in plan.columns if column.field.implies]
    return {implied: f"if({value} != '', {sql}, {values[implied]})" for (implied, sql), value in implying}


def missing_sql(plan: Plan, file: File) -> str:
    """SQL of the file's columns, from 0, that a row does not speak of, so that what is stored stays."""
    if not plan.partial:
        return "CAST([], 'Array(UInt16)')"
    if file.format == "jsonl":
        return missing(file.members)
    blank = ", ".join(f"r{index} IS NULL" for index in range(len(file.names)))
    indexes = f"CAST(range({len(file.names)}), 'Array(UInt16)')"
    return f"arrayFilter((index, blank) -> blank, {indexes}, [{blank}])"


def _kept_names(plan: Plan) -> str:
    """SQL of the names of what a row does not speak of: columns of the table, and properties behind a dot."""
    names = {column.index: column.field.column for column in plan.columns}
    names |= {int(text[1:]): f".{name}" for name, text in plan.properties if text.startswith("r")}
    last = max((index for index in names if index is not None), default=-1)
    names_sql = ", ".join(literal(names.get(index, "")) for index in range(last + 1))
    return f"arrayFilter(name -> name != '', arrayMap(index -> [{names_sql}, ''][index + 1], _missing))"


def _all(plan: Plan) -> str:
    """SQL of everything of a row that is loaded, in one text."""
    texts = [column.text for column in plan.columns] + [text for _, text in plan.properties]
    # A blank between them keeps halves of characters in two columns from making a whole one.
    return f"concat({', '.join(f'ifNull({text}, {EMPTY}), {BLANK}' for text in texts)})" if texts else EMPTY


def _properties(plan: Plan) -> str:
    if not plan.properties:
        return NO_PAIRS
    pairs = ", ".join(f"{literal(name)}, ifNull({text}, '')" for name, text in plan.properties)
    return f"mapFilter((name, value) -> value != '', map({pairs}))"


def _column(plan: Plan, field: Field) -> str:
    value = f"v_{field.column}"
    if field.column == plan.kind.key[0]:
        return f"if(_bad, '', assumeNotNull({value}))"
    if plan.kind.extras == "attributes":
        return value
    if field.column == plan.kind.time_column:
        # One partition is enough for all rows that are put aside.
        type_ = sql_type(field.type).removeprefix("Nullable(").removesuffix(")")
        value = f"if(_bad, CAST(0, {literal(type_)}), {value})"
    if field.required:
        return f"assumeNotNull({value})"
    return value if field.default == "NULL" else f"ifNull({value}, {field.default})"


def _event_type(plan: Plan) -> str:
    names = ", ".join(literal(name) for name, _ in plan.event_types)
    numbers = ", ".join(str(number) for _, number in plan.event_types)
    return f"toUInt32(transform(assumeNotNull(v_event_name), [{names}], [{numbers}], 0))"


def _rejects_sql(plan: Plan, rows: str) -> str:
    """A SELECT of what is wrong with rows that are refused."""
    reasons: list[tuple[Expression, str]] = [(partial(_reason, plan, column), column.text) for column in plan.columns]
    reasons += [(partial(_reason_of_property, plan), text) for _, text in plan.properties]
    columns = [(column.name, plan.fault(column), _shown(column)) for column in plan.columns]
    columns += [(name, "false", text) for name, text in plan.properties]
    faults = ", ".join(
        _faults(sql, [(*columns[index], reasons[index][1]) for index in indexes])
        for sql, indexes in grouped(reasons).items()
    )
    line = "('', _fault, CAST(NULL, 'Nullable(String)'))"
    return f"""
        SELECT _row AS line, fault.1 AS column, fault.2 AS reason, fault.3 AS value
        FROM (
            SELECT
                _row,
                arrayJoin(if(_fault != '', [{line}], arrayFilter(pair -> pair.2 != '', arrayConcat({faults})))) AS fault
            FROM ({_judged(plan, rows)}) WHERE _bad
        )
    """  # noqa: S608 - names of columns are quoted


def _faults(reason: str, columns: list[tuple[str, str, str, str]]) -> str:
    """SQL of the faults of columns with the same reasons, by name, whether it does not fit, what is shown, text."""
    names, wrong, shown, texts = (
        ", ".join(values) for values in zip(*((literal(name), *others) for name, *others in columns), strict=True)
    )
    return (
        f"arrayMap((name, wrong, shown, text) -> (name, {reason}, shown), "
        f"[{names}], [{wrong}], CAST([{shown}], 'Array(Nullable(String))'), [{texts}])"
    )


def _reason(plan: Plan, column: MappedColumn, text: str) -> str:
    return _clean_or(plan, text, plan.reason(column, text))


def _reason_of_property(plan: Plan, text: str) -> str:
    return _clean_or(plan, text, EMPTY)


def _unread_sql(plan: Plan) -> str:
    """SQL of what stands in columns of consent and is neither yes nor no, each with the column's name in the file."""
    consents = [
        (column.field.consent.unread_sql, column) for column in plan.columns if column.field.consent is not None
    ]
    words = []
    for unread, indexes in grouped([(unread, column.text) for unread, column in consents]).items():
        names = ", ".join(literal(consents[index][1].name) for index in indexes)
        texts = ", ".join(consents[index][1].text for index in indexes)
        word = f"if({unread}, left(ifNull(text, {EMPTY}), {MAX_SHOWN}), {EMPTY})"
        words.append(f"arrayMap((name, text) -> (name, {word}), [{names}], [{texts}])")
    return f"arrayFilter(pair -> pair.2 != '', arrayConcat({', '.join(words)}))"


def _clean_or(plan: Plan, text: str, reason: str) -> str:
    """SQL of why a text is refused: for what it is made of, or, when it is `wrong`, for its type; or empty."""
    bytes_ = f"ifNull({text}, {EMPTY})"
    return f"multiIf({unclean(bytes_)}, {unclean_reason(bytes_, plan.encoding)}, wrong, {reason}, '')"


def _shown(column: MappedColumn) -> str:
    if column.field.pii or not re.fullmatch(r"r\d+", column.text):
        return f"CAST(if({column.text} IS NULL, NULL, '{HIDDEN}'), 'Nullable(String)')"
    return column.text
