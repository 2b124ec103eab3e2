"""Whose inbox a call is about: the tenant and the brand, the customer or visitor, and who is proved to call.

Whoever knows a tenant, a brand and an id of a customer may ask, as the clients of the reference do. Where the tenant
has keys of X-User-JWT a token is held to the customer whom the call names, as it is for events.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from rapport.access.limits import RateLimiter, share
from rapport.access.scope import Scope
from rapport.api.http.bodies import LONGEST_CUSTOMER_ID
from rapport.api.http.parameters import INT32_MAX
from rapport.api.wire.event_senders import CAN_PROVE, NO_TENANT, number_of, user_of
from rapport.errors import Invalid, NotFound, Unauthorized
from rapport.inbox.reading import Inbox, is_known
from rapport.messaging.topics import brand_groups
from rapport.realtime.events.directory import Directory, IntakeTenant, inbox_channels
from rapport.realtime.events.owners import persons_named

BAD_TENANT = "tenantId is not the number of a tenant."


@dataclass(frozen=True, slots=True)
class Names:
    """Whom a call or an event names; one of both may be empty."""

    customer_id: str
    visitor_id: str

    @property
    def customer(self) -> str:
        """The customer, empty where there is none: apps put the visitor id in its place then."""
        return "" if self.customer_id == self.visitor_id else self.customer_id


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant's brand, by the channels of its inbox, and the customer whom the call is proved to come from, if so."""

    request: Request
    tenant: IntakeTenant
    channels: tuple[int, ...]
    user: str | None

    @property
    def scope(self) -> Scope:
        """The tenant's."""
        return self.tenant.scope


def query_of(request: Request) -> dict[str, str]:
    """The parameters of the query by lower-case name."""
    return {name.lower(): text.strip() for name, text in request.query_params.multi_items()}


async def tenant_of(request: Request, named: str = "") -> IntakeTenant:
    """The tenant that the query names, or else the body or X-Tenant-Id. Raises Invalid."""
    digits = query_of(request).get("tenantid") or named or request.headers.get("x-tenant-id", "").strip()
    number = number_of(digits)
    directory: Directory = request.app.state.directory
    tenant = await directory.tenant(number) if NO_TENANT < number <= INT32_MAX else None
    if tenant is None:
        raise Invalid(BAD_TENANT)
    return tenant


def caller(request: Request, tenant: IntakeTenant, brand_id: str = "") -> Caller:
    """Who calls for a brand: that of the query, or else of the body. Raises Invalid, Unauthorized."""
    brand = query_of(request).get("brandid") or brand_id
    channels = tenant.inboxes.get(str(guid(brand)))
    if channels is None:  # none, or one that was made a moment ago
        try:
            channels = inbox_channels(brand_groups.brand_group(tenant.scope, brand))
        except NotFound as error:
            raise Invalid("brandId is not the id of a brand group of the tenant.") from error
    return Caller(request, tenant, channels, user_of(request, tenant))


def named(parameters: Mapping[str, str | None]) -> Names:
    """The customer and the visitor of a query or an event, by lower-case name. Raises Invalid."""
    customer_id = (parameters.get("customerid") or "").strip()
    visitor_id = (parameters.get("visitorid") or "").strip()
    if not (customer_id or visitor_id):
        raise Invalid("customerId or visitorId is required.")
    for name, text in (("customerId", customer_id), ("visitorId", visitor_id)):
        if len(text) > LONGEST_CUSTOMER_ID or "\0" in text:
            raise Invalid(f"{name} must have at most {LONGEST_CUSTOMER_ID} characters, and no null character.")
    return Names(customer_id, visitor_id)


def inbox_of(by: Caller, names: Names) -> Inbox:
    """The inbox of whom a call names. Raises Unauthorized for somebody else's, TooManyRequests."""
    limiter: RateLimiter = by.request.app.state.limiter
    calls = share(limiter.calls, by.request.app.state.stores.api_processes)
    limiter.hit(f"inbox:{by.scope.tenant_id}:{names.customer_id or names.visitor_id}", calls)
    _check_user(by, {names.customer.lower(), _with_plus(names.customer).lower()} - {""})
    inbox = _inbox(by, names)
    if " " not in names.customer_id:
        return inbox
    # Some clients leave a + as it is, which a query takes for a blank.
    with by.scope.reads() as session:
        known = is_known(by.scope, session, inbox)
    return inbox if known else _inbox(by, Names(_with_plus(names.customer_id), names.visitor_id))


def _with_plus(customer_id: str) -> str:
    return customer_id.replace(" ", "+")


def _inbox(by: Caller, names: Names) -> Inbox:
    return Inbox(persons_named(by.scope, names.customer_id, names.visitor_id), by.channels)


def check_owner(by: Caller, person: str, customer_id: str) -> None:
    """Whether a call that names nobody may be about a message of a person. Raises Unauthorized."""
    _check_user(by, {person} if customer_id else set())


def _check_user(by: Caller, customers: set[str]) -> None:
    """customers: the spellings of the customer, as person ids; none for a visitor, who needs no proof."""
    if by.user is not None:
        if customers and by.user not in customers:
            raise Unauthorized("X-User-JWT is of another customer than the call names.")
    elif by.tenant.user_keys and customers:
        able = by.request.headers.get(CAN_PROVE) == "1"
        if able or not by.tenant.settings.apps_without_jwt:
            raise Unauthorized("X-User-JWT is missing: the call names a customer.")


def guid(text: str) -> uuid.UUID | None:
    """The id of a message; None for a text that is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def answered(body: bytes) -> Response:
    """An answer that nobody keeps."""
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


def done() -> Response:
    """The answer to what has been carried out."""
    return Response(status_code=204)


async def body_of(request: Request) -> bytes:
    """The bytes of a request, of any type: clients name several."""
    return await request.body()
