"""What calls of the promotion service have in common: bodies, versions, answers."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from fastapi import Depends, Request
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import inlined, raw_body
from rapport.api.http.json_bodies import loaded
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid
from rapport.promotions.changing import read
from rapport.promotions.definitions import Definition

VERSION = re.compile(r'\s*(?:W/)?"(\d{1,9})"\s*')
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the version that you have read; 412 if there is a newer one",
}
TRANSACTION_SCHEMA = {
    "type": "object",
    "required": ["commands"],
    "properties": {
        "commands": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}},
        }
    },
}
STALE = {
    "description": "If-Match names another version than the present one",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


async def body_of(request: Request) -> Any:
    """A dependency: the JSON of the body. Raises Invalid."""
    return loaded(await raw_body(request))


def object_of(data: Any) -> dict[str, Any]:
    """A body that must be an object, with the names of its members in lower case. Raises Invalid."""
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    return {str(name).lower(): value for name, value in data.items()}


def version_of(request: Request) -> int | None:
    """The version that If-Match names; None for any. Raises Invalid for what is no version."""
    header = request.headers.get("if-match", "*").strip()
    if header == "*":
        return None
    match = VERSION.fullmatch(header)
    if match is None:
        raise Invalid('If-Match must be an ETag that was answered with, such as "4".')
    return int(match[1])


def number(value: Any) -> Any:
    """A decimal as a number of JSON, whole where it is whole. Raises TypeError for anything else."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError


def versioned(document: dict[str, Any], status: int = 200) -> Response:
    """An object with its version as the ETag."""
    response = json_response(orjson.dumps(document), status)
    response.headers["ETag"] = f'"{document["version"]}"'
    return response


# Runs commands on the object of an id, which the caller has seen in a version, and gives its JSON.
Run = Callable[[Scope, str, Sequence[Definition], int | None], dict[str, Any]]


@dataclass(frozen=True)
class CommandCall:
    """A call that runs one command. name is the last part of its path; example is a body, None for none.

    member is the one that a body stands for which is a bare list, or a bare tree.
    """

    name: str
    summary: str
    operation: str
    command: type[Definition]
    about: str
    example: Any = None
    member: str = ""


def register(router: SectionRouter, path: str, calls: Iterable[CommandCall], run: Run, example: Any) -> None:
    """Add calls that run one command on the object whose id ends a path."""
    parameter = path.rpartition("{")[2].rstrip("}")
    for call in calls:
        described = changing(inlined_schema(call.command) if call.example is not None else None, call.example)
        described["parameters"] = [id_parameter(parameter), *described["parameters"]]
        router.patch(
            f"{path}/{call.name}",
            summary=call.summary,
            operation_id=call.operation,
            description=call.about,
            response_class=Response,
            responses=answer("As the change leaves it", example) | {412: STALE},
            openapi_extra=described,
        )(_endpoint(call, parameter, run))


def id_parameter(name: str) -> dict[str, Any]:
    """A path parameter as documents describe it."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": "Its id"}


def _endpoint(call: CommandCall, parameter: str, run: Run) -> Callable[..., Response]:
    allowed = caller(call.operation)

    def without_body(
        request: Request,
        principal: Principal = Depends(allowed),  # noqa: B008
    ) -> Response:
        command = call.command()
        return versioned(run(principal.scope, request.path_params[parameter], [command], version_of(request)))

    def with_body(
        request: Request,
        principal: Principal = Depends(allowed),  # noqa: B008
        body: Any = Depends(body_of),  # noqa: B008
    ) -> Response:
        is_bare = call.member and (isinstance(body, list) or "branches" in object_of(body))
        command = read(call.command, {call.member: body} if is_bare else body)
        return versioned(run(principal.scope, request.path_params[parameter], [command], version_of(request)))

    return without_body if call.example is None else with_body


def answer(description: str, example: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The responses of a call that answers with JSON."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {status: {"description": description, "content": content}}


def changing(schema: dict[str, Any] | None, example: Any = None) -> dict[str, Any]:
    """The openapi_extra of a call that changes something: its body, if it has one, and If-Match."""
    described: dict[str, Any] = {"parameters": [IF_MATCH]}
    if schema is not None:
        content = {"application/json": {"schema": schema, "example": example}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def inlined_schema(model: type[Definition]) -> dict[str, Any]:
    """The JSON schema of a command without its type, which the path says."""
    schema = inlined(model)
    schema["properties"].pop("type", None)
    return schema
