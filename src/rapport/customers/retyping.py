"""Another type for an attribute, and the end of one: the tables are changed aside and take their places at once."""

from dataclasses import replace

from rapport.access.scope import Scope
from rapport.customers.agreeing import CORE, reopen
from rapport.customers.attributes import COLUMN_TYPES, AttributeInfo, attributes, save
from rapport.customers.attributes import forget as forget_record
from rapport.customers.formats.dates import SQL_TYPES, Dates
from rapport.customers.formats.numerals import FLOAT, PLACES, SHORTEST
from rapport.customers.formats.values import RULES
from rapport.customers.importing.asides import drop_aside
from rapport.customers.importing.merging import PARTITIONS
from rapport.customers.states import STORED_SOURCES
from rapport.customers.writes import locks
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.warehouse import identifier
from rapport.stores.workflows import work

ASIDE = "import_changed_"
TABLES = ("customers", "profiles")
# Decimals that keep all their digits.
WHOLLY_KEPT = f"^-?[0-9]+([.][0-9]{{1,{PLACES}}}0*)?$"
EXAMPLES = 3


def changeable(scope: Scope, name: str) -> AttributeInfo:
    """The attribute of a name, if it is neither built in nor computed. Raises NotFound, Invalid."""
    info = attributes(scope).get(name.upper())
    if info is None:
        raise NotFound(f"There is no attribute {name!r}.")
    if info.real_field_name.upper() in CORE:
        raise Invalid(f"{info.real_field_name} is built in: its type is fixed and it cannot be deleted.")
    if info.source not in STORED_SOURCES:
        raise Invalid(f"{info.real_field_name} is computed: its type is fixed and it cannot be deleted.")
    return info


def retype(scope: Scope, name: str, field_type: str) -> AttributeInfo:
    """Give an attribute another type, with all its values. Raises Conflict when some of them do not convert.

    Raises Away, and changes nothing, when the records went away meanwhile.
    From then on it counts as declared: files may write its decimals in any plain form.
    """
    with locks.no_imports(scope), locks.writing(scope):
        info = changeable(scope, name)
        if info.field_type == field_type:
            return info
        _check_values(scope, info, field_type)
        changed = replace(info, field_type=field_type, forms=(), max_length=None)
        for table in TABLES:
            _convert(scope, table, info, field_type)
        pairs = ", ".join(f"{ASIDE}{table} AND {table}" for table in TABLES)
        with locks.replacing(scope, *(f"{ASIDE}{table}" for table in TABLES)):
            scope.warehouse.execute(f"EXCHANGE TABLES {pairs}")
            # It is noted until the records know of it, so that whoever comes after a kill tells them.
            work.waiting(_enter, "attributes.retype", bounded=False)(scope, changed)
        drop_aside(scope.warehouse, [f"{ASIDE}{table}" for table in TABLES])
    with scope.records() as session:
        scope.audit(session, "change", f"attribute {info.real_field_name}", field_type=field_type)
    return changed


def _enter(scope: Scope, changed: AttributeInfo) -> None:
    """Tell the records of the type that the tables have; files that were loaded before may be loaded again."""
    save(scope, changed)
    reopen(scope, "customers")


def _leave(scope: Scope, info: AttributeInfo) -> None:
    forget_record(scope, info)
    reopen(scope, "customers")


def delete(scope: Scope, name: str) -> None:
    """Take an attribute away with all its values; its name is free then. Who uses it is not asked here."""
    with locks.no_imports(scope), locks.writing(scope):
        info = changeable(scope, name)
        with locks.replacing(scope, f"{ASIDE}customers"):
            for table in TABLES:
                scope.warehouse.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS {identifier(info.real_field_name)}")
            work.waiting(_leave, "attributes.delete", bounded=False)(scope, info)
    with scope.records() as session:
        scope.audit(session, "delete", f"attribute {info.real_field_name}", field_type=info.field_type)


def _text(info: AttributeInfo) -> str:
    """SQL of a stored value as files write it."""
    column = identifier(info.real_field_name)
    text = f"CAST(toString({column}), 'Nullable(String)')"
    places = [form.removeprefix("places") for form in info.forms if form.startswith("places")]
    if SHORTEST in info.forms or not info.forms or info.field_type != "Decimal":
        return text
    if FLOAT in info.forms:
        return f"if(position({text}, '.') = 0, concat({text}, '.0'), {text})"
    return f"toDecimalString({column}, {places[0]})"


def _value(scope: Scope, text: str, field_type: str) -> str:
    """SQL of a text as a value of a type; NULL where a part of it would be lost."""
    if field_type == "Date":
        # A time of day is a part that would be lost, but for midnight.
        text = f"replaceOne({text}, ' 00:00:00', '')"
        return f"if(length({text}) = 10, {Dates(str(scope.time_zone), scope.today()).value('Date', text)}, NULL)"
    if field_type in SQL_TYPES:
        return Dates(str(scope.time_zone), scope.today()).value(field_type, text)
    value = RULES[field_type].value(text)
    return f"if(match({text}, '{WHOLLY_KEPT}'), {value}, NULL)" if field_type == "Decimal" else value


def _check_values(scope: Scope, info: AttributeInfo, field_type: str) -> None:
    text = _text(info)
    misfits = " UNION ALL ".join(
        f"SELECT customer_id, written FROM (SELECT customer_id, {text} AS written FROM {table}) "  # noqa: S608 - names of columns
        f"WHERE written IS NOT NULL AND {_value(scope, 'written', field_type)} IS NULL"
        for table in TABLES
    )
    row = scope.warehouse.row(f"SELECT uniqExact(customer_id), groupUniqArray({EXAMPLES})(written) FROM ({misfits})")  # noqa: S608 - ours
    count, examples = row or (0, [])
    if count:
        several = "value does" if count == 1 else "values do"
        shown = ", ".join(repr("(not shown)" if info.is_pii else example) for example in sorted(examples))
        raise Conflict(
            f"field_type: {count:,} {several} not convert from {info.field_type} to {field_type} without a loss, "
            f"such as {shown}."
        )


def _convert(scope: Scope, table: str, info: AttributeInfo, field_type: str) -> None:
    """Make the table aside, with the column as another type."""
    warehouse, aside, column = scope.warehouse, f"{ASIDE}{table}", identifier(info.real_field_name)
    warehouse.execute(f"DROP TABLE IF EXISTS {aside} SYNC")
    # A copy links to the parts only, so updates that still lie beside them are made part of them first.
    warehouse.execute(f"ALTER TABLE {table} APPLY PATCHES")
    warehouse.execute(f"CREATE TABLE {aside} CLONE AS {table}")
    converted = identifier("__converted__")
    warehouse.execute(f"ALTER TABLE {aside} ADD COLUMN {converted} {COLUMN_TYPES[field_type]} AFTER {column}")
    value = _value(scope, _text(info), field_type)
    if warehouse.rows(PARTITIONS, database=warehouse.name, table=aside):
        warehouse.execute(f"ALTER TABLE {aside} UPDATE {converted} = {value} WHERE 1")
    warehouse.execute(f"ALTER TABLE {aside} DROP COLUMN {column}")
    warehouse.execute(f"ALTER TABLE {aside} RENAME COLUMN {converted} TO {column}")
