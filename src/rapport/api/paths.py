"""Every spelling of a path of the wire leads to one: /current/{category}/{Function}, case ignored.

The reference is live as /current/{category}/{Function} and as /{Category}/{Function}; old clients put a
version in the place of current, and some names have a second spelling.
"""

import re

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

ALIASES = {
    "/general/getregisteredeventlistener": "/general/getregisteredeventlisteners",
    "/general/getapikeyinfo": "/apikey/getapikeyinfo",
    "/general/apikey/info": "/apikey/getapikeyinfo",
    "/customers/getcustomerproductsbycampaign": "/customers/getcustomerproductdetailsbycampaign",
    "/integrations/getchanneltemplatesdetails": "/integrations/getchanneltemplatedetails",
}
VERSION = re.compile(r"^/(?:current|v[0-9]+\.[0-9]+)(?=/)")
RESOURCE = re.compile(r"^(?:/current)?/customers/([^/]+)/attributes$", re.IGNORECASE)


class WirePaths:
    """ASGI middleware that rewrites a path to its canonical spelling before routing."""

    def __init__(self, app: ASGIApp, routes: list[BaseRoute]) -> None:
        self.app = app
        self.canonical = {
            path.lower().removeprefix("/current"): path
            for path in (getattr(route, "path", "") for route in routes)
            if path.startswith("/current/")
        }

    def rewrite(self, path: str) -> str:
        """The canonical spelling of a path; unknown paths stay as they are."""
        if match := RESOURCE.match(path):
            return f"/Customers/{match[1]}/Attributes"
        short = VERSION.sub("", path.lower()).rstrip("/")
        return self.canonical.get(ALIASES.get(short, short), path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its canonical path."""
        if scope["type"] == "http":
            path = self.rewrite(scope["path"])
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)
