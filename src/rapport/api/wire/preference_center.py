"""Preference Center: what customers are subscribed to, for apps, sites and servers that hold no key.

Whoever knows a tenant, a brand group and a CustomerID may ask and change, as the clients of the reference do. Each
address may call so often, before anything else is looked at; changes are entered in the log of consent with where they
came from; and a brand group may require a proof: an X-User-JWT of the customer, or an API key of the tenant.
"""

from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.access.limits import RateLimiter, share, source
from rapport.access.roles import may_call, rights_cover
from rapport.access.scope import Scope, scope_of
from rapport.api.http.bodies import Listed, Whole, WireModel, documented_array, parse_array
from rapport.api.http.parameters import INT32_MAX
from rapport.api.http.responses import wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.event_senders import CAN_PROVE, USER_JWT
from rapport.errors import Invalid, NotFound, RapportError, Unauthorized
from rapport.messaging.models import BrandGroup, WishSource
from rapport.messaging.topics import brand_groups, subscriptions
from rapport.messaging.topics.subscriptions import Preferences
from rapport.messaging.topics.topics import MOST_TOPICS
from rapport.realtime.events import user_jwts

router = SectionRouter("Preference Center")
PATH = "/api/v1/preferences"
GET, PUT = "GetPreferences", "UpdatePreferences"
TENANT = "x-tenant-id"
MOST_DIGITS = 10
LONGEST_PARAMETER = 300
# Calls of all addresses together for a tenant, as a multiple of what one address may make.
TENANT_SHARE = 20
EXAMPLE_ID = "1b7d1f3a-5d0e-4a6e-9c57-3f1f2a9d8e01"
EXAMPLE = [{"topicId": EXAMPLE_ID, "channelSubscription": [15]}]
NUMBERS = {"type": "array", "items": {"type": "integer", "enum": list(brand_groups.WIRE_CHANNELS)}}
SHAPE = {
    "type": "object",
    "properties": {
        "topics": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "topicId": {"type": "string", "format": "uuid"},
                    "topicName": {"type": "string"},
                    "topicDescription": {"type": "string"},
                    "channelSubscription": NUMBERS,
                },
                "required": ["topicId", "topicName", "topicDescription", "channelSubscription"],
            },
        },
        "channels": NUMBERS,
    },
    "required": ["topics", "channels"],
}
PARAMETERS = [
    {
        "name": "customerId",
        "in": "query",
        "required": True,
        "description": "The CustomerID, known or not",
        "schema": {"type": "string"},
    },
    {
        "name": "brandGroupId",
        "in": "query",
        "required": True,
        "description": "The brand group, see GET /manage/v1/brand-groups",
        "schema": {"type": "string", "format": "uuid"},
    },
    {
        "name": "X-Tenant-Id",
        "in": "header",
        "required": True,
        "description": "The tenant's number",
        "schema": {"type": "integer"},
    },
]
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The tenant, brand group, customer, topic or channel is wrong"},
    401: {"description": "The brand group requires proof of who calls, and the call has none or an invalid one"},
    429: {"description": "Over the rate limit"},
}


class TopicUpdate(WireModel):
    """The channels on which the customer is subscribed to a topic from now on; other members are ignored."""

    topic_id: str = Field(alias="topicId", min_length=1, max_length=100)
    channel_subscription: Annotated[Listed[Whole], Field(max_length=100)] = Field(alias="channelSubscription")


async def _body(request: Request) -> bytes:
    """The bytes of a request, of any type: clients name several."""
    return await request.body()


@router.get(
    PATH,
    summary="Get Preferences",
    operation_id=GET,
    response_class=Response,
    responses={
        200: {"description": "The topics by name", "content": {"application/json": {"schema": SHAPE}}},
        **REFUSALS,
    },
    openapi_extra={"parameters": PARAMETERS},
)
def get_preferences(request: Request) -> Response:
    """The channels of a brand group and, for each topic that is not hidden, those on which the customer is subscribed.

    A customer who has said nothing, or is not known, has the defaults. channelSubscription is empty for a topic that
    the customer has left on every channel; of a mandatory topic it has all channels.
    """
    try:
        scope, group, customer_id = _asked(request, GET)
        return _answer(_shown(subscriptions.preferences(scope, group.id, customer_id)))
    except RapportError as error:
        return _refused(error)


