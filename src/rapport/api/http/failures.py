"""How errors of an application are answered, each with its status and one plain sentence."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rapport.api.http.responses import error_response
from rapport.api.http.unmatched import unmatched
from rapport.errors import Away, Invalid, NotFound, RapportError, Withheld, WrongMethod
from rapport.wording import HOLDS_NULL, sentence

log = structlog.get_logger("rapport.api")


def answer_domain_errors(app: FastAPI) -> None:
    """Answer what the rules refuse, and engines that are away."""

    @app.exception_handler(RapportError)
    async def domain(request: Request, error: RapportError) -> Response:
        return _render(request, error)


def _render(request: Request, error: RapportError) -> Response:
    if isinstance(error, Away):
        problem = "what goes out is held" if isinstance(error, Withheld) else "an engine is away"
        log.warning(problem, reason=error.message)
    return error_response(request.url.path, error)


def _body_of(request: Request) -> Any:
    """The type of the body of the route that a request was led to; None where it takes none."""
    field = getattr(request.scope.get("route"), "body_field", None)
    return field and field.field_info.annotation


def answer_errors(app: FastAPI) -> None:
    """Answer all that can go wrong in a call."""
    answer_domain_errors(app)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        source = error.errors()[0]["loc"][0]
        faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors() if fault["loc"][0] == source]
        body = error.body if source == "body" else None
        return _render(request, Invalid(sentence(faults, body, kind=_body_of(request))))

    @app.exception_handler(DataError)
    @app.exception_handler(UnicodeEncodeError)
    async def unstorable(request: Request, error: Exception) -> Response:
        if "\0" in request.scope["path"]:
            return _render(request, Invalid(f"The path {HOLDS_NULL}."))
        return _render(request, Invalid("A value is out of range, or contains a character that cannot be stored."))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code in (NotFound.status, WrongMethod.status):
            return _render(request, unmatched(error, app.routes, request.scope))
        return _render(request, Invalid(f"{error.detail.rstrip('.')}."))
