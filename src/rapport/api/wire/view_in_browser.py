"""The link that shows a message in a browser: as it was sent, without scripts and without a pixel.

What a customer or a marketer wrote into the message can do nothing to the browser: the page is sandboxed, and may load
pictures and fonts only. It is for whoever has the link, so no search engine may list it and no cache may keep it.
"""

import re
from html import escape

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from rapport.access.limits import RateLimiter, share, source
from rapport.access.scope import scope_of
from rapport.api.sections import SectionRouter
from rapport.api.wire.hosted_pages import HEADERS, page
from rapport.campaigns.delivery.shown_messages import shown
from rapport.channels.messages import Content
from rapport.errors import Invalid, NotFound
from rapport.messaging.contactability import page_words
from rapport.messaging.tracking.tokens import TokenReader
from rapport.realtime.fired_messages import fired_message

router = SectionRouter("Mail")

# Popups leave the sandbox: what a link leads to works as anywhere else.
POLICY = (
    "default-src 'none'; img-src http: https: data:; font-src http: https:; style-src 'unsafe-inline' http: https:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
MESSAGE_HEADERS = {**HEADERS, "Content-Security-Policy": POLICY}
STYLE = "body{overflow-wrap:anywhere}img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:inherit}"
ADDRESS = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)]", re.IGNORECASE)
GONE = 410
PREVIEW = ("This is only a preview", "In a message that a campaign sends, this link shows the message in a browser.")


@router.api_route("/view/preview", methods=["GET", "HEAD"], include_in_schema=False)
def show_preview() -> HTMLResponse:
    """Where the link leads in previews and test messages."""
    title, text = PREVIEW
    return page(title, f"<p>{text}</p>")


@router.api_route("/view/{token}", methods=["GET", "HEAD"], include_in_schema=False)
def show_message(token: str, request: Request) -> Response:
    """The message of a token. 404 for a link that Rapport did not make, 410 for a message that cannot be shown."""
    limiter: RateLimiter = request.app.state.limiter
    calls = share(limiter.calls, request.app.state.stores.api_processes)
    limiter.hit(f"view in browser:{source(request.client.host if request.client else '')}", calls)
    reader: TokenReader = request.app.state.mail_tokens
    try:
        message = reader.read_view(token)
        scope = scope_of(request.app.state.stores, message.tenant_id, actor="view in browser")
    except NotFound:
        return _plain(page_words.invalid_in(_languages(request)), NotFound.status)
    try:
        return HTMLResponse(_document(shown(scope, message, fired_message)), headers=MESSAGE_HEADERS)
    except (NotFound, Invalid):
        return _plain(page_words.gone_in(_languages(request)), GONE)


def _languages(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _plain(words: tuple[str, str, str], status: int) -> HTMLResponse:
    language, title, text = words
    return page(title, f"<p>{escape(text)}</p>", status, language)


def _document(content: Content) -> str:
    """A page of a message. Where its HTML is a whole document, browsers take what is in it as part of this one."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(content.subject)}</title><style>{STYLE}</style>'
    )
    body = content.html or f"<pre>{_with_links(content.text)}</pre>"
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def _with_links(text: str) -> str:
    """Plain text as HTML, in which addresses can be followed."""
    parts: list[str] = []
    end = 0
    for match in ADDRESS.finditer(text):
        address = escape(match[0])
        parts += escape(text[end : match.start()]), f'<a href="{address}">{address}</a>'
        end = match.end()
    return "".join([*parts, escape(text[end:])])
