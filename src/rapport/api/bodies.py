"""JSON bodies of the wire: members bind ignoring case, extra members are ignored, a bad one is one sentence."""

from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from rapport.errors import Invalid

M = TypeVar("M", bound="WireModel")


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


def sentence(error: ValidationError) -> str:
    """The first fault of a body as one sentence that names the member."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "The body"
    if first["type"] == "missing":
        return f"{where} is required."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where}: {reason[0].lower()}{reason[1:]}."


def parse(model: type[M], body: bytes) -> M:
    """A body as a model. Raises Invalid."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("The body is not valid JSON.") from error
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence(error)) from error


def documented(model: type[WireModel], example: dict[str, Any]) -> dict[str, Any]:
    """The openapi_extra of a function that reads its body with parse(): schema and an example."""
    schema = model.model_json_schema(by_alias=True)
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


async def raw_body(request: Request) -> bytes:
    """A dependency: the bytes of a JSON body. Raises Invalid for another content type."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise Invalid("Content-Type must be application/json.")
    return await request.body()
