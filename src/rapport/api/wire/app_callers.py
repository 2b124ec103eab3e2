"""Who calls as an app: HTTP Basic with the app's API key, and its secret key or the server key of its company."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request

from rapport.access.limits import share
from rapport.access.scope import Scope
from rapport.api.http.auth import count_refusal
from rapport.api.http.json_bodies import loaded
from rapport.api.wire.event_senders import aside, body_of
from rapport.apps.credentials import authenticated
from rapport.apps.models import App
from rapport.errors import Invalid, Unauthorized, Unavailable, Unprocessable
from rapport.realtime.events.directory import IntakeTenant

# What every call of an app can be refused with, as the document tells it.
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "The app's keys are not valid"},
    429: {"description": "Too many calls; Retry-After says when to try again"},
    503: {"description": "An engine is away; Retry-After says when to try again"},
}
BY_KEYS: dict[str, Any] = {"security": [{"AppKeys": []}]}


@dataclass(frozen=True)
class AppCaller:
    """An app that calls, and its tenant as the intake of events knows it."""

    scope: Scope
    app: App
    tenant: IntakeTenant


def app_caller(*, need_server: bool) -> Callable[[Request], Awaitable[AppCaller]]:
    """A dependency: the app whose keys a request shows; need_server: its server key. Raises Unauthorized.

    Keys that are not good count against the caller's address, as those of the API do; good ones count as events of
    the app do.
    """

    async def dependency(request: Request) -> AppCaller:
        header = request.headers.get("authorization", "")
        try:
            scope, app = await run_sync(
                lambda: authenticated(request.app.state.stores, header, need_server=need_server)
            )
        except Unauthorized:
            if header:
                count_refusal(request)
            raise
        tenant: IntakeTenant | None = await request.app.state.directory.tenant(scope.tenant_id)
        if tenant is None:
            raise Unavailable("The tenant of this app is being removed.")
        return AppCaller(scope, app, tenant)

    return dependency


device_caller = app_caller(need_server=False)
server_caller = app_caller(need_server=True)


def pace(request: Request, caller: AppCaller, number: int) -> None:
    """Count what an app sends. Raises TooManyRequests."""
    limit = share(caller.tenant.app_events, caller.scope.stores.api_processes)
    request.app.state.event_limiter.take_of_apps(
        caller.scope.tenant_id, caller.app.api_key, number, limit, is_present=True
    )


async def object_of(request: Request) -> dict[str, Any]:
    """The body of a call, which is an object. Raises Unprocessable, TooLarge."""
    body = await body_of(request)
    try:
        data = await aside(request, loaded, body)
    except Invalid as error:
        raise Unprocessable(error.message) from error
    if not isinstance(data, dict):
        raise Unprocessable("The body must be a JSON object.")
    return data
