"""The script that shows an inbox on a web page."""

import hashlib
from importlib.resources import files

from fastapi import Request
from starlette.responses import Response

from rapport.api.sections import SectionRouter

router = SectionRouter("Web Inbox")
MEDIA_TYPE = "text/javascript; charset=utf-8"


def _written() -> bytes:
    """The script without what only its readers need."""
    lines = files("rapport.api.wire").joinpath("inbox.js").read_text().splitlines()
    kept = (line.strip() for line in lines if not line.strip().startswith("/*"))
    return "\n".join(kept).encode()


SCRIPT = _written()
TAG = f'"{hashlib.sha256(SCRIPT).hexdigest()[:16]}"'
HEADERS = {"Cache-Control": "public, max-age=3600", "ETag": TAG, "Access-Control-Allow-Origin": "*"}


@router.get(
    "/inbox.js",
    summary="The inbox for web pages",
    operation_id="InboxScript",
    response_class=Response,
    responses={
        200: {"description": "The script", "content": {"text/javascript": {"schema": {"type": "string"}}}},
        304: {"description": "The caller has it"},
    },
)
def inbox_script(request: Request) -> Response:
    """A script that shows a bell with the number of unread messages, and the messages; see docs/inbox.md."""
    if TAG in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=HEADERS)
    return Response(SCRIPT, media_type=MEDIA_TYPE, headers=HEADERS)
