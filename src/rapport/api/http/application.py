"""What every application on open stores has: who calls and how often, shares, repetitions, observation and errors."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from rapport.access.keys import KeyRing
from rapport.access.limits import RateLimiter
from rapport.api.http.failures import answer_errors
from rapport.api.http.front_door import FrontDoor
from rapport.api.http.idempotency import Idempotency
from rapport.api.http.observing import Observing
from rapport.api.http.shares import Shares
from rapport.settings import networks_of
from rapport.stores import Stores


def prepare(app: FastAPI, stores: Stores, operator_token: str, routers: Sequence[APIRouter]) -> None:
    """Give an application of some routers all that each of their calls takes."""
    settings = stores.settings
    app.state.stores = stores
    app.state.operator_token = operator_token
    app.state.keys = KeyRing(stores)
    app.state.directory = None  # where no events come in, nothing is kept of tenants for them
    app.state.limiter = RateLimiter(settings.rate_limit_calls, settings.rate_limit_seconds)
    answer_errors(app)
    app.user_middleware = [
        Middleware(Observing),
        Middleware(FrontDoor, routers=routers, max_body=settings.max_body_bytes, networks=networks_of(settings)),
        Middleware(Shares),
        Middleware(Idempotency),
    ]
