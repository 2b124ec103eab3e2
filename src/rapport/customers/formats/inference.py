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
from rapport.customers.importing.plans import Bound, Plan, new_attribute
from rapport.stores.warehouse import Database

# Narrowest first; a column of decimals is found by the forms of its texts.
CANDIDATES = ("Bigint", "Date", "Datetime")


def typed(warehouse: Database, file: File, plan: Plan) -> Plan:
    """The plan with a type for each new attribute, and with the forms that decimals of this file leave possible."""
    asked = [one for one in plan.bound if not one.field.type or len(one.field.forms) > 1]
    if not asked:
        return plan
    wanted = [(partial(_counted, plan, one), one.text) for one in asked]
    counts = totals(warehouse, (*AGGREGATES, *("sum" for _ in CANDIDATES)), wanted, rows_sql(file), file.settings)
    found = {one.field.column: _found(one, counted) for one, counted in zip(asked, counts, strict=True)}
    bound = tuple(found.get(one.field.column, one) for one in plan.bound)
    infos = tuple(new_attribute(found[one.field.column]) for one in asked if not one.field.type)
    return replace(plan, bound=bound, new_attributes=(*plan.new_attributes, *infos))


def _counted(plan: Plan, one: Bound, text: str) -> str:
    """SQL of what is counted of a text of a column: of how numbers are written, and whether it fits each candidate."""
    text = one.plain(text)
    fits = [f"toUInt8(ifNull({_fits(plan, one, candidate, text)}, 0))" for candidate in CANDIDATES]
    return f"({', '.join((*counts_sql(text), *(fits if not one.field.type else ['0'] * len(CANDIDATES))))})"


def _fits(plan: Plan, one: Bound, candidate: str, text: str) -> str:
    dates = plan.dates_of(one)
    fits = dates.fits(candidate, text) if candidate in YEARS else f"{plan.typed(one, candidate, text)} IS NOT NULL"
    if candidate == "Date":
        return f"{fits} AND {dates.is_day(text)}"
    return f"{fits} AND {dates.keeps(candidate, text)}" if candidate == "Datetime" else fits


def _found(one: Bound, counts: tuple[int, ...]) -> Bound:
    """A column with its type and forms, by its counts."""
    written, fits = counts[: len(AGGREGATES)], counts[len(AGGREGATES) :]
    forms = forms_of(written)
    if one.field.type:
        # Without a form that the whole file has, its rows are judged by those that there were.
        kept = tuple(form for form in one.field.forms if form in forms)
        return replace(one, field=replace(one.field, forms=kept or one.field.forms))
    present = written[0]
    whole = [candidate for candidate, fit in zip(CANDIDATES, fits, strict=True) if present and fit == present]
    type_ = whole[0] if whole else "Decimal" if forms else "Nvarchar"
    kept = forms if type_ == "Decimal" else (WHOLE_DATES,) if type_ in LENGTHS else ()
    return replace(one, field=replace(one.field, type=type_, forms=kept))


def keep_origins(scope: Scope, plan: Plan) -> None:
    """Note what a loaded file told of known attributes: the forms of their decimals, the name of their column."""
    if not _origins(plan, plan.known):
        return
    for info in _origins(plan, attributes(scope)):
        save(scope, info)


def _origins(plan: Plan, known: Mapping[str, AttributeInfo]) -> list[AttributeInfo]:
    """Known attributes of which a file tells more."""
    changed = []
    for one in plan.bound:
        info = known.get(one.field.column.upper())
        if info is None or not (info.forms or one.header):
            continue
        told = replace(info, forms=one.field.forms, header=info.header or same_name(one.header))
        changed += [told] if told != info else []
    return changed
