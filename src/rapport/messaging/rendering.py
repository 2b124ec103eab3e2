"""Templates into messages."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from rapport.channels.messages import Content
from rapport.messaging.inlining import inlined
from rapport.messaging.models import Template
from rapport.messaging.plain_texts import text_of
from rapport.messaging.tags.addresses import defused
from rapport.messaging.tags.compiling import Compiled, Values
from rapport.messaging.tags.dates import text_of_date
from rapport.messaging.tags.formats import USUAL_FORMATS, Formats
from rapport.messaging.tags.language import PRODUCTS, key_of
from rapport.messaging.tags.scanning import TextKind


class CompiledTemplate:
    """The texts of a template, ready to be filled, and all that they put in or ask about.

    The text is made of the HTML when it is empty. details are JSON, whose texts are filled, too.
    """

    def __init__(self, subject: str, html: str, text: str, details: str = "{}") -> None:
        page = defused(html)
        page = inlined(page) or page
        self._subject = Compiled(subject, TextKind.SUBJECT)
        self._text = Compiled(text or text_of(page), TextKind.TEXT)
        self._page = Compiled(page, TextKind.HTML)
        self._details = orjson.loads(details)
        self._of_details = {part: Compiled(part, TextKind.TEXT) for part in texts_of(self._details) if "[%" in part}
        parts = (self._subject, self._text, self._page, *self._of_details.values())
        self.fields = frozenset().union(*(part.fields for part in parts))
        self._dates = sorted(field.key for field in self.fields if field.date_tag)

    def fill(self, texts: Mapping[str, str], products: list[str], now: datetime, formats: Formats) -> Content:
        """A message with values by key and the names of products, at a wall-clock time. Raises Invalid if too long."""
        dates = {key: _date(key, now) for key in self._dates}
        values = Values({**texts, PRODUCTS: ", ".join(products), **_places(products), **dates}, products, formats)
        subject = " ".join(self._subject.fill(values).split())
        return Content(subject, self._text.fill(values), self._page.fill(values), self._filled(self._details, values))

    def _filled(self, part: Any, values: Values) -> Any:
        if isinstance(part, str):
            return self._of_details[part].fill(values) if part in self._of_details else part
        if isinstance(part, dict):
            return {name: self._filled(member, values) for name, member in part.items()}
        return [self._filled(member, values) for member in part] if isinstance(part, list) else part


def texts_of(details: Any) -> Iterator[str]:
    """The texts of a template's details, however deep; names of members are none."""
    if isinstance(details, str):
        yield details
    elif isinstance(details, Mapping | list):
        for member in details.values() if isinstance(details, Mapping) else details:
            yield from texts_of(member)


def _date(key: str, now: datetime) -> str:
    tag, _, written = key.partition(":")
    return text_of_date(tag, written, now)


def _places(products: list[str]) -> dict[str, str]:
    return {f"{PRODUCTS}:{place}": name for place, name in enumerate(products, start=1)}


@lru_cache(maxsize=512)
def _compiled(subject: str, html: str, text: str, details: str) -> CompiledTemplate:
    return CompiledTemplate(subject, html, text, details)


def compiled(template: Template) -> CompiledTemplate:
    """A template ready to be filled; each content is compiled once."""
    details = orjson.dumps(template.details).decode() if template.details else "{}"
    return _compiled(template.subject, template.html, template.text, details)


def render(
    template: Template,
    customer_id: str,
    values: Mapping[str, str | None],
    extra: Mapping[str, Any],
    now: datetime,
    formats: Formats = USUAL_FORMATS,
) -> Content:
    """One message, as it is written at a wall-clock time of the tenant.

    values are attribute values by RealFieldName, upper case; extra holds the sender's. extra may hold promo_code,
    unsubscribe_url, view_in_browser, preference_center, campaign_id, template_id (text) and products (names, or objects
    with a name), of which a list is made; event:<parameter> (text) is what an event said, trans:<name> what came with a
    transactional message, brand:<field> what is known of the brand. What is missing or blank becomes the tag's default.
    Raises Invalid for a message that gets too long.
    """
    texts = {name: value for name, value in values.items() if value}
    texts["CUSTOMER_ID"] = customer_id
    texts |= {key_of(name): str(value) for name, value in extra.items() if name != "products" and value}
    return compiled(template).fill(texts, _names_of(extra.get("products")), now, formats)


def _names_of(products: Any) -> list[str]:
    return [str(item["name"] if isinstance(item, Mapping) else item) for item in products or []]
