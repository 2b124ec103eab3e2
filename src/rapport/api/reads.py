"""The read machinery: a function of the wire is a declaration of parameters, one SELECT and a row shape.

The SELECT names its output columns as the wire does, binds the parameters by name, and has no
ORDER BY and no LIMIT: `order` and the page are added here, as are CustomerAttributes. The answer
goes from the engine to the socket as the JSON the engine wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.auth import caller_of
from rapport.api.http.parameters import CUSTOMER_ATTRIBUTES, PAGING, Parameter
from rapport.api.http.responses import json_response
from rapport.campaigns.publishing.rewards import GIVEN, keys_among
from rapport.customers import attributes
from rapport.errors import Invalid, NotFound
from rapport.settings import Settings
from rapport.stores.warehouse import identifier

Values = dict[str, Any]
UNBOUNDED = 2**31 - 1
PAGE_LIMIT = "X-Page-Limit"
EPOCH = "1970-01-01"
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

    row maps each output column to a key of TYPES; order is the ORDER BY list, over columns of the
    SELECT's tables or of its output; rows alike in the columns of once_by are answered once. engine
    is "warehouse" (SQL binds {Name:Type}) or "records" (SQL binds :Name; :tenant_id is always there).
    single answers one object. An answer without a row is 404 where there is `missing`, which says so; in it {name}
    is a parameter's value. customers adds CustomerAttributes to the parameters. prepare may check values and add or
    replace bound ones; it may set "$settings" to engine settings and profile_date to the data date that attributes
    are of; when it answers None the answer is empty without a query. drop names output columns left out unless the
    parameter of the same entry is true or not empty; "$legacy" is true when a parameter came under another spelling
    than its own. omit_nulls leaves null members out of a row (records only). A list of the warehouse is answered in
    pages of at most the setting that max_page names; one of the records is whole unless $top is given.
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
    once_by: str = ""
    prepare: Prepare | None = None
    drop: dict[str, str] = field(default_factory=dict)
    omit_nulls: bool = False
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
            responses={200: {"description": "Success", **_content(read), **_headers(read)}},
            openapi_extra={"parameters": [_parameter(read, parameter) for parameter in read.parameters]},
        )


def _parameter(read: Read, parameter: Parameter) -> dict[str, Any]:
    """A parameter in the document; $top of the warehouse has the limits of a server with the usual settings."""
    documentation = parameter.openapi()
    if parameter.name == "$top" and read.engine == "records":
        documentation["description"] += "; if left out, all"
    elif parameter.name == "$top":
        documentation["schema"]["default"] = Settings.model_fields["max_page"].default
        most = Settings.model_fields[read.max_page].default
        documentation["description"] += f", at most {most} (RAPPORT_{read.max_page.upper()})"
    return documentation


def _headers(read: Read) -> dict[str, Any]:
    if read.single or not read.paged or read.engine == "records":
        return {}
    description = "The maximum number of rows of a page; present if $top asked for more"
    return {"headers": {PAGE_LIMIT: {"description": description, "schema": TYPES["integer"]}}}


def _content(read: Read) -> dict[str, Any]:
    properties = {name: TYPES[kind] for name, kind in read.row.items()}
    required = [
        name for name, kind in read.row.items() if name not in read.drop and not (read.omit_nulls and kind[-1] == "?")
    ]
    if read.customers:
        properties["CustomerAttributes"] = TYPES["strings"]
    item = {"type": "object", "properties": properties, "required": required}
    schema = item if read.single else {"type": "array", "items": item}
    return {"content": {"application/json": {"schema": schema}}}


def _endpoint(read: Read) -> Callable[..., Response]:
    def endpoint(request: Request) -> Response:
        principal = caller_of(request, read.function)
        query = {name.lower(): text for name, text in request.query_params.multi_items()}
        response = json_response(answer(principal.scope, read, query))
        most = clamped(principal.scope, read, query)
        if most:
            response.headers[PAGE_LIMIT] = str(most)
        return response

    return endpoint


def answer(scope: Scope, read: Read, query: dict[str, str]) -> bytes:
    """The JSON answer of a read to a query whose names are lower-case. Raises Invalid, NotFound."""
    parameter_values: Values = {parameter.name: parameter.read(query) for parameter in read.parameters}
    parameter_values["$legacy"] = any(parameter.is_legacy(query) for parameter in read.params)
    values = parameter_values if read.prepare is None else read.prepare(scope, parameter_values)
    body = b"[]" if values is None else _query(scope, read, values)
    if (read.single or read.missing) and body.strip() in (b"[]", b""):
        raise NotFound(read.missing.format_map(parameter_values))
    return body.strip().removeprefix(b"[").removesuffix(b"]").strip() if read.single else body


def _query(scope: Scope, read: Read, values: Values) -> bytes:
    sql = read.sql if isinstance(read.sql, str) else read.sql(scope, values)
    if read.engine == "records":
        return scope.records_json(*_records_page(scope, read, sql, values), omit_nulls=read.omit_nulls)
    return scope.warehouse.json_rows(*_warehouse_page(scope, read, sql, values))


def page(scope: Scope, read: Read, values: Values) -> tuple[int, int]:
    """Rows of the page and rows before it: $top is clamped to the function's largest page."""
    if read.single or not read.paged:
        return 1 if read.single else UNBOUNDED, 0
    top, skip = values["$top"], values["$skip"]
    if read.engine == "records":
        return top or UNBOUNDED, skip
    settings = scope.stores.settings
    return min(top or settings.max_page, getattr(settings, read.max_page)), skip


