"""What is seen of every request: an id, a log line, metrics; what nobody foresaw."""

import time
import uuid

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.api.http.protection import protected
from rapport.api.http.responses import error_response
from rapport.errors import Invalid, RapportError, Unavailable
from rapport.stores.outages import outage
from rapport.stores.records.connecting import statements_within
from rapport.stores.warehouse.warehouse_server import ANSWER_SECONDS, answers_within

REQUESTS = Counter("rapport_requests_total", "Requests by route, method and status", ["route", "method", "status"])
# A route is a series for each of these: enough to tell a page that is slow from one that is not.
BUCKETS = (0.025, 0.1, 0.25, 1.0, 5.0, 30.0)
SECONDS = Histogram("rapport_request_seconds", "Time to answer by route", ["route"], buckets=BUCKETS)
# Of all others HTTP has dozens, and each would be a series of every route.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
log = structlog.get_logger("rapport.api")

# How long a statement of a request may take: who waits for it has given up by then.
STATEMENT_SECONDS = 30.0
# What is read with a body, by the end of its path.
READS = ("/size", "/sample", "/sentence")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _route(scope: Scope) -> str:
    """The form of the path that a request was led to."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _patience(scope: Scope) -> float:
    """How long the warehouse may be silent. Files and other changes of management take their time."""
    reads = scope["method"] in ("GET", "HEAD") or scope["path"].endswith(READS)
    managing = scope["path"].startswith("/manage/") and not reads
    return ANSWER_SECONDS if managing else STATEMENT_SECONDS


class Observing:
    """ASGI middleware: X-Request-ID in and out, one structured log line and metrics a request.

    An error that nothing else turned into an answer is one here, under its id, and ends at that: were it passed on,
    the server would close the connection, on which the caller may already have sent the next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observe a request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        requested_id = _header(scope, b"x-request-id")
        request_id = (
            requested_id
            if requested_id.isascii() and requested_id.isprintable() and 0 < len(requested_id) <= 64
            else uuid.uuid4().hex
        )
        status, begun, started = 500, False, time.perf_counter()

        async def tagged(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                message["headers"] = protected(scope["path"], headers)
            await send(message)

        try:
            with statements_within(STATEMENT_SECONDS), answers_within(_patience(scope)):
                await self.app(scope, receive, tagged)
        except Exception as error:
            if begun:
                raise
            if isinstance(error, ClientDisconnect):
                refused: RapportError = Invalid("The connection ended before the body did.")
            elif (away := outage(error)) is not None:
                refused = away
            else:
                refused = RapportError("Internal Server Error")
                # Of the path only its form: what was sent names persons, and holds tokens.
                log.exception("unexpected", request_id=request_id, route=_route(scope))
            await error_response(scope["path"], refused)(scope, receive, tagged)
        finally:
            self._note(scope, request_id, status, time.perf_counter() - started)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        path = _route(scope)
        REQUESTS.labels(path, scope["method"] if scope["method"] in METHODS else "other", status).inc()
        SECONDS.labels(path).observe(seconds)
        # While an engine is away every request is answered alike: a line of a second tells of them.
        tell = log.warning if status == Unavailable.status else log.info
        tell(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=path,
            status=status,
            ms=round(seconds * 1000, 1),
        )
