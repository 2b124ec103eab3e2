"""Example bodies of the operations of the OpenAPI document, made from their schemas."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("post", "put", "patch", "delete")
FORMATS = {"date": "2026-03-01", "date-time": "2026-03-01T10:00:00", "time": "10:00:00"}
Path = tuple[str | int, ...]
# They start work of many seconds.
LONG_WORK = ("/manage/v1/cycles",)


@dataclass(frozen=True)
class Operation:
    """An operation that changes something: its parameters by place and name, and an example of its JSON body."""

    method: str
    path: str
    parameters: dict[tuple[str, str], dict[str, Any]]
    body: Any
    takes_form: bool
    only_asks: bool  # it changes nothing, although it is a POST


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """The operations of a document that are no reads."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            told = item[method]
            parameters = {(one["in"], one["name"]): one.get("schema", {}) for one in told.get("parameters", [])}
            content = told.get("requestBody", {}).get("content", {})
            given = content.get("application/json", {})
            body = given.get("example", example(given.get("schema", {}), document)) if given else None
            only_asks = told.get("x-changes-nothing", False)
            yield Operation(method.upper(), path, parameters, body, "multipart/form-data" in content, only_asks)


def example(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """A value of a schema: its own example when it has one, else the plainest with all members."""
    if "$ref" in schema:
        return example(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    for named in ("examples", "enum"):
        if schema.get(named):
            return schema[named][0]
    if "const" in schema:
        return schema["const"]
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return example(schema[union][0], document)
    return _of_type(schema, document)


def _of_type(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        members, others = schema.get("properties", {}), schema.get("additionalProperties")
        if not members and isinstance(others, dict) and others:
            members = {schema.get("propertyNames", {}).get("enum", ["text"])[0]: others}
        return {name: example(member, document) for name, member in members.items()}
    if kind == "array":
        return [example(schema.get("items", {}), document)]
    if kind in ("integer", "number"):
        return schema.get("default") or max(1, int(schema.get("minimum", 1)))
    if kind == "boolean":
        return schema.get("default", False)
    text = FORMATS.get(schema.get("format", "")) or schema.get("default") or "text"
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of a JSON value, each with the way to it; empty lists and objects are leaves, too."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from leaves(member, (*path, name))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def replaced(value: Any, path: Path, other: Any) -> Any:
    """The JSON value with another in the place of one of its parts."""
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], other)
    return copy
