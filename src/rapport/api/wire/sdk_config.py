"""What SDKs load at their start: which events there are, and where to send them."""

import asyncio
import re
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.cached import cacheable
from rapport.api.http.responses import wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.event_senders import app_of
from rapport.customers import event_types
from rapport.customers.core_events import AUTOMATIC, CORE_EVENTS
from rapport.errors import NotFound, RapportError
from rapport.realtime.events.validation import MOST_PARAMETERS

router = SectionRouter("Events")

CONFIG = re.compile(r"[A-Za-z0-9._-]{1,100}\.json")
# A change of definitions reaches SDKs after so long at the latest, and whoever asks again costs a comparison.
CACHED_SECONDS = 60
_PARAMETER = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["String", "Number", "Boolean"]},
        "optional": {"type": "boolean"},
        "optiTrackDimensionId": {"type": "integer"},
    },
}
_EVENTS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "supportedOnOptitrack": {"type": "boolean"},
            "supportedOnRealTime": {"type": "boolean"},
            "parameters": {"type": "object", "additionalProperties": _PARAMETER},
        },
    },
}


def event_map(types: dict[str, tuple[int, dict[str, str]]]) -> dict[str, Any]:
    """Events as SDKs know them: name to number and parameters."""
    return {
        name: {
            "id": number,
            "supportedOnOptitrack": True,
            "supportedOnRealTime": True,
            "parameters": {
                parameter: {"type": kind, "optional": True, "optiTrackDimensionId": dimension}
                for dimension, (parameter, kind) in enumerate(parameters.items(), 1)
            },
        }
        for name, (number, parameters) in types.items()
    }


def core_events() -> dict[str, tuple[int, dict[str, str]]]:
    """The events that SDKs send by themselves."""
    own = {name: core for name, core in CORE_EVENTS.items() if core.from_apps}
    return {name: (core.id, {**core.parameters, **AUTOMATIC}) for name, core in own.items()}


def tenant_config(scope: Scope, token: str) -> dict[str, Any]:
    """A tenant's configuration: its declared events, and that everything goes through one address."""
    base = scope.stores.settings.links_url
    return {
        "enableRealtime": True,
        "enableRealtimeThroughOptistream": True,
        "prodLogsEnabled": False,
        "supportAirship": False,
        "realtimeMetaData": {"realtimeGateway": f"{base}/v1/realtime/{token}", "realtimeToken": token},
        "optitrackMetaData": {
            "optitrackEndpoint": f"{base}/v1/optistream/{token}",
            "siteId": scope.tenant_id,
            "maxActionCustomDimensions": MOST_PARAMETERS,
        },
        "events": event_map(core_events() | declared_events(scope)),
    }


def declared_events(scope: Scope) -> dict[str, tuple[int, dict[str, str]]]:
    """The events that a tenant has declared beside those of SDKs."""
    return {
        event_type.name: (event_type.id, {**event_type.types, **AUTOMATIC})
        for event_type in event_types.event_types(scope)
        if event_type.declared and event_type.name not in CORE_EVENTS
    }


def _shown(request: Request, content: dict[str, Any]) -> Response:
    return cacheable(request, orjson.dumps(content), "application/json", CACHED_SECONDS)


def _described(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration as a response of the OpenAPI document."""
    content = {"application/json": {"schema": {"type": "object", "properties": properties}, **more}}
    return {"description": "The configuration", "content": content}


@router.get(
    "/mobilesdkconfig/{tenantToken}/{configName}",
    summary="SDK configuration of the tenant",
    operation_id="SdkConfig",
    response_class=Response,
    responses={
        304: {"description": "Not changed since the answer whose ETag the request names (If-None-Match)"},
        200: _described(
            {
                "enableRealtime": {"type": "boolean"},
                "enableRealtimeThroughOptistream": {"type": "boolean"},
                "optitrackMetaData": {"type": "object"},
                "realtimeMetaData": {"type": "object"},
                "events": _EVENTS,
            }
        ),
        401: {"description": "The tenant token is unknown"},
        404: {"description": "Not the name of a configuration"},
    },
)
async def sdk_config(tenantToken: str, configName: str, request: Request) -> Response:
    """Needs no key: the token in the path is the public one of apps. Any name is valid, such as mobile.1.0.0.json."""
    try:
        tenant = await app_of(request, tenantToken)
        if not CONFIG.fullmatch(configName):
            raise NotFound("There is no such configuration.")
        content = await asyncio.to_thread(tenant_config, tenant.scope, tenantToken)
    except RapportError as error:
        return wire_error(error)
    return _shown(request, content)


@router.get(
    "/configs/mobile/global/v4/{env}/configs.json",
    summary="SDK configuration shared by all tenants",
    operation_id="GlobalSdkConfig",
    response_class=Response,
    responses={
        200: _described(
            {"general": {"type": "object"}, "optitrack": {"type": "object"}, "core_events": _EVENTS},
            example={
                "general": {"logs_service_endpoint": "https://rapport.example.com/report/log"},
                "optitrack": {"event_category_name": "LogEvent"},
                "core_events": event_map({"app_open": (1014, {"app_ns": "String"})}),
            },
        )
    },
)
def global_config(env: str, request: Request) -> Response:
    """Needs no key; the same for every environment."""
    base = request.app.state.stores.settings.links_url
    content = {
        "general": {"logs_service_endpoint": f"{base}/report/log"},
        "optitrack": {"event_category_name": "LogEvent"},
        "core_events": event_map(core_events()),
    }
    return _shown(request, content)


@router.post(
    "/report/log",
    summary="Accept an SDK's own log (not stored)",
    operation_id="SdkLog",
    response_class=Response,
    responses={204: {"description": "Accepted and dropped"}},
    status_code=204,
)
def sdk_log() -> Response:
    """For SDKs, which expect an address for their logs."""
    return Response(status_code=204)
