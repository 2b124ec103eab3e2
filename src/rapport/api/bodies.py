"""JSON bodies of the wire: members bind ignoring case, extra members are ignored, a bad one is one sentence."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from rapport.errors import Invalid

M = TypeVar("M", bound="WireModel")
# What patterns ask for, in words: nobody who calls should have to read one.
NO_NULL = "must not hold a null character"
WORDS = {
    r"^[^\x00]*$": NO_NULL,
    r"^[^\x00]+$": NO_NULL,
    r"^[^,\x00]+$": "must not hold a comma",
    r"^[^\x00]*[^\s\x00][^\x00]*$": "must not be blank",
}


class WireModel(BaseModel):
    """A body (or part of one) of the wire. Fields are snake_case, their aliases the wire's names."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _ignore_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {(info.alias or name).lower(): info.alias or name for name, info in cls.model_fields.items()}
        return {names.get(str(key).lower(), key): value for key, value in data.items()}


def reason(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, as the end of a sentence: a fault as pydantic and FastAPI tell it."""
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] in WORDS:
        return WORDS[fault["ctx"]["pattern"]]
    said = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{said[0].lower()}{said[1:]}"


def sentence(error: ValidationError, within: str = "") -> str:
    """The first fault of a body as one sentence that names the member; within leads to the part it was found in."""
    first = error.errors()[0]
    where = ".".join([within] * bool(within) + [str(part) for part in first["loc"]]) or "The body"
    if first["type"] == "missing":
        return f"{where} is required."
    return f"{where}: {reason(first)}."


def parse(model: type[M], body: bytes) -> M:
    """A body as a model. Raises Invalid."""
    data = _loaded(body)
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence(error)) from error


def parse_array(model: type[M], body: bytes, most: int, least: int = 0) -> list[M]:
    """A body that is an array as models; of a bad item the number, from 0, is told. Raises Invalid."""
    data = _loaded(body)
    if not isinstance(data, list):
        raise Invalid("The body must be a JSON array.")
    if not least <= len(data) <= most:
        raise Invalid(f"The body must hold {least} to {most} items, not {len(data)}.")
    found = []
    for number, item in enumerate(data):
        if not isinstance(item, dict):
            raise Invalid(f"[{number}]: must be a JSON object.")
        try:
            found.append(model.model_validate(item))
        except ValidationError as error:
            raise Invalid(sentence(error, f"[{number}]")) from error
    return found


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("The body is not valid JSON.") from error


def documented(model: type[WireModel], example: dict[str, Any]) -> dict[str, Any]:
    """The openapi_extra of a function that reads its body with parse(): schema and an example."""
    return _request_body(inlined(model), example)


def documented_array(
    model: type[WireModel], example: list[dict[str, Any]], most: int, least: int = 0
) -> dict[str, Any]:
    """The openapi_extra of a function that reads its body with parse_array()."""
    return _request_body({"type": "array", "items": inlined(model), "minItems": least, "maxItems": most}, example)


def _request_body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def inlined(model: type[WireModel]) -> dict[str, Any]:
    """The JSON schema of a body with the parts it is made of put in, as an operation needs it."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rsplit("/", 1)[1]])
            return {name: resolved(value) for name, value in part.items()}
        return [resolved(one) for one in part] if isinstance(part, list) else part

    found: dict[str, Any] = resolved(schema)
    return found


async def raw_body(request: Request) -> bytes:
    """A dependency: the bytes of a JSON body. Raises Invalid for another content type."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise Invalid("Content-Type must be application/json.")
    return await request.body()
