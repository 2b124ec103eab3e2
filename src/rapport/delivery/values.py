"""What is known of customers when a message to them leaves."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.states import STORED_SOURCES
from rapport.stores.warehouse import identifier

PROFILES = """
    SELECT customer_id, {columns} FROM profiles
    WHERE data_date = {{data_date:Date}} AND customer_id IN {{ids:Array(String)}}
"""
# Customers who came after the last daily process.
CUSTOMERS = "SELECT customer_id, {columns} FROM customers WHERE customer_id IN {{ids:Array(String)}}"

# The newest data date before a day; that of no profiles is in 1970.
DATA_DATE_BEFORE = "SELECT max(data_date) FROM profiles WHERE data_date < {day:Date}"
EPOCH = date(1970, 1, 1)

# Attributes by upper-case RealFieldName, as on the wire.
Values = dict[str, str | None]


def attribute_values(
    scope: Scope, customer_ids: Sequence[str], names: Collection[str], day: date | None = None
) -> dict[str, Values]:
    """Attributes of customers by CustomerID; those whom nobody knows are absent. Raises Invalid for an unknown name.

    From the profile of the published data date, or of the newest one before a day of the tenant while it is kept; of a
    customer who is newer, from what files and the API said.
    """
    if not names:
        return {}
    infos = attributes.find(scope, sorted(names), "The template")
    data_date = scope.data_date()
    if day is not None and (of_day := scope.warehouse.value(DATA_DATE_BEFORE, day=day)) != EPOCH:
        data_date = min(of_day, data_date) if data_date else of_day
    values: dict[str, Values] = {}
    if data_date is not None:
        values = _read(scope, PROFILES, infos, customer_ids, data_date=data_date)
    newer = [customer_id for customer_id in customer_ids if customer_id not in values]
    if newer:
        values |= _read(scope, CUSTOMERS, [info for info in infos if info.source in STORED_SOURCES], newer)
    return values


def _read(
    scope: Scope, sql: str, infos: Sequence[AttributeInfo], ids: Sequence[str], **parameters: Any
) -> dict[str, Values]:
    columns = [attributes.rendered(info, identifier(info.real_field_name)) for info in infos] or ["NULL"]
    rows = scope.warehouse.rows(sql.format(columns=", ".join(columns)), ids=list(ids), **parameters)
    names = [info.real_field_name.upper() for info in infos]
    return {str(row[0]): dict(zip(names, row[1:], strict=False)) for row in rows}
