"""Pictures of messages in the size that the path asks for, as clients of the reference ask its media host.

Whoever has an address has the picture, so that browsers and caches may keep it for ever: another picture has another
name.
"""

import re
import threading
from collections import OrderedDict

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from rapport.access.limits import RateLimiter, share, source
from rapport.access.scope import scope_of
from rapport.api.http.parameters import INT32_MAX
from rapport.api.http.responses import wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.event_senders import number_of
from rapport.errors import Invalid, NotFound, RapportError
from rapport.inbox.pictures import LONGEST_SIDE, Shown, content_of, resized
from rapport.stores import Stores

router = SectionRouter("Web Inbox")
SIZE = re.compile(r"([0-9]{1,4})x([0-9]{0,4})")
FOR_EVER = "public, max-age=31536000, immutable"
# What is drawn takes a core; what was drawn is kept, up to so many bytes in a process.
DRAWN_AT_ONCE, KEPT_BYTES = 2, 32 * 1024 * 1024
Place = tuple[int, str, int, int | None]


class SizeConvertor(Convertor[str]):
    """The size in a path: 364x180, or 640x for any height."""

    regex = r"[0-9]{1,4}x[0-9]{0,4}"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


register_url_convertor("picture_size", SizeConvertor())


class DrawnPictures:
    """Pictures that were drawn lately, and the turns of those that are to be."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[Place, Shown] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.turns = CapacityLimiter(DRAWN_AT_ONCE)

    def get(self, place: Place) -> Shown | None:
        """What was drawn for a place, if it is kept."""
        with self._lock:
            if place in self._drawn:
                self._drawn.move_to_end(place)
            return self._drawn.get(place)

    def keep(self, place: Place, shown: Shown) -> None:
        """Keep what was drawn, and what was asked for longest ago no more."""
        with self._lock:
            if place not in self._drawn:
                self._bytes += len(shown.content)
            self._drawn[place] = shown
            while self._bytes > KEPT_BYTES:
                _, dropped = self._drawn.popitem(last=False)
                self._bytes -= len(dropped.content)


@router.get(
    "/{size:picture_size}/{account}/{picture}",
    summary="A picture in a size",
    operation_id="GetPicture",
    response_class=Response,
    responses={
        200: {
            "description": "The picture",
            "content": {media_type: {} for media_type in ("image/png", "image/jpeg", "image/webp")},
        },
        304: {"description": "The caller has it"},
        400: {"description": "There is no such size"},
        404: {"description": "There is no such picture"},
        429: {"description": "Over the rate limit of the address"},
    },
)
async def get_picture(size: str, account: str, picture: str, request: Request) -> Response:
    """Width and height, such as 364x180, or only the width, such as 640x: then the picture keeps its proportions.

    With both, the middle of the picture is cut out. No picture is made larger than it is.
    """
    try:
        place = _place(size, account, picture)
        tag = f'"{size}-{picture}"'
        headers = {"Cache-Control": FOR_EVER, "ETag": tag, "Access-Control-Allow-Origin": "*"}
        drawn: DrawnPictures = request.app.state.pictures
        shown = drawn.get(place)
        if shown is None:
            _count(request)
            shown = await run_sync(_draw, request.app.state.stores, place, limiter=drawn.turns)
            drawn.keep(place, shown)
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(shown.content, media_type=shown.media_type, headers=headers)
    except RapportError as error:
        return wire_error(error)


def _place(size: str, account: str, picture: str) -> Place:
    match = SIZE.fullmatch(size)
    width, height = (int(match[1]), int(match[2]) if match[2] else None) if match else (0, None)
    if not 0 < width <= LONGEST_SIDE or (height is not None and not 0 < height <= LONGEST_SIDE):
        raise Invalid(f"The size must be a width and a height of 1 to {LONGEST_SIDE}, such as 364x180.")
    tenant_id = number_of(account)
    if not 0 < tenant_id <= INT32_MAX:
        raise NotFound("There is no such picture.")
    return tenant_id, picture, width, height


def _count(request: Request) -> None:
    limiter: RateLimiter = request.app.state.limiter
    calls = share(limiter.calls, request.app.state.stores.api_processes)
    limiter.hit(f"pictures:{source(request.client.host if request.client else '')}", calls)


def _draw(stores: Stores, place: Place) -> Shown:
    tenant_id, picture, width, height = place
    return resized(content_of(scope_of(stores, tenant_id, actor="pictures"), picture), width, height)
