"""The unsubscribe address in messages: a GET shows a page, only a POST changes anything.

Mail programs post to it for one-click unsubscription (RFC 8058): no cookie, no key, no redirect.
Link scanners that fetch it change nothing. Whoever repeats a link over and over makes no work: a wish that was just
carried out several times is in force.
"""

from contextlib import suppress
from html import escape
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.responses import HTMLResponse

from rapport.access.limits import RateLimiter
from rapport.access.scope import Scope
from rapport.api.sections import SectionRouter
from rapport.api.wire.hosted_pages import UNKNOWN, look_of_channel, page
from rapport.campaigns.delivery import unsubscribing
from rapport.channels import service as channels
from rapport.errors import NotFound, TooManyRequests
from rapport.messaging.contactability import page_words, suppressions, unsubscribe_pages

router = SectionRouter("Unsubscribe")
# A wish that was carried out so often within so many seconds is not carried out again within them.
MOST_TIMES, WITHIN_SECONDS = 5, 10
FORM = """<form method="post"><input type="hidden" name="language" value="{language}">
<fieldset><legend>{question}</legend>
<p><label><input type="radio" name="scope" value="channel" checked> {channel}</label></p>
<p><label><input type="radio" name="scope" value="all"> {everything}</label></p>
</fieldset><p><button>{button}</button></p></form>"""


def _header(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _invalid(request: Request) -> HTMLResponse:
    language, title, text = page_words.invalid_in(_header(request))
    return page(title, f"<p>{escape(text)}</p>", 404, language)


def _channel_name(scope: Scope, channel_id: int, similar: str) -> str:
    try:
        return channels.channel(scope, channel_id).name
    except NotFound:
        return similar


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode("latin-1"))


@router.get(
    "/unsubscribe/{token}", summary="Ask whether to unsubscribe", response_class=HTMLResponse, responses=UNKNOWN
)
def show(token: str, request: Request) -> HTMLResponse:
    """Returns a page with a button and changes nothing. 404 for an address that Rapport did not create.

    The page is in the customer's language, otherwise in that of the browser (Accept-Language), otherwise in the
    tenant's default language.
    """
    try:
        scope, customer_id, origin = suppressions.read_token(request.app.state.stores, token)
    except NotFound:
        return _invalid(request)
    language, words = unsubscribe_pages.words_for(scope, customer_id, _header(request))
    channel = _channel_name(scope, origin.channel_id, words.similar)
    texts = {"channel": channel, "question": words.question, "everything": words.everything, "button": words.button}
    form = FORM.format(language=language, **{name: escape(text) for name, text in texts.items()})
    return page(words.title, form, language=language, look=look_of_channel(scope, origin.channel_id))


@router.post("/unsubscribe/{token}", summary="Unsubscribe", response_class=HTMLResponse, responses=UNKNOWN)
def unsubscribe(
    token: str,
    request: Request,
    form: dict[str, list[str]] = Depends(_form),  # noqa: B008
) -> HTMLResponse:
    """From the message's channel, or from everything with the form field scope=all. May be repeated."""
    try:
        scope, customer_id, origin = suppressions.read_token(request.app.state.stores, token)
    except NotFound:
        return _invalid(request)
    everything = form.get("scope") == ["all"]
    carried_out: RateLimiter = request.app.state.unsubscribed
    wish = repr((scope.tenant_id, customer_id, origin, everything))
    if carried_out.has_room(wish):
        _, read = unsubscribe_pages.words_in(scope, form.get("language", [""])[0], _header(request))
        choice = read.everything if everything else _channel_name(scope, origin.channel_id, read.similar)
        unsubscribing.unsubscribe(
            scope, customer_id, origin, everything=everything, wording=f"{read.question} {choice}"
        )
        with suppress(TooManyRequests):  # several at once
            carried_out.hit(wish)
    asked_in = form.get("language", [""])[0]
    language, words = unsubscribe_pages.words_in(scope, asked_in, _header(request))
    return page(
        words.done,
        f"<p>{escape(words.done_text)}</p>",
        language=language,
        look=look_of_channel(scope, origin.channel_id),
    )
