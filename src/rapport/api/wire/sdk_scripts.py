"""What web SDKs load at their start: scripts that set the tenant's configuration and the core events."""

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
from rapport.api.wire.sdk_config import CACHED_SECONDS, core_events, declared_events, event_map
from rapport.api.wire.user_agents import PATH as USER_AGENT
from rapport.errors import NotFound, RapportError
from rapport.realtime.events.validation import MOST_PARAMETERS

router = SectionRouter("Events")

SCRIPT = re.compile(r"[A-Za-z0-9._-]{1,100}\.js")
JAVASCRIPT = "text/javascript"
# JSON in a script: what ends a script element or a line is written in another way.
ESCAPED = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
# Numbers of the places that older web SDKs give their own values among those of an event.
PLACES = {
    "eventIdCustomDimensionId": 6,
    "eventNameCustomDimensionId": 7,
    "visitCustomDimensionsStartId": 1,
    "maxVisitCustomDimensions": 5,
    "actionCustomDimensionsStartId": 8,
}


def web_events(types: dict[str, tuple[int, dict[str, str]]]) -> dict[str, Any]:
    """Events as web SDKs know them. Each goes to the realtime gateway alone, which answers with popups: SDKs that give
    their events no ids would have them counted twice if they sent them to both addresses.
    """
    events = event_map(types)
    for event in events.values():
        event["supportedOnOptitrack"] = False
        for name, parameter in event["parameters"].items():
            parameter |= {"name": name, "configName": name}
    return events


def web_config(scope: Scope, token: str, version: str) -> dict[str, Any]:
    """A tenant's configuration, with the members that web SDKs read."""
    base = scope.stores.settings.links_url
    return {
        "version": version,
        "enableOptitrack": True,
        "enableVisitors": True,
        "enableRealtime": True,
        "enableWebPush": False,
        "isSPA": True,
        "supportCookieMatcher": False,
        "supportUserEmailStitch": False,
        "supportDatonicsCookieMatching": False,
        "supportLiveRamp": False,
        "sdkServicesEndPoint": f"{base}{USER_AGENT}",
        "realtimeMetaData": {
            "realtimeToken": token,
            "realtimeGateway": f"{base}/v1/realtime/{token}/",
            "options": {"showDimmer": True, "showWatermark": False, "popupCallback": None},
        },
        "optitrackMetaData": {
            "optitrackEndpoint": f"{base}/v1/optistream/{token}",
            "siteId": scope.tenant_id,
            "maxActionCustomDimensions": MOST_PARAMETERS,
            "eventCategoryName": "LogEvent",
            "useSessionStorage": True,
            "sendUserAgentHeader": False,
            "enableHeartBeatTimer": False,
            "heartBeatTimer": 30,
            **PLACES,
        },
        "events": web_events(core_events() | declared_events(scope)),
    }


def _script(request: Request, name: str, value: Any) -> Response:
    text = orjson.dumps(value).decode()
    for character, written in ESCAPED.items():
        text = text.replace(character, written)
    return cacheable(request, f"self.{name} = {text};\n".encode(), JAVASCRIPT, CACHED_SECONDS)


_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {"description": "A script", "content": {JAVASCRIPT: {"schema": {"type": "string"}}}},
        304: {"description": "Not changed since the answer whose ETag the request names (If-None-Match)"},
        401: {"description": "The tenant token is unknown"},
        404: {"description": "Not the name of a script"},
    },
}


@router.get("/webconfig/prod/sdk-events.js", summary="Core events of web SDKs", operation_id="WebSdkEvents", **_ROUTE)
def web_sdk_events(request: Request) -> Response:
    """Sets optimoveCoreEvents. Needs no key; the same for every tenant."""
    return _script(request, "optimoveCoreEvents", {"events": web_events(core_events())})


@router.get(
    "/webconfig/{tenantToken}/{configName}",
    summary="Web SDK configuration of the tenant",
    operation_id="WebSdkConfig",
    **_ROUTE,
)
async def web_sdk_config(tenantToken: str, configName: str, request: Request) -> Response:
    """Sets optimoveTenantConfiguration. Needs no key; any name is valid, such as web-configuration.1.0.0.js."""
    try:
        tenant = await app_of(request, tenantToken)
        if not SCRIPT.fullmatch(configName):
            raise NotFound("There is no such configuration.")
        version = configName.removesuffix(".js").removeprefix("web-configuration.")
        content = await asyncio.to_thread(web_config, tenant.scope, tenantToken, version)
    except RapportError as error:
        return wire_error(error)
    return _script(request, "optimoveTenantConfiguration", content)
