"""Who calls: the key in X-API-KEY, its access type, its rate limit."""

from collections.abc import Callable

from fastapi import Request

from rapport.access.keys import Principal
from rapport.access.roles import may_call
from rapport.errors import Forbidden


def authenticate(request: Request) -> Principal:
    """The caller behind a request. Raises Unauthorized, Forbidden, TooManyRequests."""
    address = request.client.host if request.client else ""
    principal: Principal = request.app.state.keys.principal(request.headers.get("x-api-key", ""), address)
    request.app.state.limiter.hit(f"key:{principal.key_id}", principal.rate_limit)
    return principal


def caller(function: str) -> Callable[[Request], Principal]:
    """A dependency: the caller, if its access type covers the function of the wire."""

    def dependency(request: Request) -> Principal:
        principal = authenticate(request)
        if not may_call(principal.access_type, function):
            raise Forbidden(f"The API key's access type does not cover {function}.")
        return principal

    return dependency


def admin(request: Request) -> Principal:
    """A dependency: the caller, if it holds an Admin key (the management API)."""
    principal = authenticate(request)
    if principal.access_type != "Admin":
        raise Forbidden("The management API needs an Admin key.")
    return principal
