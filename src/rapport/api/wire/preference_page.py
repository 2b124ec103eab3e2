"""The page of preferences: a plain form behind a signed link, and a page on which anybody asks for such a link.

A GET shows a page and changes nothing: link scanners fetch every link. The answer to who asks for a link is the same
whatever the address.
"""

from html import escape
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.responses import HTMLResponse

from rapport.access.limits import RateLimiter, share, source
from rapport.access.scope import Scope, scope_of
from rapport.api.http.parameters import INT32_MAX
from rapport.api.sections import SectionRouter
from rapport.api.wire.hosted_pages import UNKNOWN, look_of_channel, page
from rapport.channels.brands.looks import Look, look_of
from rapport.delivery import preference_mail
from rapport.errors import Invalid, NotFound, TooManyRequests
from rapport.messaging.contactability import page_words
from rapport.messaging.models import BrandGroup
from rapport.messaging.topics import brand_groups, pages, requested_links
from rapport.messaging.topics.brand_groups import WIRE_CHANNELS
from rapport.messaging.topics.page_words import PreferenceWords
from rapport.messaging.topics.pages import PreferencePage
from rapport.messaging.topics.preference_links import read_link
from rapport.messaging.topics.subscriptions import TopicState

router = SectionRouter("Preference page")
MOST_FIELDS = 5000
# Links that one address, and all together for one tenant, may ask for in ten minutes.
LINKS, LINKS_OF_TENANT = 10, 500
LINK_SECONDS = 600
EVERYTHING = 0


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a form in UTF-8. Raises Invalid for more than any page has."""
    try:
        return parse_qs((await request.body()).decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Invalid(f"The form has more than {MOST_FIELDS} fields.") from error


def _header(request: Request) -> str:
    return request.headers.get("accept-language", "")


def _invalid(request: Request) -> HTMLResponse:
    language, title, text = page_words.invalid_in(_header(request))
    return page(title, f"<p>{escape(text)}</p>", 404, language)


def _hit(request: Request) -> None:
    """Count a call of an address before anything else is done. Raises TooManyRequests."""
    limiter: RateLimiter = request.app.state.limiter
    calls = share(limiter.calls, request.app.state.stores.api_processes)
    limiter.hit(f"preference page:{_source(request)}", calls)


def _source(request: Request) -> str:
    return source(request.client.host if request.client else "")


@router.get("/preferences/{token}", summary="Show preferences", response_class=HTMLResponse, responses=UNKNOWN)
def show_preferences(token: str, request: Request) -> HTMLResponse:
    """The customer's page of preferences, as a form that works without scripts. Opening it changes nothing.

    404 for an address that Rapport did not create, or that has expired. The page is in the customer's language,
    otherwise in that of the browser (Accept-Language), otherwise in the tenant's default language.
    """
    _hit(request)
    try:
        scope, link = read_link(request.app.state.stores, token)
        preferences = pages.page_of(scope, link)
    except NotFound:
        return _invalid(request)
    language, words = pages.words_for(scope, link.customer_ids[0], _header(request))
    look = _look(scope, preferences.preferences.group)
    return page(words.title, _preference_form(preferences, words, language), language=language, look=look)


@router.post("/preferences/{token}", summary="Save preferences", response_class=HTMLResponse, responses=UNKNOWN)
def save_preferences(
    token: str,
    request: Request,
    form: dict[str, list[str]] = Depends(_form),  # noqa: B008
) -> HTMLResponse:
    """Subscribe and unsubscribe as the form says. Topics that it does not name stay as they are. May be repeated."""
    _hit(request)
    try:
        scope, link = read_link(request.app.state.stores, token)
        language, words = pages.words_in(scope, form.get("language", [""])[0], _header(request))
        pages.save(scope, link, _chosen(form), _numbers(form.get("stopped", [])), words)
    except NotFound:
        return _invalid(request)
    look = _look(scope, brand_groups.brand_group(scope, link.group_id))
    return page(words.done, f"<p>{escape(words.done_text)}</p>", language=language, look=look)


def _chosen(form: dict[str, list[str]]) -> dict[str, set[int]]:
    """The channels that are ticked, of each topic that the form shows."""
    ticked: dict[str, set[int]] = {topic_id: set() for topic_id in form.get("topic", [])}
    for value in form.get("subscribed", []):
        topic_id, _, number = value.partition("/")
        if topic_id in ticked:
            ticked[topic_id] |= _numbers([number])
    return ticked


def _numbers(texts: list[str]) -> set[int]:
    return {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= len(str(INT32_MAX))}


def _preference_form(page: PreferencePage, words: PreferenceWords, language: str) -> str:
    numbers = brand_groups.numbers(page.preferences.group)
    topics = "".join(_topic(state, numbers, words, place) for place, state in enumerate(page.preferences.topics))
    stops = [(number, f"{words.nothing_on_channel}: {WIRE_CHANNELS[number]}") for number in numbers]
    boxes = "".join(
        _box("stopped", str(number), label, ticked=page.is_stopped(number)) + "<br>"
        for number, label in stops
        if page.preferences.group.channels[str(number)]
    )
    everything = _box("stopped", str(EVERYTHING), words.nothing, ticked=EVERYTHING in page.stopped)
    hidden = f'<input type="hidden" name="language" value="{escape(language)}">'
    ending = f"<fieldset><legend>{escape(words.nothing)}</legend>{boxes}{everything}</fieldset>"
    return f'<form method="post">{hidden}{topics}{ending}<p><button>{escape(words.save)}</button></p></form>'


def _topic(state: TopicState, numbers: list[int], words: PreferenceWords, place: int) -> str:
    topic = state.topic
    about = ". ".join(part.rstrip(".") for part in (topic.description, topic.frequency) if part)
    described = f'<p class="about" id="about{place}">{escape(about)}</p>' if about else ""
    if topic.mandatory:
        boxes = f"<p>{escape(words.always)}</p>"
    else:
        boxes = f'<input type="hidden" name="topic" value="{topic.id}">' + "".join(
            _box("subscribed", f"{topic.id}/{number}", WIRE_CHANNELS[number], ticked=number in state.subscribed)
            for number in numbers
        )
    reference = f' aria-describedby="about{place}"' if about else ""
    return f"<fieldset{reference}><legend>{escape(topic.name)}</legend>{described}{boxes}</fieldset>"


def _box(name: str, value: str, label: str, *, ticked: bool) -> str:
    checked = " checked" if ticked else ""
    return f'<label><input type="checkbox" name="{name}" value="{value}"{checked}> {escape(label)}</label>'


@router.get(
    "/preference-link/{tenantID}/{brandGroupID}",
    summary="Show the page that sends a link to preferences",
    response_class=HTMLResponse,
    responses=UNKNOWN,
)
def show_link_page(tenantID: str, brandGroupID: str, request: Request) -> HTMLResponse:
    """A form with a field for an e-mail address. 404 for an unknown tenant or brand group, or one without e-mail."""
    _hit(request)
    try:
        scope, group = _group(request, tenantID, brandGroupID)
    except NotFound:
        return _invalid(request)
    language, words = pages.words_in(scope, "", _header(request))
    form = (
        f'<p>{escape(words.ask_text)}</p><form method="post"><input type="hidden" name="language" value="{language}">'
        f'<p><label for="address">{escape(words.address)}</label> '
        '<input id="address" type="email" name="address" required autocomplete="email" maxlength="320"></p>'
        f"<p><button>{escape(words.send)}</button></p></form>"
    )
    return page(words.ask, form, language=language, look=_look(scope, group))


@router.post(
    "/preference-link/{tenantID}/{brandGroupID}",
    summary="Send a link to preferences",
    response_class=HTMLResponse,
    responses=UNKNOWN,
)
def send_link(
    tenantID: str,
    brandGroupID: str,
    request: Request,
    form: dict[str, list[str]] = Depends(_form),  # noqa: B008
) -> HTMLResponse:
    """If a customer has the address, sends a link to it that works for 24 hours; the answer is always the same.

    An address gets one such message in five minutes.
    """
    links: RateLimiter = request.app.state.preference_links
    links.hit(f"from {_source(request)}", share(LINKS, request.app.state.stores.api_processes))
    try:
        scope, group = _group(request, tenantID, brandGroupID)
    except NotFound:
        return _invalid(request)
    language, words = pages.words_in(scope, form.get("language", [""])[0], _header(request))
    if links.has_room(str(scope.tenant_id)):
        try:
            links.hit(str(scope.tenant_id))
            preference_mail.ask_for_link(scope, group, form.get("address", [""])[0][:320], language)
        except TooManyRequests:  # several at once
            pass
    return page(words.asked, f"<p>{escape(words.asked_text)}</p>", language=language, look=_look(scope, group))


def _look(scope: Scope, group: BrandGroup) -> Look:
    """The look of the brand that writes mail to the group."""
    try:
        return look_of_channel(scope, requested_links.mail_channel(group))
    except NotFound:
        return look_of(scope, None)


def _group(request: Request, tenant: str, group_id: str) -> tuple[Scope, BrandGroup]:
    """Raises NotFound."""
    is_number = tenant.isascii() and tenant.isdigit() and len(tenant) <= len(str(INT32_MAX))
    if not is_number or int(tenant) > INT32_MAX:
        raise NotFound("There is no such tenant.")
    scope = scope_of(request.app.state.stores, int(tenant), actor="preference page")
    group = brand_groups.brand_group(scope, group_id)
    requested_links.mail_channel(group)
    return scope, group
