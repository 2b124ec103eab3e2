"""JSON bodies of the wire: members bind ignoring case, extra members are ignored, a bad one is one sentence."""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rapport.api.parameters import INT32_MAX
from rapport.api.wording import place, worded
from rapport.errors import Invalid

M = TypeVar("M", bound="WireModel")
LONGEST_CUSTOMER_ID = 255
DIGITS = re.compile(r"[0-9]{1,20}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What patterns ask for, in words: nobody who calls should have to read one.
HOLDS_NULL = "must not hold a null character"
WORDS = {
    r"^[^\x00]*$": HOLDS_NULL,
    r"^[^\x00]+$": HOLDS_NULL,
    r"^[^,\x00]+$": "must not hold a comma",
    r"^[^\x00]*[^\s\x00][^\x00]*$": "must not be blank",
    r"^[^\r\n]*$": "must be one line",
    r"^([01]\d|2[0-3]):[0-5]\d$": "must be a time such as 09:30",
    r"^[A-Za-z0-9_]{1,50}$": "must be 1 to 50 letters, digits or underscores",
    r"^[A-Za-z_][A-Za-z0-9_]{0,127}$": "must be 1 to 128 letters, digits or underscores, and begin with no digit",
    r"^(new|active|reactivated|churn|dormant)$": "must be 'new', 'active', 'reactivated', 'churn' or 'dormant'",
    r"^[a-z ]*$": "must be a state, in lower case",
    r"^[0-9a-f]{32}$": "must be the id that the count was answered with",
}
# What texts must have of characters: pydantic calls them items where a type was read first by a rule of ours.
LENGTHS = {
    "too_short": ("at least", "min_length"),
    "string_too_short": ("at least", "min_length"),
    "too_long": ("at most", "max_length"),
    "string_too_long": ("at most", "max_length"),
}


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


def reason(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, as the end of a sentence: a fault as pydantic and FastAPI tell it."""
    if fault["type"] == "string_pattern_mismatch" and fault["ctx"]["pattern"] in WORDS:
        return HOLDS_NULL if "\0" in fault["input"] else WORDS[fault["ctx"]["pattern"]]
    if fault["type"] in LENGTHS and isinstance(fault["input"], str):
        bound, name = LENGTHS[fault["type"]]
        number = fault["ctx"][name]
        return f"must have {bound} {number} character{'s' * (number != 1)}"
    return worded(fault)


def sentence(faults: Sequence[Mapping[str, Any]], given: Any, within: str = "") -> str:
    """The first fault of what was given as one sentence that names the member; within leads to the part it is in."""
    where = place(faults[0], given)
    # What fits no kind of a union has a fault for each kind.
    reasons = dict.fromkeys(reason(fault) for fault in faults if place(fault, given) == where)
    words = " or ".join(reasons).replace(" or must be ", " or ")
    where = ".".join(filter(None, [within, where])) or "The body"
    return f"{where} {words}." if words.startswith("is ") else f"{where}: {words}."


def parse(model: type[M], body: bytes) -> M:
    """A body as a model. Raises Invalid."""
    data = _loaded(body)
    if not isinstance(data, dict):
        raise Invalid("The body must be a JSON object.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(sentence(error.errors(), data)) from error


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
            raise Invalid(sentence(error.errors(), item, f"[{number}]")) from error
    return found


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body.removeprefix(codecs.BOM_UTF8))
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
