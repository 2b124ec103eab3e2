"""The read machinery: a function of the wire is a declaration of parameters, one SELECT and a row shape.

The SELECT names its output columns as the wire does, binds the parameters by name, and has no
ORDER BY and no LIMIT: `order` and the page are added here, as are CustomerAttributes. The answer
goes from the engine to the socket as the JSON the engine wrote.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.auth import caller
from rapport.api.parameters import CUSTOMER_ATTRIBUTES, PAGING, Parameter
from rapport.api.responses import ERRORS, json_response
from rapport.customers import service as customers
from rapport.errors import Invalid, NotFound

Values = dict[str, Any]
Prepare = Callable[[Scope, Values], Values | None]

TYPES: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer", "format": "int32"},
    "string": {"type": "string"},
    "string?": {"type": ["string", "null"]},
    "integer?": {"type": ["integer", "null"]},
    "double": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "strings": {"type": "array", "items": {"type": ["string", "null"]}},
    "object": {"type": "object"},
    "objects": {"type": "array", "items": {"type": "object"}},
}


@dataclass(frozen=True)
class Read:
    """A read function.

    row maps each output column to a key of TYPES; order is the ORDER BY list. engine is "warehouse"
    (SQL binds {Name:Type}) or "records" (SQL binds :Name; :tenant_id is always there). single answers
    one object, or 404 with `missing`. customers adds CustomerAttributes to the parameters. prepare
    may check values and add or replace bound ones; when it answers None the answer is empty without a
    query. drop names output columns left out unless the boolean parameter of the same entry is true.
    """

    category: str
    function: str
    summary: str
    sql: str | Callable[[Scope, Values], str]
    row: dict[str, str]
    order: str
    params: tuple[Parameter, ...] = ()
    engine: str = "warehouse"
    single: bool = False
    missing: str = ""
    customers: bool = False
    paged: bool = True
    max_page: str = "max_page"
    prepare: Prepare | None = None
    drop: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    description: str = ""

    @property
    def path(self) -> str:
        """The canonical path; api.paths maps every other spelling to it."""
        return f"/current/{self.category}/{self.function}"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, the shared ones included."""
        shared = CUSTOMER_ATTRIBUTES if self.customers else ()
        paging = PAGING if self.paged and not self.single else ()
        return (*self.params, *shared, *paging)


def register(router: APIRouter, *reads: Read) -> None:
    """Serve read functions on a router."""
    for read in reads:
        router.add_api_route(
            read.path,
            _endpoint(read),
            methods=["GET"],
            summary=read.summary,
            description=read.description,
            name=read.function,
            operation_id=read.function,
            responses={200: {"description": "Success", **_content(read)}, **ERRORS},
            openapi_extra={"parameters": [parameter.openapi() for parameter in read.parameters]},
        )


def _content(read: Read) -> dict[str, Any]:
    properties = {name: TYPES[kind] for name, kind in read.row.items()}
    required = [name for name in read.row if name not in read.drop]
    if read.customers:
        properties["CustomerAttributes"] = TYPES["strings"]
    item = {"type": "object", "properties": properties, "required": required}
    schema = item if read.single else {"type": "array", "items": item}
    return {"content": {"application/json": {"schema": schema}}}


def _endpoint(read: Read) -> Callable[..., Response]:
    def endpoint(request: Request, principal: Principal = Depends(caller(read.function))) -> Response:  # noqa: B008
        query = {name.lower(): text for name, text in request.query_params.multi_items()}
        return json_response(answer(read, principal.scope, query))

    return endpoint


def answer(read: Read, scope: Scope, query: dict[str, str]) -> bytes:
    """The JSON answer of a read to a query whose names are lower-case. Raises Invalid, NotFound."""
    values = {parameter.name: parameter.read(query) for parameter in read.parameters}
    if read.prepare is not None:
        prepared = read.prepare(scope, values)
        if prepared is None:
            return b"[]"
        values = prepared
    sql = read.sql if isinstance(read.sql, str) else read.sql(scope, values)
    if read.drop:
        kept = [name for name in read.row if name not in read.drop or values[read.drop[name]]]
        columns = ", ".join(f'"{name}"' for name in kept)
        sql = f"SELECT {columns} FROM ({sql}) AS r"  # noqa: S608 - columns are ours
    sql = f"{sql} ORDER BY {read.order}"
    if read.engine == "records":
        body = scope.records_json(*_records_page(read, scope, sql, values))
    else:
        body = scope.warehouse.json_rows(*_warehouse_page(read, scope, sql, values))
    return _only(read, body) if read.single else body


def _only(read: Read, body: bytes) -> bytes:
    found = body.strip()
    if found in (b"[]", b""):
        raise NotFound(read.missing)
    return found.removeprefix(b"[").removesuffix(b"]").strip()


def page(read: Read, scope: Scope, values: Values) -> tuple[int, int]:
    """Rows of the page and rows before it: $top is clamped to the function's largest page."""
    if read.single or not read.paged:
        return 2**31, 0
    largest: int = getattr(scope.stores.settings, read.max_page)
    top = values["$top"]
    if top == 0:
        raise Invalid("$top must be at least 1.")
    return min(top or largest, largest), values["$skip"]


def _records_page(read: Read, scope: Scope, sql: str, values: Values) -> tuple[str, Values]:
    top, skip = page(read, scope, values)
    bound = {name: value for name, value in values.items() if not name.startswith("$")}
    return f"{sql} LIMIT :page_top OFFSET :page_skip", {**bound, "page_top": top, "page_skip": skip}


def _warehouse_page(read: Read, scope: Scope, sql: str, values: Values) -> tuple[str, Values]:
    top, skip = page(read, scope, values)
    names = values.get("CustomerAttributes")
    bound = {name: value for name, value in values.items() if re.search(rf"{{{re.escape(name)}:", sql)}
    bound |= {"page_top": top, "page_skip": skip}
    sql = f"{sql} LIMIT {{page_top:UInt64}} OFFSET {{page_skip:UInt64}}"
    if not names:
        return sql, bound
    bound["profile_date"] = scope.data_date() or "1970-01-01"
    return with_attributes(scope, sql, names, read.order), bound


def with_attributes(scope: Scope, sql: str, names: list[str], order: str) -> str:
    """A page of rows with CustomerID, joined with the present values of attributes as an array of strings."""
    found = customers.find(scope, names)
    selected = ", ".join(f"{customers.rendered(info)} AS a{i}" for i, info in enumerate(found))
    values = ", ".join(f"profile.a{i}" for i in range(len(found)))
    return f"""
        WITH page AS ({sql})
        SELECT page.*, [{values}] AS CustomerAttributes
        FROM page
        LEFT JOIN (
            SELECT customer_id, {selected} FROM profiles
            WHERE data_date = {{profile_date:Date}} AND customer_id IN (SELECT CustomerID FROM page)
        ) AS profile ON profile.customer_id = page.CustomerID
        ORDER BY {order}
    """  # noqa: S608 - names come from the tenant's attribute list, the rest is ours
