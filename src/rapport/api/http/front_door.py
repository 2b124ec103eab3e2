"""The front door: who calls is asked and counted before a byte of a body is read, and of a body no more than fits."""

from collections.abc import Sequence
from ipaddress import ip_address

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.api.document import KEYLESS, LOGIN
from rapport.api.http.auth import READING, identified, known
from rapport.api.http.body_sizes import most_bytes
from rapport.api.http.paths import LONGEST_PATH
from rapport.api.http.responses import MANAGED, error_response
from rapport.api.sections import changes_nothing
from rapport.errors import Invalid, NotFound, RapportError, TooLarge
from rapport.settings import Network

# Threads of its own, so that whoever calls is known also while every other thread is at work.
THREADS = 8
# A query of that many parameters is read in a millisecond.
MOST_PARAMETERS = 1000
# A Content-Type with parameters and a boundary takes a hundred.
LONGEST_TYPE = 1000
# What tells of the server itself; where there are networks of the operator, only to them.
OPERATORS = ("/docs", "/openapi.json", "/ready", "/metrics")


def takes_key(route: APIRoute) -> bool:
    """Whether a route is for holders of a key: all are but those that the document tells of as open."""
    return KEYLESS.isdisjoint(route.tags) and route.operation_id != LOGIN


class FrontDoor:
    """ASGI middleware in front of everything that reads bodies.

    Of a path that takes a key the caller is in `request.state` (see auth.authenticate). A refusal is answered at once,
    whatever the caller goes on to send.
    """

    def __init__(
        self, app: ASGIApp, routers: Sequence[APIRouter], max_body: int, networks: Sequence[Network] = ()
    ) -> None:
        self.app = app
        self.max_body = max_body
        self.networks = networks
        self._threads = CapacityLimiter(THREADS)
        self._routes = [
            route for router in routers for route in router.routes if isinstance(route, APIRoute) and takes_key(route)
        ]
        paths = [route.path for route in self._routes if not route.path.startswith(MANAGED)]
        self._asked_by_post = [route for route in self._routes if changes_nothing(route)]
        self._exact = frozenset(path for path in paths if "{" not in path)
        self._open = (MANAGED, *(path.partition("{")[0] for path in paths if "{" in path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may not come in; let in what may, with a body of bounded size."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            if len(scope["raw_path"]) > LONGEST_PATH:
                scope["route"] = None
                raise NotFound(f"There is no path of more than {LONGEST_PATH} bytes.")
            if len(Request(scope).headers.get("content-type", "")) > LONGEST_TYPE:
                raise Invalid(f"Content-Type has more than {LONGEST_TYPE} characters.")
            if scope["query_string"].count(b"&") >= MOST_PARAMETERS:
                raise Invalid(f"The query has more than {MOST_PARAMETERS} parameters.")
            if self.networks and scope["path"].startswith(OPERATORS):
                self._check_network(scope)
            if scope["path"] in self._exact or scope["path"].startswith(self._open):
                request = Request(scope)
                request.state.reads = self._reads(scope)
                await self._identify(request)
            await self._bounded(scope, receive, send)
        except RapportError as error:
            self._name_route(scope)
            await error_response(scope["path"], error)(scope, receive, send)

    def _reads(self, scope: Scope) -> bool:
        """Whether a request asks only, by its method or as its route says."""
        if scope["method"] in READING:
            return True
        return any(route.matches(scope)[0] is Match.FULL for route in self._asked_by_post)

    def _check_network(self, scope: Scope) -> None:
        """Raises NotFound for a caller from elsewhere than the operator's networks."""
        try:
            address = ip_address(scope["client"][0])
        except (TypeError, ValueError):
            address = None
        if address is None or not any(address in network for network in self.networks):
            raise NotFound(f"There is no path {scope['path'][:200]}.")

    async def _identify(self, request: Request) -> None:
        if not known(request):
            await run_sync(identified, request, limiter=self._threads)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, seen, begun = most_bytes(scope["path"], self.max_body), 0, False
        too_large = TooLarge(f"The body is larger than {most} bytes.")

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise too_large
            return message

        async def answer(message: Message) -> None:
            nonlocal begun
            # What reads a body may take the error for one of its own and answer it: that answer is left out.
            if begun or seen <= most:
                begun = True
                await send(message)

        length = Request(scope).headers.get("content-length", "")
        if length.isdigit() and int(length) > most:
            raise too_large
        try:
            await self.app(scope, bounded, answer)
        except TooLarge:
            if begun:
                raise
        if seen > most and not begun:
            raise too_large

    def _name_route(self, scope: Scope) -> None:
        """Have what is refused here counted and logged under its route as well."""
        if "route" not in scope:
            matching = (route for route in self._routes if route.matches(scope)[0] is Match.FULL)
            scope["route"] = next(matching, None)