def clamped(scope: Scope, read: Read, query: dict[str, str]) -> int:
    """The rows that a page has at most, when a query asks for more; else 0."""
    paging = {parameter.name: parameter.read(query) for parameter in PAGING}
    if read.single or not read.paged or paging["$top"] is None:
        return 0
    most, _ = page(scope, read, paging)
    return most if most < paging["$top"] else 0


def _kept(read: Read, values: Values) -> list[str]:
    """The output columns of this call; those of the SELECT when none is to be dropped."""
    if not read.drop:
        return []
    return [identifier(name) for name in read.row if name not in read.drop or values[read.drop[name]]]


def _records_page(scope: Scope, read: Read, sql: str, values: Values) -> tuple[str, Values]:
    top, skip = page(scope, read, values)
    parameters = {name: value for name, value in values.items() if not name.startswith("$")}
    sql = f"{sql} ORDER BY {read.order} LIMIT :page_top OFFSET :page_skip"
    if read.drop:
        columns = ", ".join(f'"{name[1:-1]}"' for name in _kept(read, values))
        sql = f"SELECT {columns} FROM ({sql}) AS page"  # noqa: S608 - columns are ours
    return sql, {**parameters, "page_top": top, "page_skip": skip}


def _warehouse_page(scope: Scope, read: Read, sql: str, values: Values) -> tuple[str, Values]:
    top, skip = page(scope, read, values)
    once = f" LIMIT 1 BY {read.once_by}" if read.once_by else ""
    sql = f"{sql} ORDER BY {read.order}{once} LIMIT {{page_top:UInt64}} OFFSET {{page_skip:UInt64}}"
    columns = ", ".join(_kept(read, values))
    parameters = {**values, "page_top": top, "page_skip": skip}
    settings = values.get("$settings", "")
    if names := values.get("CustomerAttributes"):
        parameters["profile_date"] = values.get("profile_date") or scope.data_date() or EPOCH
        rewards = keys_among(names)
        if rewards and not ("CampaignID" in values and "campaign" in values):
            raise Invalid("CustomerAttributes must name rewards only in functions with a CampaignID.")
        parameters |= {f"reward_{place}": key for place, key in rewards.items()}
        sql = with_attributes(scope, sql, names, columns)
        settings = ", ".join(filter(None, [settings, "enable_materialized_cte = 1"]))
    elif columns:
        sql = f"SELECT {columns} FROM ({sql}) AS page"  # noqa: S608 - columns are ours
    parameters = {name: value for name, value in parameters.items() if f"{{{name}:" in sql}
    return f"{sql} SETTINGS {settings}" if settings else sql, parameters


def with_attributes(scope: Scope, sql: str, names: list[str], columns: str = "") -> str:
    """An ordered page of rows with CustomerID, each with the present values of attributes as an array of strings.

    The page is computed once; its customers select the profiles by primary key. Rewards are those of the campaign that
    is bound. Attributes are rendered as they are now: their types can change. Raises Invalid.
    """
    rewards = keys_among(names)
    infos = attributes.find(scope, [name for place, name in enumerate(names) if place not in rewards])
    selected = "".join(f", {attributes.rendered(info)} AS a{place}" for place, info in enumerate(infos))
    of_profiles = iter(range(len(infos)))
    values = ", ".join(
        f"JSONExtract(reward.given, {{reward_{place}:String}}, 'Nullable(String)')"
        if place in rewards
        else f"profile.a{next(of_profiles)}"
        for place in range(len(names))
    )
    of_rewards = f"LEFT JOIN ({GIVEN}) AS reward ON reward.customer_key = lowerUTF8(page.CustomerID)" if rewards else ""
    return f"""
        WITH page AS MATERIALIZED (SELECT *, rowNumberInAllBlocks() AS page_row FROM ({sql}))
        SELECT {columns or "page.* EXCEPT (page_row)"}, [{values}] AS CustomerAttributes
        FROM page
        LEFT JOIN (
            SELECT customer_id{selected} FROM profiles
            WHERE data_date = {{profile_date:Date}} AND customer_id IN (SELECT CustomerID FROM page)
        ) AS profile ON profile.customer_id = page.CustomerID
        {of_rewards}
        ORDER BY page_row
    """  # noqa: S608 - names come from the tenant's attribute list, the rest is ours
