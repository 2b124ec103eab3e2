"""Staged rows are looked through for what may not be meant: every kind of warning has one function here.

All of it is set-based and reads columns of staged rows; only ids that could be mistaken for another are compared
with what is stored.
"""

from rapport.customers.consent import NO, YES
from rapport.customers.formats.files import File
from rapport.customers.formats.values import sql_type
from rapport.customers.identity import is_name, says_nothing_sql
from rapport.customers.importing.column_plans import MappedColumn, Plan
from rapport.customers.importing.file_warnings import EXAMPLES, FileWarning, counted, visible
from rapport.customers.importing.look_alikes import look_alikes
from rapport.customers.importing.staging import UNREAD, UNSTORED, Stage
from rapport.customers.privacy.scrubbing import TEXT_TYPES
from rapport.stores.warehouse import identifier, literal

# As spreadsheets and programs write a number that is too long: 1.23E+05. 12E3 may be a code.
SCIENTIFIC = "^[+-]?[0-9]+([.,][0-9]+[eE][+-]?|[eE][+-])[0-9]+$"
# Columns of digits that are no ids, and suffer the same.
LONG_NUMBERS = ("MOBILE_NUMBER",)


def figures_sql(plan: Plan) -> dict[str, str]:
    """SQL of figures about staged rows, by name: where one is 0 there is nothing to tell."""
    conditions = {f"scientific {column.field.column}": _is_scientific(column) for column in _numbered(plan)}
    conditions |= {f"nothing {column.field.column}": _is_nothing(column) for column in _personal(plan)}
    conditions |= {"negative": "quantity < 0"} if plan.has("quantity") else {}
    conditions |= {"unread": f"notEmpty({UNREAD})"} if plan.consents else {}
    conditions |= {f"unborn {column.field.column}": _is_unborn(plan, column) for column in _births(plan)}
    conditions |= {"future": _is_future(plan)} if plan.kind.time_column and plan.has(plan.kind.time_column) else {}
    return {name: f"countIf({condition})" for name, condition in conditions.items()}


def inspect(stage: Stage, plan: Plan, file: File, signs: frozenset[str]) -> list[FileWarning]:
    """What is suspicious of a file and of its good rows, in the order in which it is told; signs are those seen."""
    warnings = [*file.warnings, *look_alikes(stage, plan, signs)]
    warnings += [
        _scientific(stage, column) for column in _numbered(plan) if f"scientific {column.field.column}" in signs
    ]
    warnings += [_negative(stage, plan)] if "negative" in signs else []
    warnings += [_nothing(stage, column) for column in _personal(plan) if f"nothing {column.field.column}" in signs]
    warnings += _unread(stage, plan) if "unread" in signs else []
    warnings += [_future(stage, plan)] if "future" in signs else []
    warnings += [_unborn(stage, plan, column) for column in _births(plan) if f"unborn {column.field.column}" in signs]
    return [warning for warning in [*warnings, _ignored(plan)] if warning.count]


def _numbered(plan: Plan) -> list[MappedColumn]:
    """The columns of ids, and of digits that suffer the same."""
    columns = [
        column
        for column in plan.columns
        if column.field.type in ("Id", "Person") or column.field.column in LONG_NUMBERS
    ]
    return [column for column in columns if column.field.column not in UNSTORED]


def _is_scientific(column: MappedColumn) -> str:
    text = f"toString({identifier(column.field.column)})"
    # A letter is looked for faster than a pattern.
    return f"(position({text}, 'e') > 0 OR position({text}, 'E') > 0) AND match({text}, {literal(SCIENTIFIC)})"


def _scientific(stage: Stage, column: MappedColumn) -> FileWarning:
    count, examples = _matching(stage, column.field.column, _is_scientific(column))
    message = (
        f"{_values(count, column)} in scientific notation: a spreadsheet may have cut digits off, "
        "so that several ids became one."
    )
    # Examples are kept with the import, so none is of an identifying column.
    return FileWarning("scientific_notation", message, count, () if column.field.pii else examples)


def _negative(stage: Stage, plan: Plan) -> FileWarning:
    good, key = stage.table("good"), identifier(plan.kind.key[0])
    sql = f"SELECT count(), groupArray({EXAMPLES})({key}) FROM {good} WHERE quantity < 0"  # noqa: S608 - our table
    count, keys = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, 'row has', 'rows have')} a negative quantity: a return is a row whose Is_Return says yes."
    )
    return FileWarning("negative_quantity", message, count, tuple(visible(row_key) for row_key in keys))


