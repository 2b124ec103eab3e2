"""Staged rows are looked through for what may not be meant: every kind of suspicion has one function here.

All of it is set-based and reads columns of staged rows; only ids that could be mistaken for another are compared
with what is stored.
"""

from rapport.customers.consent import NO, YES
from rapport.customers.files import File
from rapport.customers.identity import is_name, says_nothing_sql
from rapport.customers.look_alikes import look_alikes
from rapport.customers.plans import Bound, Plan
from rapport.customers.scrubbing import TEXT_TYPES
from rapport.customers.staging import Stage
from rapport.customers.suspicions import EXAMPLES, Suspicion, counted, visible
from rapport.stores.warehouse import identifier, literal

# As spreadsheets and programs write a number that is too long: 1.23E+05. 12E3 may be a code.
SCIENTIFIC = "^[+-]?[0-9]+([.,][0-9]+[eE][+-]?|[eE][+-])[0-9]+$"
# Columns of digits that are no ids, and suffer the same.
LONG_NUMBERS = ("MOBILE_NUMBER",)


def inspect(stage: Stage, plan: Plan, file: File) -> list[Suspicion]:
    """What is suspicious of a file and of its good rows, in the order in which it is told."""
    found = [*file.suspicions, *look_alikes(stage, plan), *_scientific(stage, plan), *_negative(stage, plan)]
    found += [*_nothing(stage, plan), *_unread(stage, plan), _ignored(plan)]
    return [one for one in found if one.count]


def _scientific(stage: Stage, plan: Plan) -> list[Suspicion]:
    present = _present(stage)
    asked = [one for one in plan.bound if one.field.type in ("Id", "Person") or one.field.column in LONG_NUMBERS]
    return [_scientific_column(stage, one) for one in asked if one.field.column in present]


def _scientific_column(stage: Stage, one: Bound) -> Suspicion:
    column = one.field.column
    count, examples = _matching(stage, column, f"match(toString({identifier(column)}), {literal(SCIENTIFIC)})")
    message = (
        f"{_values(count, one)} in scientific notation: a spreadsheet may have cut digits off, "
        "so that several ids became one."
    )
    # Examples are kept with the import, so none is of an identifying column.
    return Suspicion("scientific_notation", message, count, () if one.field.pii else examples)


def _negative(stage: Stage, plan: Plan) -> list[Suspicion]:
    if not plan.has("quantity"):
        return []
    good, key = stage.table("good"), identifier(plan.kind.key[0])
    sql = f"SELECT count(), groupArray({EXAMPLES})({key}) FROM {good} WHERE quantity < 0"  # noqa: S608 - our table
    count, keys = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, 'row has', 'rows have')} a negative quantity: a return is a row whose Is_Return says yes."
    )
    return [Suspicion("negative_quantity", message, count, tuple(visible(one) for one in keys))]


def _nothing(stage: Stage, plan: Plan) -> list[Suspicion]:
    """Words for nothing where an address or a name should be."""
    told = [one for one in plan.bound if one.field.pii and _present(stage).get(one.field.column) in TEXT_TYPES]
    return [_nothing_column(stage, one) for one in told if plan.kind.extras == "attributes"]


def _nothing_column(stage: Stage, one: Bound) -> Suspicion:
    text = f"ifNull({identifier(one.field.column)}, 'known')"
    count, examples = _matching(stage, one.field.column, says_nothing_sql(text, is_name(one.field.column)))
    message = f"{_values(count, one)} no more than a word for nothing: what is known of these customers stays."
    return Suspicion("says_nothing", message, count, examples)


def _unread(stage: Stage, plan: Plan) -> list[Suspicion]:
    """Words of consent that are neither yes nor no: what they were read as, so that nobody is written to by mistake."""
    if not plan.consents:
        return []
    sql = f"SELECT column, count(), groupUniqArray({EXAMPLES})(value) FROM {stage.table('unread')} GROUP BY column"  # noqa: S608 - ours
    found = {column: (int(count), sorted(values)) for column, count, values in stage.warehouse.rows(sql)}
    return [_unread_column(one, *found[one.name]) for one in plan.consents if one.name in found]


def _unread_column(one: Bound, count: int, values: list[str]) -> Suspicion:
    read_as = YES if one.field.consent is not None and one.field.consent.forbids else NO
    message = f"{_values(count, one)} neither yes nor no; each counts as {read_as}, and nothing is sent on it."
    return Suspicion("consent_not_read", message, count, tuple(visible(value) for value in values))


def _ignored(plan: Plan) -> Suspicion:
    names = ", ".join(plan.ignored[:EXAMPLES])
    message = f"Columns were not loaded, since only the API or the daily model writes these attributes: {names}."
    return Suspicion("ignored_columns", message, len(plan.ignored))


def _values(count: int, one: Bound) -> str:
    return f"{counted(count, 'value', 'values')} of {one.name} {'is' if count == 1 else 'are'}"


def _present(stage: Stage) -> dict[str, str]:
    return stage.warehouse.columns(stage.table("good"))


def _matching(stage: Stage, column: str, condition: str) -> tuple[int, tuple[str, ...]]:
    """How many distinct values of a column of staged rows meet a condition, and a few of them."""
    name = identifier(column)
    sql = f"""
        SELECT count(), groupArray({EXAMPLES})(value) FROM (
            SELECT DISTINCT assumeNotNull(toString({name})) AS value FROM {stage.table("good")} WHERE {condition}
        )
    """  # noqa: S608 - names of columns
    count, examples = stage.warehouse.row(sql) or (0, [])
    return int(count), tuple(visible(one) for one in examples)
