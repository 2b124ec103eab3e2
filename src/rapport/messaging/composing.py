"""Contents with the snippets that they name, and the colours of the brand, put in: before they are compiled."""

import html
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels.brands.looks import NO_LOOK, Look, look_of
from rapport.channels.messages import Content
from rapport.channels.models import Channel
from rapport.errors import Invalid
from rapport.messaging.languages import nearest
from rapport.messaging.models import Snippet, Template
from rapport.messaging.plain_texts import text_of
from rapport.messaging.rendering import texts_of
from rapport.messaging.settings import MessagingSettings
from rapport.messaging.tags.language import BRAND, BRAND_COLORS, SNIPPET, Insertion
from rapport.messaging.tags.scanning import Tag, TextKind, tags
from rapport.messaging.translations import contents_of, with_content

# A short text can name a long snippet thousands of times.
MOST_COMPOSED = 400_000  # characters
# Held by whoever changes snippets, or saves a template that names some.
SNIPPETS = "snippets"


def newest(scope: Scope, *conditions: Any) -> Select[Snippet]:
    """The newest version of each snippet among those that meet the conditions."""
    mine = select(Snippet).where(Snippet.tenant_id == scope.tenant_id, *conditions)
    return mine.ext(distinct_on(Snippet.name)).order_by(Snippet.name, Snippet.version.desc())


def snippets_at(scope: Scope, names: Collection[str], at: datetime | None = None) -> dict[str, Snippet]:
    """Those snippets that there are, by name in upper case: as they are, or as they were at an instant."""
    if not names:
        return {}
    conditions = [Snippet.name.in_(names), *([Snippet.saved_at <= at] if at else [])]
    with scope.reads() as session:
        return {snippet.name: snippet for snippet in session.scalars(newest(scope, *conditions))}


def snippets_named(content: Content) -> set[str]:
    """The names of the snippets that a content puts in, in upper case."""
    keys = (insertion.field.key for _, tag in _tags(content) if isinstance(insertion := tag.meaning, Insertion))
    return {key.removeprefix(SNIPPET) for key in keys if key.startswith(SNIPPET)}


def pieces_of(snippet: Snippet) -> list[Content]:
    """What a snippet puts in, in its own language and in others."""
    own = Content(text=snippet.text, html=snippet.html)
    return [own, *(Content(text=each["text"], html=each["html"]) for each in snippet.translations.values())]


def names_brand(content: Content) -> bool:
    """Whether a content puts in anything of the brand."""
    keys = (insertion.field.key for _, tag in _tags(content) if isinstance(insertion := tag.meaning, Insertion))
    return any(key.startswith(BRAND) for key in keys)


def content_of(template: Template) -> Content:
    """The texts of a template."""
    return Content(template.subject, template.text, template.html, template.details)


def misnamed(content: Content, known: Collection[str]) -> Iterator[tuple[TextKind, str]]:
    """Where a snippet is named that there is not, or that has no place there: the part and a sentence."""
    for kind, tag in _tags(content):
        if isinstance(tag.meaning, Insertion) and tag.meaning.field.key.startswith(SNIPPET):
            name = tag.meaning.field.key.removeprefix(SNIPPET)
            if name not in known:
                yield kind, f"{tag.source!r}: there is no snippet {name}."
            elif kind is TextKind.HTML and not tag.place.is_text:
                yield kind, f"{tag.source!r}: a snippet can only stand between elements, not within one."


def composer(
    scope: Scope,
    contents: Iterable[Content],
    channel: Channel | None,
    at: datetime | None = None,
    changed: Mapping[str, Snippet] | None = None,
) -> "Composer":
    """What puts all that contents of a channel name into them: snippets as they are, or were at an instant, and as
    changed has them.
    """
    contents = list(contents)
    snippets = {**snippets_at(scope, set().union(*map(snippets_named, contents)), at), **(changed or {})}
    pieces = [piece for snippet in snippets.values() for piece in pieces_of(snippet)]
    look = look_of(scope, channel) if any(map(names_brand, [*contents, *pieces])) else NO_LOOK
    return Composer(snippets, look, settings_or_defaults(scope, MessagingSettings).usual_language)


