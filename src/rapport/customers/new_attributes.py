"""Attributes that the API adds: limits, types, a default for every existing customer."""

import re
from typing import Any

import structlog

from rapport.access.scope import Scope
from rapport.customers.attribute_values import field_type, typed_value
from rapport.customers.attributes import COLUMN_TYPES, AttributeInfo, attributes, declare
from rapport.customers.models import AttributeJob
from rapport.customers.privacy.personal_columns import judged
from rapport.customers.states import AttributeSource
from rapport.errors import Invalid, RapportError, Unavailable
from rapport.stores.warehouse import identifier

log = structlog.get_logger("rapport.customers")
MAX_API_ATTRIBUTES = 40
# Up to so many rows are changed by a patch beside the parts: to write the parts anew waits for the engine's next look.
MANY_ROWS = 10_000
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
MESSAGES = {
    "1": f"At most {MAX_API_ATTRIBUTES} attributes may be added through the API.",
    "2": "There is an attribute of this name already.",
    "3": "Type must be DECIMAL(19,4), INT, BIGINT, DATE, VARCHAR(n) or NVARCHAR(n).",
    "4": "DefaultValue does not fit Type.",
}


class AttributeRefused(Exception):
    """An attribute that cannot be added; the argument is the errorId."""


def add(scope: Scope, job: AttributeJob) -> dict[str, Any]:
    """Add the attribute of a job; the outcome as its callback shows it. Call it under locks.writing.

    Safe to run again after a kill.
    """
    payload = dict(job.payload or {})
    name = str(payload["name"])
    try:
        _add(scope, job, name, payload)
    except AttributeRefused as refusal:
        return _failure(name, str(refusal), MESSAGES[str(refusal)])
    except Unavailable:
        raise
    except RapportError as error:
        return _failure(name, "5", error.message)
    except Exception:
        log.exception("attribute not added", tenant=scope.tenant_id, name=name)
        return _failure(name, "5", "The attribute could not be added.")
    return {"attributeName": name, "isSuccess": True}


def _failure(name: str, error_id: str, message: str) -> dict[str, Any]:
    return {"attributeName": name, "isSuccess": False, "errorId": error_id, "errorMsg": message}


def _add(scope: Scope, job: AttributeJob, name: str, payload: dict[str, Any]) -> None:
    if not NAME.match(name):
        raise Invalid("Name must be letters, digits and underscores, and not begin with a digit.")
    info, default = _checked(scope, name, payload)
    if not payload.get("began"):
        # A second run after a kill must not take the attribute it made itself for another one.
        with scope.records() as session:
            session.get_one(AttributeJob, (scope.tenant_id, job.id)).payload = {**payload, "began": True}
    declare(scope, [info])
    if default is not None:
        _fill(scope, info, default)


def _checked(scope: Scope, name: str, payload: dict[str, Any]) -> tuple[AttributeInfo, Any]:
    attributes_by_name = attributes(scope)
    began = bool(payload.get("began"))
    if name.upper() in attributes_by_name and not began:
        raise AttributeRefused("2")
    if (
        sum(info.source == AttributeSource.API for info in attributes_by_name.values()) >= MAX_API_ATTRIBUTES
        and not began
    ):
        raise AttributeRefused("1")
    try:
        type_, length = field_type(payload["type"])
    except ValueError as error:
        raise AttributeRefused("3") from error
    info = AttributeInfo(
        name, name.replace("_", " ").title(), "", type_, AttributeSource.API, api_updatable=True, max_length=length
    )
    try:
        return judged(info), typed_value(info, payload.get("default"))
    except ValueError as error:
        raise AttributeRefused("4") from error


def _fill(scope: Scope, info: AttributeInfo, default: Any) -> None:
    column, type_ = identifier(info.real_field_name), COLUMN_TYPES[info.field_type]
    value = f"CAST({{value:String}}, '{type_.replace(chr(39), chr(92) + chr(39))}')"
    scope.warehouse.execute(f"ALTER TABLE customers UPDATE {column} = {value} WHERE 1", value=str(default))
    if (data_date := scope.data_date()) is not None:
        scope.warehouse.execute(
            f"ALTER TABLE profiles UPDATE {column} = {value} IN PARTITION '{data_date}' WHERE 1", value=str(default)
        )


def fill_empty(scope: Scope, info: AttributeInfo, text: str) -> None:
    """Give a text to customers who have no value of an attribute. Call it under locks.writing."""
    _fill_empty(scope, "customers", info, text, "1")
    if (data_date := scope.data_date()) is not None:
        _fill_empty(scope, "profiles", info, text, "data_date = {data_date:Date}", data_date=data_date)


def _fill_empty(scope: Scope, table: str, info: AttributeInfo, text: str, where: str, **parameters: Any) -> None:
    column = identifier(info.real_field_name)
    empty = f"{where} AND {column} IS NULL"
    rows = int(scope.warehouse.value(f"SELECT count() FROM {table} WHERE {empty}", **parameters))  # noqa: S608 - ours
    if rows > MANY_ROWS:
        partition = f" IN PARTITION '{parameters['data_date']}'" if parameters else ""
        sql = f"ALTER TABLE {table} UPDATE {column} = {{text:String}}{partition} WHERE {column} IS NULL"
        scope.warehouse.execute(sql, text=text)
    elif rows:
        sql = f"UPDATE {table} SET {column} = {{text:String}} WHERE {empty}"  # noqa: S608 - ours
        scope.warehouse.execute(sql, text=text, **parameters)
