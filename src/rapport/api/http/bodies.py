"""JSON bodies of the wire: members bind ignoring case, extra members are ignored, a bad one is one sentence."""

import re
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from starlette.concurrency import run_in_threadpool

from rapport.api.http.json_bodies import loaded
from rapport.api.http.parameters import INT32_MAX
from rapport.errors import Invalid
from rapport.wording import HOLDS_NULL, sentence

M = TypeVar("M", bound="WireModel")
LONGEST_CUSTOMER_ID = 255
DIGITS = re.compile(r"[0-9]{1,20}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def whole(value: object) -> object:
    """A whole number that came as digits in a text or as n.0, which clients make of what they got; else as it is."""
    if isinstance(value, str) and DIGITS.fullmatch(value.strip()):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_id(value: object) -> object:
    """What identifies something: a text without blanks at its edges; some clients send a number. Raises ValueError."""
    if isinstance(value, float):
        raise ValueError("must be a text, or a whole number of at most 64 bits")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be blank")
    return value.strip() if isinstance(value, str) else value


def without_control(value: str) -> str:
    """The text. Raises ValueError when a tab, a line break or the like is in it."""
    if CONTROL.search(value):
        raise ValueError("must not hold a control character")
    return value


def _fits(value: str) -> str:
    if "\0" in value:
        raise ValueError(HOLDS_NULL)
    if len(value.lower()) > LONGEST_CUSTOMER_ID:
        raise ValueError(f"must have at most {LONGEST_CUSTOMER_ID} characters, also in lower case")
    return value


Whole = Annotated[int, Field(strict=True), BeforeValidator(whole)]
Count = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX), BeforeValidator(whole)]
Number = Annotated[int, Field(strict=True, ge=1, le=INT32_MAX), BeforeValidator(whole)]
CustomerID = Annotated[
    str, Field(min_length=1, max_length=LONGEST_CUSTOMER_ID), AfterValidator(_fits), BeforeValidator(as_id)
]


T = TypeVar("T")
PIECE = 5_000
LARGE = 1 << 20  # bytes


def _in_pieces(value: Any, checked: ValidatorFunctionWrapHandler) -> Any:
    """The items of a list, checked so many at a time: nobody else has the interpreter while a piece is."""
    if not isinstance(value, list) or len(value) <= PIECE:
        return checked(value)
    items: list[Any] = []
    for begin in range(0, len(value), PIECE):
        try:
            items += checked(value[begin : begin + PIECE])
        except ValidationError:
            return checked(value[: begin + PIECE])  # which tells the fault by its place in the whole
    return items


# A list of which the first fault is enough: each of a million would be kept, with a kilobyte, to tell one of them.
Listed = Annotated[list[T], FailFast()]
# The same of a list of any length: a bound of its length would be one of each piece.
LongList = Annotated[Listed[T], WrapValidator(_in_pieces)]


class WireModel(BaseModel):
    """A body (or part of one) of the wire. Fields are snake_case, their aliases the wire's names, which alone bind."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _ignore_case(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {(info.alias or name).lower(): info.alias or name for name, info in cls.model_fields.items()}
        return {names.get(str(key).lower(), key): value for key, value in data.items()}


def parse(model: type[M], body: bytes, *, long_list: bool = False) -> M:
    """A body as a model; with long_list it may hold a list of any number of texts. Raises Invalid, TooLarge."""
    data = loaded(body, long_list=long_list)
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence(error.errors(), data)) from error


def parse_array(model: type[M], body: bytes, most: int, least: int = 0) -> list[M]:
    """A body that is an array as models; of a bad item the number, from 0, is told. Raises Invalid."""
    data = loaded(body)
    if not isinstance(data, list):
        raise Invalid("The body must be a JSON array.")
    if not least <= len(data) <= most:
        raise Invalid(f"The body must have {least} to {most} items, not {len(data)}.")
    models = []
    for number, item in enumerate(data):
        if not isinstance(item, dict):
            raise Invalid(f"[{number}]: must be a JSON object.")
        try:
            models.append(model.model_validate(item))
        except ValidationError as error:
            raise Invalid(sentence(error.errors(), item, f"[{number}]")) from error
    return models


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


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a body with the parts it is made of put in, as an operation needs it."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(definitions[part["$ref"].rsplit("/", 1)[1]])
            # A discriminator refers to the parts by name, too.
            return {name: resolved(value) for name, value in part.items() if name != "discriminator"}
        return [resolved(element) for element in part] if isinstance(part, list) else part

    inlined_schema: dict[str, Any] = resolved(schema)
    return inlined_schema


async def raw_body(request: Request) -> bytes:
    """A dependency: the bytes of a JSON body. Raises Invalid for another content type."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise Invalid("Content-Type must be application/json.")
    parts = [part async for part in request.stream()]
    # To join large ones lets others work meanwhile.
    return await run_in_threadpool(b"".join, parts) if sum(map(len, parts)) > LARGE else b"".join(parts)
