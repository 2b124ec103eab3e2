"""Every spelling of a path of the wire leads to one: letter case and more slashes than needed make no difference.

The reference is live as /current/{category}/{Function} and as /{Category}/{Function}; old clients put a
version in the place of current, and some names have a second spelling.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

ALIASES = {
    "general/getregisteredeventlistener": "general/getregisteredeventlisteners",
    "general/getapikeyinfo": "apikey/getapikeyinfo",
    "general/apikey/info": "apikey/getapikeyinfo",
    "customers/getcustomerproductsbycampaign": "customers/getcustomerproductdetailsbycampaign",
    "integrations/getchanneltemplatesdetails": "integrations/getchanneltemplatedetails",
}
CURRENT = "current/"
# Far more than any path has, whose longest parts are ids of 255 characters, percent-encoded.
LONGEST_PATH = 8192
VERSION = re.compile(r"current|v[0-9]+\.[0-9]+")


class OpenPath:
    """A path with parameters, which keep their case; the last may take all the parts that are left."""

    def __init__(self, path: str) -> None:
        parts = path[1:].split("/")
        self.number, self.takes_rest = len(parts), path.endswith(":path}")
        self.fixed = {index: part for index, part in enumerate(parts) if not part.startswith("{")}
        self.low = [part.lower() for part in self.fixed.values()]

    def spelled(self, parts: Sequence[str], low: Sequence[str]) -> str | None:
        """The path that parts make, if they are one of this; low are the same parts in lower case."""
        if len(parts) != self.number and not (self.takes_rest and len(parts) > self.number):
            return None
        if [low[index] for index in self.fixed] != self.low:
            return None
        canonical = list(parts)
        for index, part in self.fixed.items():
            canonical[index] = part
        return "/" + "/".join(canonical)


class WirePaths:
    """ASGI middleware that rewrites a path to its canonical spelling before routing."""

    def __init__(self, app: ASGIApp, routes: list[BaseRoute]) -> None:
        self.app = app
        paths = dict.fromkeys(getattr(route, "path", "") for route in routes)
        self.exact = {path for path in paths if "{" not in path}
        self.canonical = {path[1:].lower().removeprefix(CURRENT): path for path in self.exact}
        self.categories = {path.split("/")[2].lower() for path in self.exact if path.startswith(f"/{CURRENT}")}
        self.open: dict[str, list[OpenPath]] = defaultdict(list)
        for path in paths:
            if path not in self.exact:
                self.open[path.split("/")[1].lower()].append(OpenPath(path))

    def rewrite(self, path: str) -> str:
        """The canonical spelling, decoded, of a percent-encoded path; of unknown paths only double slashes go.

        A slash that is encoded is a part of a parameter: a CustomerID may hold one.
        """
        if path in self.exact or len(path) > LONGEST_PATH:
            return path
        parts = [unquote(part) for part in path.split("/") if part]
        whole = "/" + "/".join([*parts, ""] if parts and path.endswith("/") else parts)
        if not parts:
            return whole
        low = [part.lower() for part in parts]
        if len(low) > 1 and low[1] in self.categories and VERSION.fullmatch(low[0]):
            del parts[0], low[0]
        short = "/".join(low)
        if canonical := self.canonical.get(ALIASES.get(short, short)):
            return canonical
        for open_path in self.open.get(low[0], ()):
            if spelled := open_path.spelled(parts, low):
                return spelled
        return whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its canonical path."""
        if scope["type"] == "http":
            path = self.rewrite(scope["raw_path"].decode("latin-1"))
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, receive, send)
