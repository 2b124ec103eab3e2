"""Staging: a file is read once into tables aside, good rows in one, refused ones with their reasons in another.

The file's rows run through a table that keeps nothing (engine Null); views of it split them. So the file is
read and parsed once, in constant memory, and nothing that is read by others changes. What is wrong with a row
is found out afterwards, from the bad rows alone.
"""

import re
from dataclasses import dataclass
from functools import partial

from rapport.customers.cells import MAX_SHOWN, unclean, unclean_reason
from rapport.customers.files import File, rows_sql
from rapport.customers.json_lines import missing
from rapport.customers.kinds import Field
from rapport.customers.plans import Bound, Plan
from rapport.customers.repeated import Expression, grouped, written_once
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
    views = [name for name in names if name.endswith("_view")]
    for together in (views, [name for name in names if name not in views]):
        if together:
            warehouse.execute(f"DROP TABLE IF EXISTS {', '.join(map(identifier, together))} SYNC")


def create(stage: Stage, plan: Plan, file: File) -> None:
    """Make the staging tables of a plan."""
    warehouse = stage.warehouse
    added = [f"{identifier(info.real_field_name)} {sql_type(info.field_type)}" for info in plan.new_attributes]
    added += [f"{KEPT} Array(String)"] if plan.partial else []
    warehouse.execute(f"CREATE TABLE {stage.table('good')} AS {plan.kind.table}")
    if added:
        columns = ", ".join(f"ADD COLUMN {column}" for column in added)
        warehouse.execute(f"ALTER TABLE {stage.table('good')} {columns}")
    warehouse.execute(
        f"CREATE TABLE {stage.table('rejects')} (line UInt64, column String, reason String, value Nullable(String)) "
        "ENGINE = MergeTree ORDER BY line"
    )
    columns = _pipe_columns(plan, file)
    warehouse.execute(f"CREATE TABLE {stage.table('pipe')} ({columns}) ENGINE = Null")
    warehouse.execute(f"CREATE TABLE {stage.table('bad')} ({columns}) ENGINE = MergeTree ORDER BY _row")
    views = [("good", _good_sql(stage, plan)), ("bad", f"SELECT * FROM {stage.table('pipe')} WHERE _bad")]  # noqa: S608 - ours
    if plan.consents:
        warehouse.execute(
            f"CREATE TABLE {stage.table('unread')} (column String, value String) ENGINE = MergeTree ORDER BY column"
        )
        views.append(("unread", _unread_sql(stage, plan)))
    for part, sql in views:
        warehouse.execute(f"CREATE MATERIALIZED VIEW {stage.table(part)}_view TO {stage.table(part)} AS {sql}")


def fill(stage: Stage, plan: Plan, file: File, without: str = "") -> None:
    """Read the file into the staging tables; `without` is SQL of the line numbers to leave out."""
    arrays, values = written_once([(partial(plan.value, one), one.text) for one in plan.bound], "_values")
    named = ", ".join(f"{value} AS v_{one.field.column}" for one, value in zip(plan.bound, values, strict=True))
    faults = " OR ".join(["_fault != ''", unclean(_all(plan)), *(plan.fault(one) for one in plan.bound)])
    where = f"WHERE _row NOT IN ({without})" if without else ""
    told = ", ".join(["*", f"{missing_sql(plan, file)} AS _missing", *arrays])
    stage.warehouse.execute(f"""
        INSERT INTO {stage.table("pipe")}
        SELECT _row, {_texts(file)}, {_values(plan)}, {_properties(plan)}, _missing, _fault, {faults}
        FROM (SELECT *, {named} FROM (SELECT {told} FROM ({rows_sql(file)}) {where}))
        {file.settings}
    """)  # noqa: S608 - made of the file's structure, names quoted
    # Reasons are many words, and most files have nothing to tell.
    if stage.count("bad"):
        stage.warehouse.execute(f"INSERT INTO {stage.table('rejects')} {_rejects_sql(stage, plan)}")


def empty(stage: Stage, plan: Plan) -> None:
    """Take everything out of the staging tables, to fill them anew."""
    for part in ("good", "bad", "rejects", *(["unread"] if plan.consents else [])):
        stage.warehouse.execute(f"TRUNCATE TABLE {stage.table(part)}")


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
    reasons: list[tuple[Expression, str]] = [(partial(_reason, plan, one), one.text) for one in plan.bound]
    reasons += [(_reason_of_property, text) for _, text in plan.properties]
    told = [(one.name, plan.fault(one), _shown(one)) for one in plan.bound]
    told += [(name, "false", text) for name, text in plan.properties]
    faults = ", ".join(
        _faults(sql, [(*told[at], reasons[at][1]) for at in places]) for sql, places in grouped(reasons).items()
    )
    line = "('', _fault, CAST(NULL, 'Nullable(String)'))"
    return f"""
        SELECT _row AS line, fault.1 AS column, fault.2 AS reason, fault.3 AS value
        FROM (
            SELECT
                _row,
                arrayJoin(if(_fault != '', [{line}], arrayFilter(one -> one.2 != '', arrayConcat({faults})))) AS fault
            FROM {stage.table("bad")}
        )
    """  # noqa: S608 - names of columns are quoted


def _faults(reason: str, told: list[tuple[str, str, str, str]]) -> str:
    """SQL of the faults of columns with the same reasons, by name, whether it does not fit, what is shown, text."""
    names, wrong, shown, texts = (
        ", ".join(one) for one in zip(*((literal(name), *rest) for name, *rest in told), strict=True)
    )
    return (
        f"arrayMap((name, wrong, shown, text) -> (name, {reason}, shown), "
        f"[{names}], [{wrong}], CAST([{shown}], 'Array(Nullable(String))'), [{texts}])"
    )


def _reason(plan: Plan, one: Bound, text: str) -> str:
    return _clean_or(text, plan.reason(one, text))


def _reason_of_property(text: str) -> str:
    return _clean_or(text, EMPTY)


def _unread_sql(stage: Stage, plan: Plan) -> str:
    """What stood in columns of consent and is neither yes nor no."""
    consents = [(one.field.consent.unread_sql, one) for one in plan.bound if one.field.consent is not None]
    words = []
    for unread, places in grouped([(unread, one.text) for unread, one in consents]).items():
        names = ", ".join(literal(consents[at][1].name) for at in places)
        texts = ", ".join(consents[at][1].text for at in places)
        words.append(
            f"arrayMap((name, text) -> (name, if({unread}, left(text, {MAX_SHOWN}), '')), [{names}], [{texts}])"
        )
    return f"""
        SELECT word.1 AS column, assumeNotNull(word.2) AS value
        FROM (
            SELECT arrayJoin(arrayFilter(one -> one.2 != '', arrayConcat({", ".join(words)}))) AS word
            FROM {stage.table("pipe")} WHERE _bad = 0
        )
    """  # noqa: S608 - names of columns are quoted


def _clean_or(text: str, reason: str) -> str:
    """SQL of why a text is refused: for what it is made of, or, when it is `wrong`, for its type; or empty."""
    bytes_ = f"ifNull({text}, {EMPTY})"
    return f"multiIf({unclean(bytes_)}, {unclean_reason(bytes_)}, wrong, {reason}, '')"


def _shown(one: Bound) -> str:
    if one.field.pii or not re.fullmatch(r"r\d+", one.text):
        return f"CAST(if({one.text} IS NULL, NULL, '{HIDDEN}'), 'Nullable(String)')"
    return one.text