@dataclass(frozen=True)
class Composer:
    """Puts snippets, by name in upper case, and colours into contents.

    usual_language is that of a template's own content.
    """

    snippets: Mapping[str, Snippet]
    look: Look
    usual_language: str

    def contents(self, template: Template) -> dict[str, Template]:
        """The contents of a template by language, see translations.contents_of."""
        composed = {}
        for language, content in contents_of(template).items():
            full = self.composed(content_of(content), language or self.usual_language)
            composed[language] = with_content(
                content, subject=full.subject, html=full.html, text=full.text, details=dict(full.details)
            )
        return composed

    def composed(self, content: Content, language: str) -> Content:
        """A content, in a language, with all that it names put in. Raises Invalid for one that gets too long."""
        return Content(
            self._filled(content.subject, TextKind.SUBJECT, language),
            self._filled(content.text, TextKind.TEXT, language),
            self._filled(content.html, TextKind.HTML, language),
            self._of_details(dict(content.details), language),
        )

    def _of_details(self, part: Any, language: str) -> Any:
        if isinstance(part, str):
            return self._filled(part, TextKind.TEXT, language)
        if isinstance(part, dict):
            return {name: self._of_details(member, language) for name, member in part.items()}
        return [self._of_details(member, language) for member in part] if isinstance(part, list) else part

    def _filled(self, text: str, kind: TextKind, language: str) -> str:
        if not _may_name(text):
            return text
        parts: list[str] = []
        end, length = 0, len(text)
        for tag in tags(text, kind):
            piece = self._piece(tag, kind, language)
            if piece is not None:
                length += len(piece)
                if length > MOST_COMPOSED:
                    raise Invalid(f"{kind} must not have more than {MOST_COMPOSED} characters with its snippets.")
                parts += text[end : tag.start], piece
                end = tag.end
        return "".join([*parts, text[end:]])

    def _piece(self, tag: Tag, kind: TextKind, language: str) -> str | None:
        """What is put in for a tag; None for a tag that stays, to be filled for each customer."""
        key = tag.meaning.field.key if isinstance(tag.meaning, Insertion) else ""
        if key.startswith(BRAND) and key.removeprefix(BRAND) in BRAND_COLORS:
            return self.look.color if key == f"{BRAND}COLOR" else self.look.text_color
        snippet = self.snippets.get(key.removeprefix(SNIPPET)) if key.startswith(SNIPPET) else None
        if snippet is None or (kind is TextKind.HTML and not tag.place.is_text):
            return None
        translation = snippet.translations.get(nearest(language, snippet.translations))
        page, text = (snippet.html, snippet.text) if translation is None else (translation["html"], translation["text"])
        if kind is TextKind.HTML:
            page = page or html.escape(text).replace("\n", "<br>")
            return Composer({}, self.look, language).composed(Content(html=page), language).html
        return text or text_of(page)


def _may_name(text: str) -> bool:
    """Whether a text may name a snippet or the brand: to look for its tags takes long, and is done for each batch."""
    capitals = text.upper()
    return "SNIPPET" in capitals or "BRAND" in capitals


def _tags(content: Content) -> Iterator[tuple[TextKind, Tag]]:
    """The tags of those texts that may name a snippet or the brand."""
    texts: Iterable[tuple[TextKind, str]] = (
        (TextKind.SUBJECT, content.subject),
        (TextKind.HTML, content.html),
        (TextKind.TEXT, content.text),
        *((TextKind.TEXT, text) for text in texts_of(content.details)),
    )
    for kind, text in texts:
        if _may_name(text):
            yield from ((kind, tag) for tag in tags(text, kind))
