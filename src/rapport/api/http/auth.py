"""Who calls: the API key or legacy token, its access type, its rate limit; or the operator on the same machine."""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable

from fastapi import Request

from rapport.access import users
from rapport.access.keys import KeyRing, Principal
from rapport.access.limits import RateLimiter, share, source
from rapport.access.operator import OPERATOR_HEADER, TENANT_HEADER
from rapport.access.roles import Rights, may_call, may_manage, rights_cover
from rapport.access.scope import Scope, scope_of
from rapport.access.service import find_tenant
from rapport.api.http.known import only_known_parameters
from rapport.api.http.responses import MANAGED
from rapport.errors import Forbidden, Invalid, Unauthorized
from rapport.stores import Stores

READING = ("GET", "HEAD")


def known(request: Request) -> bool:
    """Whether who calls can be told without asking the records, and is told then: see identified.

    Raises what identified raises.
    """
    keys: KeyRing = request.app.state.keys
    key = request.headers.get("x-api-key", "")
    if not _as_operator(request) and (_token(request) or (key and not keys.remembers(key))):
        return False
    identified(request)
    return True


def identified(request: Request) -> None:
    """Find out who calls, and count the call; dependencies of the routes ask no more than what it may do.

    A credential that is not good counts against its address, which then is told to wait; good ones are let in from
    there all the same. Raises Unauthorized, Forbidden, TooManyRequests.
    """
    limiter: RateLimiter = request.app.state.limiter
    processes = request.app.state.stores.api_processes
    try:
        principal = _principal(request)
    except (Unauthorized, Forbidden):
        if _shows_something(request):
            count_refusal(request)
        raise
    if principal is None:
        return
    limiter.hit(f"key:{principal.key_id}", principal.rate_limit)
    # A key that is over its own limit takes nothing of what the tenant's other keys have.
    limiter.hit(f"tenant:{principal.scope.tenant_id}", share(principal.tenant_rate_limit, processes))
    if request.scope["path"].startswith(MANAGED):
        _check_admin(request, principal)
    request.state.principal = principal


def check_still_good(request: Request) -> None:
    """Raises Unauthorized, Forbidden where a caller who was let in would not be any more; nothing is counted."""
    _principal(request)


def count_refusal(request: Request) -> None:
    """Count a credential that is not good against its address. Raises TooManyRequests."""
    limiter: RateLimiter = request.app.state.limiter
    stores: Stores = request.app.state.stores
    limiter.hit(f"failed:{source(_address(request))}", share(limiter.calls, stores.api_processes))


def _principal(request: Request) -> Principal | None:
    """Who calls; None for the operator."""
    if _as_operator(request):
        _check_operator(request)
        return None
    if token := _token(request):
        return users.token_principal(request.app.state.stores, token)
    principal: Principal = request.app.state.keys.principal(request.headers.get("x-api-key", ""), _address(request))
    return principal


def _as_operator(request: Request) -> bool:
    return OPERATOR_HEADER in request.headers and request.scope["path"].startswith(MANAGED)


def _token(request: Request) -> str:
    """The legacy token, if it is what the caller is known by."""
    stores: Stores = request.app.state.stores
    if request.headers.get("x-api-key") or not stores.settings.legacy_login:
        return ""
    return request.headers.get("authorization-token", "")


def _shows_something(request: Request) -> bool:
    return any(request.headers.get(name) for name in ("x-api-key", "authorization-token", OPERATOR_HEADER))


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def authenticate(request: Request) -> Principal:
    """The caller whom the front door let in. Raises Unauthorized for a request that did not come through it."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise Unauthorized("The X-API-KEY header is missing.")
    return principal


def caller_of(request: Request, function: str) -> Principal:
    """The caller, if its access type covers a function of the wire. Raises Unauthorized, Forbidden."""
    principal = authenticate(request)
    if not may_call(principal.access_type, function):
        raise Forbidden(f"The API key's access type does not cover {function}.")
    if not rights_cover(principal.rights, principal.sections, function, reads=request.state.reads):
        raise Forbidden(f"The API key's rights or sections do not cover {function}.")
    return principal


def caller(function: str) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency: caller_of(). It waits for nothing, and as a coroutine needs no thread."""

    async def dependency(request: Request) -> Principal:
        return caller_of(request, function)

    return dependency


def admin(request: Request) -> Principal:
    """A dependency: the caller, if it holds an Admin key or is the operator (the management API)."""
    if OPERATOR_HEADER in request.headers:
        return for_tenant(request, operator(request))
    principal = authenticate(request)
    _check_admin(request, principal)
    only_known_parameters(request)
    return principal


def _check_admin(request: Request, principal: Principal) -> None:
    if principal.access_type != "Admin":
        raise Forbidden("The management API needs an Admin key.")
    section = f"{request.scope['path']}///".split("/")[3]  # /manage/v1/section/...
    if not may_manage(principal.rights, principal.sections, section, reads=request.state.reads):
        raise Forbidden(f"The API key's rights or sections do not cover {request.method} in {section!r}.")


def require_secrets(principal: Principal) -> None:
    """Raises Forbidden for a key that reads only, which is shown no secrets."""
    if principal.rights is Rights.READ:
        raise Forbidden("A key with the rights read cannot see secrets.")


def operator(request: Request) -> Stores:
    """A dependency: the stores, if the caller holds this process's operator token and is on this machine.

    Raises Forbidden for an API key, Unauthorized for another token or another machine.
    """
    if OPERATOR_HEADER not in request.headers:
        authenticate(request)
        raise Forbidden("Only the operator of this server may do this: use the rapport command on its machine.")
    _check_operator(request)
    only_known_parameters(request)
    stores: Stores = request.app.state.stores
    return stores


def _check_operator(request: Request) -> None:
    token, expected = request.headers[OPERATOR_HEADER], request.app.state.operator_token
    if not expected or not _is_loopback(request) or not secrets.compare_digest(token.encode(), expected.encode()):
        raise Unauthorized(f"{OPERATOR_HEADER} is not the token of this server.")


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
    return Principal(0, "Admin", 0, (), scope, 0)


def operated(request: Request) -> Scope:
    """A dependency: the scope of the tenant that the operator names. Raises what operator and for_tenant raise."""
    return for_tenant(request, operator(request)).scope
