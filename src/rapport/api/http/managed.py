"""Routes of the management API: their bodies are read and checked, and their answers written, in the pool's threads.

On the event loop, where FastAPI does it, each large one would hold up whoever else calls.
"""

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from rapport.api.http.json_bodies import MOST_MEMBERS, loaded
from rapport.api.http.responses import TOTAL, json_response
from rapport.errors import Invalid
from rapport.stores.parts import Part
from rapport.wording import NOT_TRUTH, sentence, truth_as_number

# Stands for a body that does not fit, until it is known that nothing else of the request is to be told before. No call
# takes a text.
UNFIT = "a body that does not fit"
# More than the form of any call has.
MOST_FIELDS = 50


class _ReadRequest(Request):
    """A request whose JSON body was read; of a form it reads a few fields."""

    parsed: Any = None

    def form(self, **limits: Any) -> Any:
        """The form. To read a field takes the event loop."""
        return super().form(**{**limits, "max_files": MOST_FIELDS, "max_fields": MOST_FIELDS})

    async def json(self) -> Any:
        """The body as its model, or UNFIT."""
        return self.parsed


class JsonRoute(APIRoute):
    """A route that refuses of a JSON body what no call takes, before the body is held against its model."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @functools.wraps(endpoint)
        def written(*args: Any, **kwargs: Any) -> Any:
            return self._written(endpoint(*args, **kwargs))

        super().__init__(path, written, **options)

    def _written(self, returned: Any) -> Any:
        """An answer as its bytes; as it is where it is some already, or where FastAPI has more to do to it."""
        if isinstance(returned, Response) or self.response_field is None or self.dependant.response_param_name:
            return returned
        answer, faults = self.response_field.validate(returned, {}, loc=("response",))
        if faults:
            return returned
        response = json_response(self.response_field.serialize_json(answer), self.status_code or 200)
        if isinstance(returned, Part):
            response.headers[TOTAL] = str(returned.total)
        return response

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, with a request whose body is read and checked."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            read, refused = _ReadRequest(request.scope, request.receive), None
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if self.body_field is not None and content_type.endswith("json") and (body := await read.body()):
                read.parsed, refused = await run_in_threadpool(self._fitting, body)
            try:
                return await handle(read)
            except RequestValidationError as error:
                if refused is None or error.errors()[0]["loc"][0] != "body":
                    raise
                raise refused from error

        return checked

    def _fitting(self, body: bytes) -> tuple[Any, Invalid | None]:
        """A body as its model; or UNFIT with the reason. Raises what loaded raises."""
        assert self.body_field is not None  # noqa: S101 - tells the type checker
        data = loaded(body, MOST_MEMBERS)
        model, faults = self.body_field.validate(data, {}, loc=())
        if not faults:
            where = truth_as_number(data, model) if b"true" in body or b"false" in body else None
            return (model, None) if where is None else (UNFIT, Invalid(f"{where.lstrip('.')}: {NOT_TRUTH}."))
        return UNFIT, Invalid(sentence(faults, data, kind=self.body_field.field_info.annotation))
