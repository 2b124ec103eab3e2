"""A template ready to be filled for anybody: in the language of each reader, with snippets and the brand put in."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.customers import attributes
from rapport.messaging.composing import composer, content_of
from rapport.messaging.languages import language_tag, nearest
from rapport.messaging.models import Template
from rapport.messaging.rendering import compiled, render
from rapport.messaging.settings import MessagingSettings
from rapport.messaging.tags.formats import Formats
from rapport.messaging.tags.language import BRAND, EXTRAS, TRANSACTIONAL, Field
from rapport.messaging.translations import OWN, contents_of


@dataclass(frozen=True)
class Edition:
    """What a template says in one language, and how its reader writes numbers and dates.

    language is the key of the content among those of the template: see translations.OWN. brand are values of tags.
    """

    language: str
    template: Template
    formats: Formats
    brand: Mapping[str, str]

    def render(
        self,
        customer_id: str,
        values: Mapping[str, str | None],
        extra: Mapping[str, Any],
        now: datetime,
        template: Template | None = None,
    ) -> Content:
        """One message, see rendering.render; template may be the edition's with its links tracked."""
        return render(template or self.template, customer_id, values, {**self.brand, **extra}, now, self.formats)


class Editions:
    """The editions of a template, with snippets as they are or as they were at an instant. Get one a batch."""

    def __init__(self, scope: Scope, template: Template, at: datetime | None = None) -> None:
        self._scope, self._template = scope, template
        self._settings = settings_or_defaults(scope, MessagingSettings)
        contents = map(content_of, contents_of(template).values())
        composed = composer(scope, contents, channels.channel(scope, template.channel_id), at)
        self._brand = {f"{BRAND}{name}": value for name, value in asdict(composed.look).items()}
        self.templates = composed.contents(template)
        self._by_language: dict[str, Edition] = {}

    @property
    def own(self) -> Edition:
        """The edition of whoever reads none of the other languages."""
        return self.of({})

    def of(self, values: Mapping[str, str | None]) -> Edition:
        """The edition for a reader, by the attribute among its values (by name in upper case) that is its language."""
        written = values.get(self._settings.language_attribute.upper()) or ""
        if written not in self._by_language:
            self._by_language[written] = self.in_language(language_tag(written))
        return self._by_language[written]

    def in_language(self, tag: str) -> Edition:
        """The edition for a reader of a language (BCP 47)."""
        settings = self._settings
        language = nearest(tag, self.templates.keys() - {OWN})
        of_content = language or settings.usual_language
        if tag.partition("-")[0] == of_content.partition("-")[0] and "-" in tag:
            reader = tag
        elif of_content == settings.usual_language and settings.usual_region:
            reader = f"{of_content}-{settings.usual_region}"
        else:
            reader = of_content
        formats = Formats(reader, self._scope.currency, self._scope.time_zone)
        return Edition(language, self.templates[language or OWN], formats, self._brand)

    @property
    def transactional(self) -> list[str]:
        """The names of the values that a transactional message brings, in upper case, sorted: A of [%TRANS:A%]."""
        keys = {field.key for field in self._fields}
        return sorted(key.removeprefix(TRANSACTIONAL) for key in keys if key.startswith(TRANSACTIONAL))

    @property
    def attributes(self) -> list[str]:
        """The customer attributes that any edition puts in or asks about, or by which one is chosen: RealFieldNames in
        upper case, sorted.
        """
        named = {field.key for field in self._fields if field.is_attribute} - EXTRAS
        return sorted(named | self.of_language)

    @cached_property
    def of_language(self) -> set[str]:
        """The attribute by which an edition is chosen, if there are several or numbers and dates depend on it."""
        name = self._settings.language_attribute.upper()
        depends = len(self.templates) > 1 or any(field.is_of_language for field in self._fields)
        return {name} if depends and name in attributes.attributes(self._scope) else set()

    def has(self, tag: str) -> bool:
        """Whether any edition names a tag."""
        texts = (text for each in self.templates.values() for text in (each.subject, each.html, each.text))
        return any(tag in text.upper() for text in texts)

    @cached_property
    def _fields(self) -> frozenset[Field]:
        return frozenset().union(*(compiled(each).fields for each in self.templates.values()))
