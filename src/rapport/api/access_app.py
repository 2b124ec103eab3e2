"""The application of commands about tenants and keys: to load it takes a third of the time that everything takes."""

from fastapi import FastAPI

from rapport.api.http.application import prepare
from rapport.api.manage.installation import keys, sender_domains, tenants
from rapport.stores import Stores

ROUTERS = (tenants.router, keys.router, sender_domains.router)


def create_access_app(stores: Stores, operator_token: str) -> FastAPI:
    """The calls of the management API about tenants and their keys, on open stores."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    prepare(app, stores, operator_token, ROUTERS)
    app.routes.extend(route for router in ROUTERS for route in router.routes)
    return app
