"""The routers of the API: one a section of the reference or of the management API."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

# What a route says of itself that is a POST only because its question is long: keys that read may call it, too.
CHANGES_NOTHING = {"x-changes-nothing": True}


def changes_nothing(route: APIRoute) -> bool:
    """Whether a route says that its calls leave everything as it is."""
    return CHANGES_NOTHING.items() <= (route.openapi_extra or {}).items()


class SectionRouter(APIRouter):
    """A router whose calls stand under one tag of the document.

    Its routes are complete, and an application takes them as they are: of a router that is included, FastAPI builds
    every route a second time.
    """

    def __init__(self, tag: str, prefix: str = "", route_class: type[APIRoute] = APIRoute) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=route_class, generate_unique_id_function=_operation_id)


def _operation_id(route: APIRoute) -> str:
    """The name of a call in generated clients, where its route has none of its own: that of its function."""
    return "".join(part.capitalize() for part in route.name.split("_"))
