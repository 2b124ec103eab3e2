"""What a call of the management API may name: a member or parameter that is not known is refused, never ignored."""

from collections.abc import Iterable

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from rapport.errors import Invalid


class Body(BaseModel):
    """A body that refuses members it does not know: a misspelt one would change what is done without a word."""

    model_config = ConfigDict(extra="forbid")


def only_known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not declare. Raises Invalid."""
    route = request.scope.get("route")
    if request.query_params and isinstance(route, APIRoute):
        _refuse(request.query_params, _parameters(route.dependant), "parameter")


def _parameters(dependant: Dependant) -> list[str]:
    """The query parameters of a route and of all that it depends on."""
    found = [one.alias for one in dependant.query_params]
    return found + [name for part in dependant.dependencies for name in _parameters(part)]


async def only_known_fields(request: Request) -> None:
    """A dependency of routes that take a form: refuse a field that the route does not declare. Raises Invalid."""
    route = request.scope["route"]
    _refuse(await request.form(), [one.alias for one in route.dependant.body_params], "field")


def _refuse(given: Iterable[str], known: list[str], what: str) -> None:
    for name in given:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else f"it takes no {what}"
            raise Invalid(f"{name} is not a {what} of this call; {takes}.")
