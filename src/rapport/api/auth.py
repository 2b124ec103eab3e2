"""Who calls: the API key or legacy token, its access type, its rate limit; or the operator on the same machine."""

import ipaddress
import secrets
from collections.abc import Callable

from fastapi import Request

from rapport.access import users
from rapport.access.keys import Principal
from rapport.access.operator import OPERATOR_HEADER, TENANT_HEADER
from rapport.access.roles import may_call
from rapport.access.scope import scope_of
from rapport.access.service import find_tenant
from rapport.errors import Forbidden, Invalid, Unauthorized
from rapport.stores import Stores


def authenticate(request: Request) -> Principal:
    """The caller behind a request. Raises Unauthorized, Forbidden, TooManyRequests."""
    address = request.client.host if request.client else ""
    key, token = request.headers.get("x-api-key", ""), request.headers.get("authorization-token", "")
    stores: Stores = request.app.state.stores
    if token and not key and stores.settings.legacy_login:
        principal = users.token_principal(stores, token)
    else:
        principal = request.app.state.keys.principal(key, address)
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
    """A dependency: the caller, if it holds an Admin key or is the operator (the management API)."""
    if OPERATOR_HEADER in request.headers:
        return for_tenant(request, operator(request))
    principal = authenticate(request)
    if principal.access_type != "Admin":
        raise Forbidden("The management API needs an Admin key.")
    return principal


def operator(request: Request) -> Stores:
    """A dependency: the stores, if the caller holds this process's operator token and is on this machine.

    Raises Forbidden for an API key, Unauthorized for another token or another machine.
    """
    token = request.headers.get(OPERATOR_HEADER)
    if token is None:
        authenticate(request)
        raise Forbidden("Only the operator of this server may do this: use the rapport command on its machine.")
    expected: str = request.app.state.operator_token
    if not expected or not _is_loopback(request) or not secrets.compare_digest(token.encode(), expected.encode()):
        raise Unauthorized(f"{OPERATOR_HEADER} is not the token of this server.")
    stores: Stores = request.app.state.stores
    return stores


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def for_tenant(request: Request, stores: Stores) -> Principal:
    """The operator as a principal of the tenant that X-Rapport-Tenant names. Raises Invalid, NotFound."""
    reference = request.headers.get(TENANT_HEADER, "")
    if not reference:
        raise Invalid(f"{TENANT_HEADER} is required: the tenant's id or name.")
    scope = scope_of(stores, find_tenant(stores, reference).id, actor="operator")
    return Principal(0, "Admin", 0, (), scope)