def _is_future(plan: Plan) -> str:
    """SQL of whether a staged row is dated after today."""
    column = plan.kind.time_column
    day = f"toDate({column}, {literal(plan.dates.zone)})" if column == "event_at" else f"toDate({column})"
    return f"{day} > toDate({literal(plan.dates.today.isoformat())})"


def _future(stage: Stage, plan: Plan) -> FileWarning:
    good, key = stage.table("good"), identifier(plan.kind.key[0])
    sql = f"SELECT count(), groupArray({EXAMPLES})({key}) FROM {good} WHERE {_is_future(plan)}"  # noqa: S608 - our table
    count, keys = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, 'row is', 'rows are')} dated after today, {plan.dates.today}: each counts from now on, "
        "as a response to campaigns, too."
    )
    return FileWarning("future_dates", message, count, tuple(visible(row_key) for row_key in keys))


def _births(plan: Plan) -> list[MappedColumn]:
    return [column for column in plan.columns if "BIRTH" in column.field.column.upper() and column.field.type == "Date"]


def _is_unborn(plan: Plan, column: MappedColumn) -> str:
    return f"ifNull({identifier(column.field.column)} > toDate32({literal(plan.dates.today.isoformat())}), false)"


def _unborn(stage: Stage, plan: Plan, column: MappedColumn) -> FileWarning:
    """Birthdays that are still to come; no examples, since they identify people."""
    sql = f"SELECT count() FROM {stage.table('good')} WHERE {_is_unborn(plan, column)}"  # noqa: S608 - our table
    count = int(stage.warehouse.value(sql))
    days = counted(count, f"value of {column.name} is a day", f"values of {column.name} are days")
    return FileWarning("future_dates", f"{days} after today, {plan.dates.today}: nobody is born then.", count)


def _personal(plan: Plan) -> list[MappedColumn]:
    """The columns of texts in which there are addresses or names."""
    if plan.kind.extras != "attributes":
        return []
    return [column for column in plan.columns if column.field.pii and sql_type(column.field.type) in TEXT_TYPES]


def _is_nothing(column: MappedColumn) -> str:
    text = f"ifNull({identifier(column.field.column)}, 'known')"
    return says_nothing_sql(text, name=is_name(column.field.column))


def _nothing(stage: Stage, column: MappedColumn) -> FileWarning:
    """Words for nothing where an address or a name should be."""
    count, examples = _matching(stage, column.field.column, _is_nothing(column))
    message = f"{_values(count, column)} no more than a word for nothing: what is known of these customers stays."
    return FileWarning("says_nothing", message, count, examples)


def _unread(stage: Stage, plan: Plan) -> list[FileWarning]:
    """Words of consent that are neither yes nor no: what they were read as, so that nobody is written to by mistake."""
    words = f"SELECT arrayJoin({UNREAD}) AS word FROM {stage.table('good')}"  # noqa: S608 - our table
    sql = f"SELECT word.1, count(), groupUniqArray({EXAMPLES})(word.2) FROM ({words}) GROUP BY word.1"  # noqa: S608 - ours
    unread = {column: (int(count), sorted(values)) for column, count, values in stage.warehouse.rows(sql)}
    return [_unread_column(column, *unread[column.name]) for column in plan.consents if column.name in unread]


def _unread_column(column: MappedColumn, count: int, values: list[str]) -> FileWarning:
    read_as = YES if column.field.consent is not None and column.field.consent.forbids else NO
    message = f"{_values(count, column)} neither yes nor no; each counts as {read_as}, and nothing is sent on it."
    return FileWarning("consent_not_read", message, count, tuple(visible(value) for value in values))


def _ignored(plan: Plan) -> FileWarning:
    names = ", ".join(plan.ignored[:EXAMPLES])
    message = f"Columns were not loaded, since only the API or the daily model writes these attributes: {names}."
    return FileWarning("ignored_columns", message, len(plan.ignored))


def _values(count: int, column: MappedColumn) -> str:
    return f"{counted(count, 'value', 'values')} of {column.name} {'is' if count == 1 else 'are'}"


def _matching(stage: Stage, column: str, condition: str) -> tuple[int, tuple[str, ...]]:
    """How many distinct values of a column of staged rows meet a condition, and a few of them."""
    name = identifier(column)
    sql = f"""
        SELECT count(), groupArray({EXAMPLES})(value) FROM (
            SELECT DISTINCT assumeNotNull(toString({name})) AS value FROM {stage.table("good")} WHERE {condition}
        )
    """  # noqa: S608 - names of columns
    count, examples = stage.warehouse.row(sql) or (0, [])
    return int(count), tuple(visible(example) for example in examples)
