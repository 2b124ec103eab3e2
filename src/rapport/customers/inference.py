"""Types of attributes that a customers file brings along for the first time."""

from dataclasses import replace

from rapport.customers.attributes import AttributeInfo
from rapport.customers.files import File, rows_sql
from rapport.customers.plans import Bound, Plan
from rapport.stores.warehouse import Database

# Narrowest first. A type is taken when nearly all values of the file fit it; the others are rejects.
CANDIDATES = ("Bigint", "Decimal", "Date", "Datetime")
SHARE = 0.95
LEADING_ZERO = "^[+-]?0[0-9]"


def typed(warehouse: Database, file: File, plan: Plan) -> Plan:
    """The plan with a type for each new attribute: the narrowest that 95% of the file's values fit, else Nvarchar."""
    new = [one for one in plan.bound if not one.field.type]
    if not new:
        return plan
    counts = warehouse.row(_count_sql(file, plan, new))
    assert counts is not None
    types = {one.field.column: _type(counts[5 * place : 5 * place + 5]) for place, one in enumerate(new)}
    bound = tuple(
        replace(one, field=replace(one.field, type=types[one.field.column])) if not one.field.type else one
        for one in plan.bound
    )
    infos = tuple(_info(one, types[one.field.column]) for one in new)
    return replace(plan, bound=bound, new_attributes=infos)


def _count_sql(file: File, plan: Plan, new: list[Bound]) -> str:
    counts = []
    for one in new:
        counts.append(f"countIf({one.text} IS NOT NULL)")
        for candidate in CANDIDATES:
            fits = f"{plan.typed(one, candidate)} IS NOT NULL"
            if candidate in ("Bigint", "Decimal"):
                fits += f" AND NOT match(ifNull({one.text}, ''), '{LEADING_ZERO}')"
            if candidate == "Date":
                fits += f" AND {plan.dates_of(one).is_day(one.text)}"
            counts.append(f"countIf({fits})")
    return f"SELECT {', '.join(counts)} FROM ({rows_sql(file)}) {file.settings}"  # noqa: S608 - made of the file's structure


def _type(counts: tuple[int, ...]) -> str:
    present, *fits = counts
    enough = [candidate for candidate, fit in zip(CANDIDATES, fits, strict=True) if present and fit >= SHARE * present]
    return enough[0] if enough else "Nvarchar"


def _info(one: Bound, field_type: str) -> AttributeInfo:
    alias = one.field.column.replace("_", " ").strip().title()
    return AttributeInfo(one.field.column, alias, "", field_type, "batch")
