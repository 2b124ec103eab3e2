"""The content of a template in other languages than its own.

What a translation leaves empty is as in the template's own content, and its text is made from its HTML.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect

from rapport.channels.kinds.base import ChannelKind
from rapport.errors import Invalid
from rapport.messaging.content import sanitised
from rapport.messaging.languages import language_tag
from rapport.messaging.mjml_sources import html_of
from rapport.messaging.models import Template

# The key of a template's own content among those of its languages.
OWN = ""
MOST_LANGUAGES = 50
# Of each language and part.
MAX_CONTENT = 100_000  # characters
MEMBERS = ("subject", "html", "text", "mjml", "details")


def prepared(
    kind: ChannelKind, translations: Mapping[str, Mapping[str, Any]], own_details: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Translations as they are stored, by language: HTML made of their MJML and sanitised, members that are not empty.

    own_details are those of the template, whose other members hold for its translations. Raises Invalid, naming the
    translation.
    """
    if len(translations) > MOST_LANGUAGES:
        raise Invalid(f"translations may have at most {MOST_LANGUAGES} languages.")
    stored = {}
    for language, content in translations.items():
        if language_tag(language) != language:
            raise Invalid(f"translations has {language!r}: a language is written as de, or as de-AT with its region.")
        try:
            stored[language] = _prepared(kind, content, own_details)
        except Invalid as error:
            raise of_language(language, error) from error
    return stored


def _prepared(kind: ChannelKind, content: Mapping[str, Any], own_details: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := content.keys() - set(MEMBERS):
        raise Invalid(f"{min(unknown)} is no member: use {', '.join(MEMBERS)}.")
    mjml = content.get("mjml", "").strip()
    html = html_of(mjml, content.get("html", "")) if mjml else content.get("html", "")
    check_size(html, content.get("text", ""))
    details = content.get("details") or {}
    checked = kind.checked_details({**own_details, **details}) if details else {}
    members = {
        "subject": content.get("subject", "").strip(),
        "html": sanitised(html),
        "text": content.get("text", ""),
        "mjml": mjml,
        "details": {name: checked[name] for name in details if name in checked},
    }
    return {name: value for name, value in members.items() if value}


def check_size(html: str, text: str) -> None:
    """Raise Invalid for content that is too long."""
    if max(len(html), len(text)) > MAX_CONTENT:
        raise Invalid(f"html and text may have at most {MAX_CONTENT} characters.")


def of_language(language: str, error: Invalid) -> Invalid:
    """The same fault, of a translation; of the template's own content as it is."""
    return Invalid(f"translations.{language}: {error.message}") if language else error


def as_given(translations: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Stored translations as somebody gives them: HTML that was made of MJML is left out."""
    return {
        language: {name: value for name, value in content.items() if name != "html" or not content.get("mjml")}
        for language, content in translations.items()
    }


def contents_of(template: Template) -> dict[str, Template]:
    """A template's own content (see OWN), and that of each language as a template of which nothing is empty."""
    contents = {OWN: template}
    for language, content in template.translations.items():
        has_body = bool(content.get("html") or content.get("text"))
        contents[language] = with_content(
            template,
            subject=content.get("subject") or template.subject,
            html=content.get("html", "") if has_body else template.html,
            text=content.get("text", "") if has_body else template.text,
            details={**template.details, **content.get("details", {})},
        )
    return contents


def with_content(template: Template, **content: Any) -> Template:
    """A template that is stored nowhere, with another content than the one that it is made from."""
    columns = (attribute.key for attribute in inspect(Template).column_attrs)
    return Template(**{column: getattr(template, column) for column in columns} | content | {"translations": {}})
