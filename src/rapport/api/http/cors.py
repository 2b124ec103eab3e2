"""Which paths pages of other sites may call: browsers ask first (CORS), and are told so with every answer.

Any site may ask: no call of these shows a cookie, so that a page gains nothing that its own server would not. What the
browser asks first names no tenant, so that a tenant's own sites (events.sites) are held to with the call itself.
"""

import re

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A path is one of browsers when it begins like one of these; those who add calls of browsers add them here.
FOR_BROWSERS = re.compile(
    r"/(v1/(optistream|realtime|app-installs|users|deeplinks|banners)/"
    r"|v1/banners$|reportEvent$|report/log$"
    r"|v\d/web/config$|webconfig/|mobilesdkconfig/|configs/|sdk-services/"
    r"|api/v1/(preferences|messages|users|embedded-?messages)(/|$)"
    r"|api/v2/(embedded-messages|events)/)",
    re.IGNORECASE,
)
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Content-Type, Content-Encoding, Accept, Authorization, X-Request-ID, X-Tenant-Id, X-User-JWT, "
        "X-Optimove-Auth-Capable, X-Optimove-Platform, If-None-Match"
    ),
    "Access-Control-Expose-Headers": "ETag, Retry-After, X-Request-ID",
    "Access-Control-Max-Age": "86400",
}
_HEADERS = [(name.lower().encode(), text.encode()) for name, text in CORS.items()]


class Cors:
    """ASGI middleware: answers what browsers ask before a call, and lets pages read every answer, also an error."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it only asks what may be called."""
        if scope["type"] != "http" or not FOR_BROWSERS.match(scope["path"]):
            await self.app(scope, receive, send)
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", [])}
                more = [header for header in _HEADERS if header[0] not in own]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, readable)
        else:
            await self.app(scope, receive, readable)
