"""Requests that no route takes: a wrong path, or a wrong method on a right one, told in one sentence."""

from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from rapport.errors import NotFound, RapportError, WrongMethod

LONGEST_SHOWN = 200


def unmatched(error: HTTPException, routes: Iterable[BaseRoute], scope: Scope) -> RapportError:
    """Why a request was not taken: routes are all that there are, error is what the framework says of it."""
    path = scope["path"]
    if error.status_code == NotFound.status:
        shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}..."
        return NotFound(f"There is no path {shown}; /docs lists them.")
    # A path may have a route for each method, of which the framework names the first.
    near = [route for route in routes if isinstance(route, Route) and route.matches(scope)[0] is Match.PARTIAL]
    named_methods = (error.headers or {}).get("Allow", "").split(", ")
    allowed = sorted({verb for route in near for verb in route.methods or ()} or set(named_methods))
    name = path.rsplit("/", 1)[1] if path.startswith("/current/") else path
    return WrongMethod(f"{name} takes {' or '.join(allowed)}, not {scope['method']}.", allowed)
