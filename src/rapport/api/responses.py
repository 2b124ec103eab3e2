"""Answers of the wire and how errors look on it."""

from typing import Any

import orjson
from starlette.responses import Response

from rapport.errors import RapportError, TokenExpired, TooManyRequests

REASONS = {429: "Too Many Requests"}
_TEXT = {"application/json": {"schema": {"type": "string"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "A parameter is missing or malformed; the body is one sentence", "content": _TEXT},
    401: {"description": "No key, or one that is unknown, disabled or expired", "content": _TEXT},
    403: {"description": "The key's access type does not cover the function", "content": _TEXT},
    404: {"description": "A single thing that does not exist", "content": _TEXT},
    429: {
        "description": "Over the rate limit",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "status": {"type": "integer"},
                        "error": {"type": "string"},
                        "message": {"type": "string"},
                    },
                }
            }
        },
    },
}


def json_response(body: bytes, status: int = 200) -> Response:
    """A JSON body that an engine or orjson rendered, with its length."""
    return Response(body, status, media_type="application/json")


def wire_error(error: RapportError) -> Response:
    """An error as the reference shows it: a bare JSON string, except 429, which is an object."""
    if isinstance(error, TooManyRequests):
        body = {"status": 429, "error": REASONS[429], "message": error.message}
        return Response(
            orjson.dumps(body),
            429,
            media_type="application/json",
            headers={"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, TokenExpired):  # clients compare the text, so it goes without quotes
        return Response(error.message, error.status, media_type="text/plain")
    return json_response(orjson.dumps(error.message), error.status)


def problem(error: RapportError) -> Response:
    """An error of the management API: problem+json (RFC 9457)."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequests) else None
    body = {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": error.status,
        "detail": error.message,
    }
    return Response(orjson.dumps(body), error.status, media_type="application/problem+json", headers=headers)
