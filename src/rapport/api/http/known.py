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
    """Refuse a query parameter that the route does not declare, or that is given twice. Raises Invalid."""
    route = request.scope.get("route")
    if request.query_params and isinstance(route, APIRoute):
        _refuse((name for name, _ in request.query_params.multi_items()), _parameters(route.dependant), "parameter")


def _parameters(dependant: Dependant) -> list[str]:
    """The query parameters of a route and of all that it depends on."""
    names = [field.alias for field in dependant.query_params]
    return names + [name for part in dependant.dependencies for name in _parameters(part)]


async def only_known_fields(request: Request) -> None:
    """A dependency of routes that take a form: refuse a field that is not declared, or given twice. Raises Invalid."""
    route = request.scope["route"]
    form = await request.form()
    _refuse((name for name, _ in form.multi_items()), [field.alias for field in route.dependant.body_params], "field")


def _refuse(names: Iterable[str], declared: list[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Invalid(f"{name} is given more than once: one of them would be ignored.")
        seen.add(name)
        if name not in declared:
            takes = f"it takes {', '.join(declared)}" if declared else f"it takes no {kind}"
            raise Invalid(f"{name} is not a {kind} of this call; {takes}.")
