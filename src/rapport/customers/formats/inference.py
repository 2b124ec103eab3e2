"""Types of attributes that a customers file brings along for the first time.

A type is taken only when every value of the file comes back from it as it was written; otherwise the column holds
texts, so that codes stay what they are. A known column of decimals keeps the forms that all its values had.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from rapport.access.scope import Scope
from rapport.customers.attributes import AttributeInfo, attributes, save
from rapport.customers.formats.dates import LENGTHS, WHOLE_DATES, YEARS
from rapport.customers.formats.files import File, rows_sql
from rapport.customers.formats.headers import same_name
from rapport.customers.formats.numerals import AGGREGATES, counts_sql, forms_of
from rapport.customers.formats.repeated import totals
from rapport.customers.importing.column_plans import MappedColumn, Plan, new_attribute
from rapport.stores.warehouse import Database

# Narrowest first; a column of decimals is found by the forms of its texts.
CANDIDATES = ("Bigint", "Date", "Datetime")


def typed(warehouse: Database, file: File, plan: Plan) -> Plan:
    """The plan with a type for each new attribute, and with the forms that decimals of this file leave possible."""
    undecided = [column for column in plan.columns if not column.field.type or len(column.field.forms) > 1]
    if not undecided:
        return plan
    expressions = [(partial(_counted, plan, column), column.text) for column in undecided]
    counts = totals(warehouse, (*AGGREGATES, *("sum" for _ in CANDIDATES)), expressions, rows_sql(file), file.settings)
    decided = {
        column.field.column: _decided(column, counted) for column, counted in zip(undecided, counts, strict=True)
    }
    columns = tuple(decided.get(column.field.column, column) for column in plan.columns)
    infos = tuple(new_attribute(decided[column.field.column]) for column in undecided if not column.field.type)
    return replace(plan, columns=columns, new_attributes=(*plan.new_attributes, *infos))


def _counted(plan: Plan, column: MappedColumn, text: str) -> str:
    """SQL of what is counted of a text of a column: of how numbers are written, and whether it fits each candidate."""
    text = column.plain(text)
    fits = [f"toUInt8(ifNull({_fits(plan, column, candidate, text)}, 0))" for candidate in CANDIDATES]
    return f"({', '.join((*counts_sql(text), *(fits if not column.field.type else ['0'] * len(CANDIDATES))))})"


def _fits(plan: Plan, column: MappedColumn, candidate: str, text: str) -> str:
    dates = plan.dates_of(column)
    fits = dates.fits(candidate, text) if candidate in YEARS else f"{plan.typed(column, candidate, text)} IS NOT NULL"
    if candidate == "Date":
        return f"{fits} AND {dates.is_day(text)}"
    return f"{fits} AND {dates.keeps(candidate, text)}" if candidate == "Datetime" else fits


def _decided(column: MappedColumn, counts: tuple[int, ...]) -> MappedColumn:
    """A column with its type and forms, by its counts."""
    written, fits = counts[: len(AGGREGATES)], counts[len(AGGREGATES) :]
    forms = forms_of(written)
    if column.field.type:
        # Without a form that the whole file has, its rows are judged by those that there were.
        column_forms = tuple(form for form in column.field.forms if form in forms)
        return replace(column, field=replace(column.field, forms=column_forms or column.field.forms))
    present = written[0]
    whole = [candidate for candidate, fit in zip(CANDIDATES, fits, strict=True) if present and fit == present]
    type_ = whole[0] if whole else "Decimal" if forms else "Nvarchar"
    column_forms = forms if type_ == "Decimal" else (WHOLE_DATES,) if type_ in LENGTHS else ()
    return replace(column, field=replace(column.field, type=type_, forms=column_forms))


def keep_origins(scope: Scope, plan: Plan) -> None:
    """Note what a loaded file told of known attributes: the forms of their decimals, the name of their column."""
    if not _origins(plan, plan.attributes):
        return
    for info in _origins(plan, attributes(scope)):
        save(scope, info)


def _origins(plan: Plan, attributes_by_name: Mapping[str, AttributeInfo]) -> list[AttributeInfo]:
    """Known attributes of which a file tells more."""
    changed = []
    for column in plan.columns:
        info = attributes_by_name.get(column.field.column.upper())
        if info is None or not (info.forms or column.header):
            continue
        updated = replace(info, forms=column.field.forms, header=info.header or same_name(column.header))
        changed += [updated] if updated != info else []
    return changed
