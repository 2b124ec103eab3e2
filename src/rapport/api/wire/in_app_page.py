"""The page within apps that shows in-app messages and overlays.

An app loads it into a web view and hands it contents of messages; it tells the app what the user does. What a marketer
wrote is set as text, so it can run nothing, and the page may load pictures only.
"""

from pathlib import Path

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.api.http.protection import policy_of
from rapport.api.sections import SectionRouter

router = SectionRouter("operations")

PAGE = Path(__file__).with_name("in_app_page.html").read_text("utf-8")
POLICY = policy_of(PAGE).replace("img-src 'self' data:", "img-src https: http: data:")
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=300"}
# Apps ask for the page at the root of a host of its own, which leads here.
OWN_HOST = "iar."


def show_page() -> HTMLResponse:
    """The page, the same for all."""
    return HTMLResponse(PAGE, headers=HEADERS)


@router.api_route("/iar", methods=["GET", "HEAD"], include_in_schema=False)
def in_app_page() -> HTMLResponse:
    """Under a path, for installations without a host of its own for it."""
    return show_page()


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def begin(request: Request) -> Response:
    """On the host of the page, the page; whoever knows another address only is led to what is there."""
    return show_page() if request.headers.get("host", "").lower().startswith(OWN_HOST) else RedirectResponse("/docs")
