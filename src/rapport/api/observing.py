"""What is seen of every request: an id, a log line, metrics; how large a body may be; what nobody foresaw."""

import time
import uuid
from typing import Any

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.api.responses import error_response
from rapport.errors import RapportError, TooLarge

REQUESTS = Counter("rapport_requests_total", "Requests by route, method and status", ["route", "method", "status"])
SECONDS = Histogram("rapport_request_seconds", "Time to answer by route", ["route"])
log = structlog.get_logger("rapport.api")

# Files come in whole; the reference takes up to 1 GB.
UPLOADS = {"/manage/v1/imports": 1024**3}


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


class Observing:
    """ASGI middleware: X-Request-ID in and out, one structured log line and metrics a request.

    An error that nothing else turned into an answer is one here, under its id, and ends at that: were it passed on,
    the server would close the connection, on which the caller may already have sent the next request.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observe a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = _header(scope, b"x-request-id")
        request_id = given if given.isascii() and given.isprintable() and 0 < len(given) <= 64 else uuid.uuid4().hex
        status, begun, started = 500, False, time.perf_counter()

        async def tagged(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._answered(scope, receive, tagged)
        except Exception as error:
            if begun:
                raise
            refused = error if isinstance(error, TooLarge) else RapportError("Internal Server Error")
            if not isinstance(error, TooLarge | ClientDisconnect):
                log.exception("unexpected", request_id=request_id, path=scope["path"])
            await error_response(scope["path"], refused)(scope, receive, tagged)
        finally:
            self._note(scope, request_id, status, time.perf_counter() - started)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, seen = UPLOADS.get(scope["path"], self.max_body), 0
        too_large = TooLarge(f"The body is larger than {most} bytes.")

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise too_large
            return message

        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > most:
            raise too_large
        await self.app(scope, bounded, send)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "unmatched")
        REQUESTS.labels(path, scope["method"], status).inc()
        SECONDS.labels(path).observe(seconds)
        log.info(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=path,
            status=status,
            ms=round(seconds * 1000, 1),
        )
