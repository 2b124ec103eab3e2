"""Templates into messages."""

import html
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rapport.channels.messages import Content
from rapport.messaging.content import text_of
from rapport.messaging.models import Template
from rapport.messaging.placeholders import EXTRAS, OF_EVENT, Compiled, defused, names


def attributes_used(template: Template) -> list[str]:
    """The customer attributes that a template asks for: RealFieldNames in upper case, sorted."""
    placeholders = names(template.subject) + names(template.html) + names(template.text)
    return sorted({name for name in placeholders if not name.startswith(OF_EVENT)} - EXTRAS)


@lru_cache(maxsize=512)
def _compiled(subject: str, html_text: str, text: str) -> tuple[Compiled, Compiled, Compiled]:
    page = defused(html_text)
    plain = text or text_of(page)
    return Compiled(subject, "plain"), Compiled(plain, "plain"), Compiled(page, "html")


def render(template: Template, customer_id: str, values: Mapping[str, str | None], extra: Mapping[str, Any]) -> Content:
    """One message. values are attribute values by RealFieldName, upper case; extra holds the sender's.

    extra may hold promo_code, unsubscribe_url, campaign_id, template_id (text) and products (names, or
    objects with a name), of which a list is made; event.<parameter> (text) is what an event said. What is
    missing becomes the placeholder's default.
    """
    subject, plain, page = _compiled(template.subject, template.html, template.text)
    present: dict[str, str] = {name: value for name, value in values.items() if value}
    present["CUSTOMER_ID"] = customer_id
    present |= {name.upper(): str(value) for name, value in extra.items() if name != "products" and value}
    products = _names_of(extra.get("products"))
    in_text = {"PRODUCTS": "\n" + "".join(f"- {name}\n" for name in products)} if products else {}
    in_html = {"PRODUCTS": _list(products)} if products else {}
    in_subject = {"PRODUCTS": ", ".join(products)} if products else {}
    return Content(
        " ".join(subject.fill(present, in_subject).split()), plain.fill(present, in_text), page.fill(present, in_html)
    )


def _names_of(products: Any) -> list[str]:
    return [str(item["name"] if isinstance(item, Mapping) else item) for item in products or []]


def _list(products: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(name)}</li>" for name in products) + "</ul>"
