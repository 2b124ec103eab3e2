"""SQL of customers that the wire reads use."""

from datetime import date, datetime, time, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.customers.attributes import NUMERIC, AttributeInfo, attributes
from rapport.customers.writes.attribute_writes import spelling
from rapport.errors import NotFound
from rapport.stores.warehouse import identifier

# The reference has no type of its own for days with a time.
SHOWN_TYPES = {"Datetime": "Date"}
PREVIOUS = "SELECT max(data_date) FROM profiles WHERE data_date < {data_date:Date} HAVING count() > 0"


def as_shown(info: AttributeInfo) -> str:
    """SQL of a value as GetCustomerAttributes shows it: dates as MM/DD/YYYY HH:MM:SS, decimals with four places."""
    column = identifier(info.real_field_name)
    if info.field_type in ("Date", "Datetime"):
        return f"formatDateTime({column}, '%m/%d/%Y %H:%i:%S')"
    if info.field_type == "Decimal":
        return f"toDecimalString({column}, 4)"
    return f"toString({column})"


def attribute_values(scope: Scope, customer_id: str) -> list[dict[str, Any]]:
    """The current profile of one customer, numeric attributes first. Raises NotFound for an unknown customer.

    A customer who came after the last daily process is shown as the files and the API describe them.
    """
    infos = sorted(attributes(scope).values(), key=lambda info: (info.field_type not in NUMERIC, info.real_field_name))
    spelled = spelling(scope, customer_id)
    if spelled is None:
        raise NotFound(f"There is no customer {customer_id!r}.")
    row = _row(scope, "profiles", infos, spelled) or _row(scope, "customers", infos, spelled)
    values = row or {}
    return [
        {
            "RealFieldName": info.real_field_name,
            "Alias": info.alias,
            "FieldType": SHOWN_TYPES.get(info.field_type, info.field_type),
            "Value": values.get(info.real_field_name),
        }
        for info in infos
    ]


def _row(scope: Scope, table: str, infos: list[AttributeInfo], customer_id: str) -> dict[str, str | None] | None:
    present = scope.warehouse.columns(table)
    shown = [info for info in infos if info.real_field_name in present]
    where, parameters = "", {}
    if table == "profiles":
        data_date = scope.data_date()
        if data_date is None:
            return None
        where, parameters = "AND data_date = {data_date:Date}", {"data_date": data_date}
    columns = ", ".join(as_shown(info) for info in shown)
    sql = f"SELECT {columns} FROM {table} WHERE customer_id = {{customer_id:String}} {where}"  # noqa: S608 - names of columns
    row = scope.warehouse.row(sql, customer_id=customer_id, **parameters)
    return dict(zip((info.real_field_name for info in shown), row, strict=True)) if row else None


def last_two_dates(scope: Scope) -> tuple[date, date] | None:
    """The newest data date and the one before it that a snapshot is kept of; None without two."""
    newest = scope.data_date()
    if newest is None:
        return None
    previous = scope.warehouse.value(PREVIOUS, data_date=newest)
    return (newest, previous) if previous else None


def instants(scope: Scope, first: date, last: date) -> tuple[str, str]:
    """The UTC instants, as text, at which a span of the tenant's days begins and ends (exclusive)."""
    begin = scope.instant(datetime.combine(first, time()))
    end = scope.instant(datetime.combine(last + timedelta(days=1), time()))
    return begin.strftime("%Y-%m-%d %H:%M:%S"), end.strftime("%Y-%m-%d %H:%M:%S")