@router.put(
    PATH,
    summary="Update Preferences",
    operation_id=PUT,
    response_class=Response,
    responses={
        200: {"description": "Saved", "content": {"application/json": {"schema": {"type": "object"}}}},
        **REFUSALS,
    },
    openapi_extra={"parameters": PARAMETERS, **documented_array(TopicUpdate, EXAMPLE, MOST_TOPICS)},
)
def update_preferences(request: Request, body: bytes = Depends(_body)) -> Response:
    """For each topic in the array, the channels of the array replace those of the customer; other topics do not change.

    An empty array of channels unsubscribes from the topic. 400 for a topic or channel that does not belong to the brand
    group, and if a mandatory topic lacks a channel; then nothing is changed.
    """
    try:
        scope, group, customer_id = _asked(request, PUT)
        updates = parse_array(TopicUpdate, body, MOST_TOPICS)
        wanted_channels = {update.topic_id: update.channel_subscription for update in updates}
        subscriptions.set_subscriptions(scope, group.id, customer_id, wanted_channels, WishSource.SDK)
        return _answer({})
    except RapportError as error:
        return _refused(error)


def _answer(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), headers={"Cache-Control": "no-store"}, media_type="application/json")


def _refused(error: RapportError) -> Response:
    return wire_error(Invalid(error.message) if isinstance(error, NotFound) else error)


def _shown(preferences: Preferences) -> dict[str, Any]:
    topics = [
        {
            "topicId": state.topic.id,
            "topicName": state.topic.name,
            "topicDescription": state.topic.description,
            "channelSubscription": list(state.subscribed),
        }
        for state in preferences.topics
    ]
    return {"topics": topics, "channels": brand_groups.numbers(preferences.group)}


def _asked(request: Request, function: str) -> tuple[Scope, BrandGroup, str]:
    """Tenant, brand group and customer of a call that may be made. Raises Invalid, Unauthorized, TooManyRequests."""
    address = request.client.host if request.client else ""
    limiter: RateLimiter = request.app.state.limiter
    processes = request.app.state.stores.api_processes
    calls = share(limiter.calls, processes)
    limiter.hit(f"preferences:{source(address)}", calls)
    tenant_id = _tenant_id(request)
    customer_id, group_id = _parameter(request, "customerId"), _parameter(request, "brandGroupId")
    limiter.hit(f"preferences of:{tenant_id}", calls * TENANT_SHARE)
    try:
        scope = scope_of(request.app.state.stores, tenant_id, actor=f"preference center from {source(address)}")
    except NotFound as error:
        raise Invalid("X-Tenant-Id is not the number of a tenant.") from error
    subscriptions.checked_id(customer_id)
    group = brand_groups.brand_group(scope, group_id)
    return _proved(scope, request, group, customer_id, function), group, customer_id


def _tenant_id(request: Request) -> int:
    text = request.headers.get(TENANT, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and 0 < int(text) <= INT32_MAX):
        raise Invalid("X-Tenant-Id must be the number of a tenant.")
    return int(text)


def _parameter(request: Request, name: str) -> str:
    query = {key.lower(): text for key, text in request.query_params.multi_items()}
    text = query.get(name.lower(), "").strip()
    if not text or len(text) > LONGEST_PARAMETER:
        raise Invalid(f"{name} must have 1 to {LONGEST_PARAMETER} characters.")
    return text


def _proved(scope: Scope, request: Request, group: BrandGroup, customer_id: str, function: str) -> Scope:
    """The scope with who is proved to act, if anybody. Raises Unauthorized for a proof that is missing or not good.

    A token is looked at where the tenant has keys for it. Without one only SDKs that could bring it are refused, and
    everybody where the brand group requires a proof.
    """
    if key := request.headers.get("x-api-key", ""):
        return _of_key(scope, request, key, function)
    keys = user_jwts.verifying_keys(scope)
    token = request.headers.get(USER_JWT, "").strip()
    if token and keys:
        if user_jwts.subject(token, keys).lower() != customer_id.lower():
            raise Unauthorized("X-User-JWT is of another customer than customerId.")
        return replace(scope, actor=f"X-User-JWT, {scope.actor}")
    if group.requires_proof or (keys and request.headers.get(CAN_PROVE) == "1"):
        raise Unauthorized("X-User-JWT is missing: it must prove that the caller is the customer.")
    return scope


def _of_key(scope: Scope, request: Request, key: str, function: str) -> Scope:
    address = request.client.host if request.client else ""
    principal: Principal = request.app.state.keys.principal(key, address)
    covers = may_call(principal.access_type, function) and rights_cover(
        principal.rights, principal.sections, function, reads=function == GET
    )
    if principal.scope.tenant_id != scope.tenant_id or not covers:
        raise Unauthorized(f"The API key does not cover {function} of this tenant.")
    return principal.scope
