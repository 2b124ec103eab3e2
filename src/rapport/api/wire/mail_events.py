"""What comes back about mail over HTTP: the pixel, tracked links, and reports of mail providers.

A link leads where its template says, or where the message that has it was signed to lead, and nowhere else. Whoever
repeats a call over and over makes no work.
"""

from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import Depends, Path, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.access.limits import RateLimiter
from rapport.api.http.responses import ERRORS
from rapport.api.sections import SectionRouter
from rapport.delivery.returns import requested, webhooks
from rapport.delivery.returns.events import accept
from rapport.delivery.returns.requested import NOT_VALID, Requested
from rapport.errors import NotFound, TooManyRequests
from rapport.messaging.tracking import short_links
from rapport.messaging.tracking.tokens import TokenReader
from rapport.messaging.tracking.tracking import CLICK_PATH
from rapport.stores.workers.leader import FAULTS

log = structlog.get_logger("rapport.delivery")
router = SectionRouter("Mail")

# What happened so often to a message within so many seconds is not recorded again within them.
MOST_TIMES, WITHIN_SECONDS = 5, 10
IMAGE = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
HEADERS = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}
PAGE = (
    f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{NOT_VALID}</title></head>'
    f"<body><h1>{NOT_VALID}</h1></body></html>"
)


async def _body(request: Request) -> bytes:
    """The body as it is signed, whatever its Content-Type: SNS sends JSON as plain text."""
    return await request.body()


@router.api_route("/o/{token}", methods=["GET", "HEAD"], summary="Get the pixel of a message", include_in_schema=False)
def opened(token: str, request: Request) -> Response:
    """An image of one pixel, whatever the token. An open is recorded for a token that Rapport made."""
    with suppress(NotFound, *FAULTS):
        _record(request, requested.pixel(request.app.state.mail_tokens, token))
    return Response(IMAGE, media_type="image/gif", headers=HEADERS)


@router.api_route("/l/{token}/{link}", methods=["GET", "HEAD"], include_in_schema=False)
def clicked(token: str, link: str, request: Request) -> Response:
    """Leads to the link's address, which the template says. 404 for a link that Rapport did not make."""
    return _lead(request, token, link)


@router.api_route("/l/{token}/{link}/{signed}", methods=["GET", "HEAD"], include_in_schema=False)
def clicked_own(token: str, link: str, signed: str, request: Request) -> Response:
    """Leads to the address that was signed for this message. 404 for a link that Rapport did not make."""
    return _lead(request, token, link, signed)


@router.api_route("/s/{slug}", methods=["GET", "HEAD"], include_in_schema=False)
def shortened(slug: str, request: Request) -> Response:
    """Leads where the address leads that a short one in a text message stands for. 404 for one that there is not.

    Links are followed at once, and counted; the other pages, such as the one to unsubscribe, ask before they change
    anything.
    """
    try:
        path = short_links.path_of(request.app.state.stores, slug)
    except NotFound:
        return HTMLResponse(PAGE, NotFound.status, HEADERS)
    parts = path.split("/")
    if parts[1] == CLICK_PATH.strip("/") and len(parts) in (4, 5):
        return _lead(request, *parts[2:])
    return RedirectResponse(f"{request.app.state.stores.settings.links_url}{path}", 302, HEADERS)


@router.post(
    "/mail-events/{provider}/{address}",
    status_code=204,
    summary="Report what became of messages",
    responses={status: ERRORS[status] for status in (400, 401, 404, 413, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
)
def reported(
    provider: Annotated[str, Path(description="ses, sendgrid, mailgun, postmark or sparkpost")],
    address: Annotated[str, Path(description="The end of the webhook address of a channel")],
    request: Request,
    body: bytes = Depends(_body),
) -> Response:
    """Mail providers call this: ses (by SNS), sendgrid, mailgun, postmark and sparkpost.

    `GET /manage/v1/channels/{channel_id}/mail-events` returns the address of a channel. The provider must sign the call
    in its own way, or send the password that is the channel's events_key. Unknown events, and events of messages that
    Rapport did not send, are accepted and ignored. 401 for a wrong signature, 404 for an unknown address.
    """
    tokens: TokenReader = request.app.state.mail_tokens
    webhooks.take(request.app.state.stores, tokens, provider, address, _headers(request), body)
    return Response(status_code=204)


def _lead(request: Request, token: str, link: str, signed: str = "") -> Response:
    try:
        asked = requested.link(request.app.state.stores, request.app.state.mail_tokens, token, link, signed)
    except NotFound:
        return HTMLResponse(PAGE, NotFound.status, HEADERS)
    with suppress(*FAULTS):  # whoever follows a link gets there, also while the records are away
        _record(request, asked)
    return RedirectResponse(asked.destination, 302, HEADERS)


def _record(request: Request, asked: Requested) -> None:
    """Accept an event, unless the same was accepted several times just now."""
    recorded: RateLimiter = request.app.state.mail_events
    message = asked.message
    place = f"{message.tenant_id}/{message.source_id}/{message.message_key}/{message.customer_id}"
    event = f"{asked.kind}/{place}/{asked.link_id}"
    if not recorded.has_room(event):
        return
    stores = request.app.state.stores
    accept(stores, [asked.happening(stores.clock.now(), request.method, _headers(request))])
    with suppress(TooManyRequests):  # several at once
        recorded.hit(event)


def _headers(request: Request) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
