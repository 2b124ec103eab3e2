"""Which of hundreds of routes a request is for: only those whose paths begin as its own are tried."""

from fastapi import APIRouter
from starlette._utils import get_route_path
from starlette.types import Receive, Scope, Send

# Parts of a path that tell one group of routes from another, as in /manage/v1/channels.
TELLING = 3


class ByBeginning:
    """ASGI application that gives a request to those routes of a router that may be meant, in their order."""

    def __init__(self, router: APIRouter) -> None:
        self._router, self._routes = router, 0
        self._narrow: dict[tuple[str, ...], APIRouter] = {}

    def _divide(self) -> None:
        """Divide the routes, among them those that were added since the last time."""
        routes = list(self._router.routes)
        fixed = [_fixed(getattr(route, "path", "")) for route in routes]
        narrow = {}
        for beginning in {(), *fixed}:
            router = APIRouter(redirect_slashes=self._router.redirect_slashes, default=self._router.default)
            router.routes.extend(
                route for route, own in zip(routes, fixed, strict=True) if own == beginning[: len(own)]
            )
            narrow[beginning] = router
        self._narrow, self._routes = narrow, len(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the route that is meant."""
        if scope["type"] != "http":
            await self._router.app(scope, receive, send)
            return
        scope["router"] = self._router
        await self.meant(get_route_path(scope)).app(scope, receive, send)

    def meant(self, path: str) -> APIRouter:
        """A router of the routes that a path may be meant for."""
        if self._routes != len(self._router.routes):
            self._divide()
        parts = tuple(path.split("/", TELLING + 1)[1 : TELLING + 1])
        return next(
            router for end in range(len(parts), -1, -1) if (router := self._narrow.get(parts[:end])) is not None
        )


def _fixed(path: str) -> tuple[str, ...]:
    """How every path of a route begins: its parts up to the first parameter."""
    before, parameter, _ = path.partition("{")
    parts = before.split("/")[1:]
    return tuple((parts[:-1] if parameter else parts)[:TELLING])
