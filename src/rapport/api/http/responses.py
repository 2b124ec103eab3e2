"""Answers of the wire, and how errors look on it and at the management API."""

from typing import Any

import orjson
from starlette.responses import Response

from rapport.errors import (
    Away,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RapportError,
    TokenExpired,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WrongMethod,
)

# Seconds after which to try again what an engine cannot do now.
RETRY_AFTER = 5
REASONS = {429: "Too Many Requests"}
PROBLEM_TYPE = "application/problem+json"
MANAGED = "/manage/"
PROMOTIONS = ("/v1/promotions", "/v1/promocodes", "/v1/tenants")
SPORTS, RECOMMEND = "/sports-inventory/", "/recommend/"
# Of an answer with a page of a list of the management API.
TOTAL = "X-Total-Count"
TOTAL_HEADER = {"description": "Entries of the whole list", "schema": {"type": "integer", "minimum": 0}}
# An error of each kind, and what it means to whoever calls.
MEANINGS: dict[RapportError, str] = {
    Invalid("name is required."): "A parameter or the body is missing or malformed",
    Unauthorized("The X-API-KEY header is missing."): "No key, or one that is unknown, disabled or expired",
    Forbidden("The management API needs an Admin key."): "The key does not cover this call",
    NotFound("There is no series 7."): "The object does not exist",
    Conflict("Series 7 is archived and cannot run."): "The current state does not allow it",
    TooLarge("The body is larger than this server accepts."): "The body is larger than this server accepts",
    TooManyRequests(
        "API group limit of 50 calls per 10 seconds is passed, try again in 4 s.", 4
    ): "Over the rate limit",
    Unavailable(
        "The records database cannot be reached."
    ): "A database does not answer, or too many calls of the tenant are waiting: try again",
}
_TEXT = {"type": "string", "description": "A sentence that says what to correct"}
_LIMIT = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "error": {"type": "string"}, "message": _TEXT},
    "required": ["status", "error", "message"],
}
PROBLEM = {
    "type": "object",
    "description": "An error of the management API (RFC 9457)",
    "properties": {
        "type": {"type": "string", "description": "Always about:blank"},
        "title": {"type": "string", "description": "The kind of error"},
        "status": {"type": "integer", "description": "The HTTP status"},
        "detail": _TEXT,
    },
    "required": ["type", "title", "status", "detail"],
}
_PROMOTION_ERROR = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "error": {"type": "string", "description": "The kind of error"},
        "message": _TEXT,
        "details": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["status", "error", "message", "details"],
}
_SPORTS_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": _TEXT, "errors": {"type": "string", "description": "Record and member"}},
            "required": ["message"],
        }
    },
    "required": ["error"],
}
_SPORTS_AWAY = {
    "type": "object",
    "properties": {"success": {"type": "boolean"}, "message": _TEXT},
    "required": ["success", "message"],
}
_WAIT = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}}


def json_response(body: bytes, status: int = 200) -> Response:
    """A JSON body that an engine or orjson rendered, with its length."""
    return Response(body, status, media_type="application/json")


def error_response(path: str, error: RapportError) -> Response:
    """An error in the form of the family that a path is of."""
    if path.startswith((SPORTS, RECOMMEND)):
        return sports_error(error)
    if path.startswith(PROMOTIONS):
        return promotion_error(error)
    return problem(error) if path.startswith(MANAGED) else wire_error(error)


def headers_of(error: RapportError) -> dict[str, str]:
    """The headers of an error, whatever the form of its body: when to come again, which methods a path takes."""
    if isinstance(error, WrongMethod):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, TooManyRequests | Away):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": str(RETRY_AFTER)} if isinstance(error, Unavailable) else {}


def wire_error(error: RapportError) -> Response:
    """An error as the reference shows it: a bare JSON string, except 429, which is an object."""
    headers = headers_of(error)
    if isinstance(error, TooManyRequests):
        body = {"status": 429, "error": REASONS[429], "message": error.message}
        return Response(orjson.dumps(body), 429, media_type="application/json", headers=headers)
    if isinstance(error, TokenExpired):  # clients compare the text, so it goes without quotes
        return Response(error.message, error.status, media_type="text/plain")
    return Response(orjson.dumps(error.message), error.status, media_type="application/json", headers=headers)


def promotion_error(error: RapportError) -> Response:
    """An error of the promotion service."""
    body = {"status": error.status, "error": type(error).__name__, "message": error.message, "details": []}
    return Response(orjson.dumps(body), error.status, media_type="application/json", headers=headers_of(error))


def sports_error(error: RapportError) -> Response:
    """An error of the sports inventory: of a bad body the fault stands apart, and what may be tried again says so."""
    body: dict[str, Any] = {"error": {"message": error.message}}
    if isinstance(error, Unavailable):
        body = {"success": False, "message": error.message}
    elif isinstance(error, Invalid):
        body = {"error": {"message": "Validation failed", "errors": error.message}}
    return Response(orjson.dumps(body), error.status, media_type="application/json", headers=headers_of(error))


def problem(error: RapportError) -> Response:
    """An error of the management API: problem+json (RFC 9457)."""
    body = orjson.dumps(_problem(error))
    return Response(body, error.status, media_type=PROBLEM_TYPE, headers=headers_of(error))


def _problem(error: RapportError) -> dict[str, Any]:
    return {"type": "about:blank", "title": type(error).__name__, "status": error.status, "detail": error.message}


def _described(error: RapportError, content: dict[str, Any]) -> dict[str, Any]:
    more = {"headers": _WAIT} if isinstance(error, TooManyRequests | Unavailable) else {}
    return {"description": MEANINGS[error], "content": content, **more}


def _on_the_wire(error: RapportError) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _LIMIT if isinstance(error, TooManyRequests) else _TEXT}}
    if isinstance(error, Forbidden):
        content["text/plain"] = {"schema": {"type": "string", "description": "A legacy token that has expired"}}
    return _described(error, content)


def _of_promotions(error: RapportError) -> dict[str, Any]:
    return _described(error, {"application/json": {"schema": _PROMOTION_ERROR}})


def _of_sports(error: RapportError) -> dict[str, Any]:
    schema = _SPORTS_AWAY if isinstance(error, Unavailable) else _SPORTS_ERROR
    return _described(error, {"application/json": {"schema": schema}})


def _managing(error: RapportError) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return _described(error, {PROBLEM_TYPE: {"schema": schema, "example": _problem(error)}})


# The errors of each family as OpenAPI describes them; api.document gives them to the operations.
ERRORS: dict[int | str, dict[str, Any]] = {error.status: _on_the_wire(error) for error in MEANINGS}
PROBLEMS: dict[int | str, dict[str, Any]] = {error.status: _managing(error) for error in MEANINGS}
PROMOTION_ERRORS: dict[int | str, dict[str, Any]] = {error.status: _of_promotions(error) for error in MEANINGS}
SPORTS_ERRORS: dict[int | str, dict[str, Any]] = {error.status: _of_sports(error) for error in MEANINGS}
