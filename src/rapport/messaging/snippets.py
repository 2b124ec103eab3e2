"""Rules of snippets: pieces of content that templates share, such as a footer. All their versions are kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import delete, func, select

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import templates
from rapport.messaging.composing import SNIPPETS, content_of, newest, pieces_of, snippets_named
from rapport.messaging.content import sanitised
from rapport.messaging.languages import language_tag
from rapport.messaging.models import Snippet, Template
from rapport.messaging.tag_problems import tag_problems
from rapport.messaging.translations import MOST_LANGUAGES, OWN, check_size, contents_of, of_language
from rapport.stores.records import hold

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MOST_SNIPPETS = 1000
MOST_NAMED = 5


@dataclass(frozen=True)
class Piece:
    """What a snippet puts into HTML and into plain text; one of them is made from the other if it is empty."""

    html: str = ""
    text: str = ""


def snippets(scope: Scope) -> list[Snippet]:
    """The tenant's snippets as they are, by name."""
    with scope.reads() as session:
        return list(session.scalars(newest(scope)))


def snippet(scope: Scope, name: str) -> Snippet:
    """A snippet as it is. Raises NotFound."""
    return versions(scope, name)[0]


def versions(scope: Scope, name: str) -> list[Snippet]:
    """Every content that a snippet has had, the newest first. Raises NotFound."""
    mine = select(Snippet).where(Snippet.tenant_id == scope.tenant_id, Snippet.name == name.upper())
    with scope.reads() as session:
        kept = list(session.scalars(mine.order_by(Snippet.version.desc())))
    if not kept:
        raise NotFound(f"There is no snippet {name!r}.")
    return kept


def users(scope: Scope, name: str) -> list[Template]:
    """The templates that put a snippet in, by channel and id."""
    return [
        template
        for template in templates.templates(scope)
        if any(name.upper() in snippets_named(content_of(content)) for content in contents_of(template).values())
    ]


def save_snippet(scope: Scope, name: str, own: Piece, translations: Mapping[str, Piece] | None = None) -> Snippet:
    """Create a snippet, or give it another content, which its templates have at once.

    Raises Invalid for a name that tags cannot have, an empty content, one with another snippet in it, one with a tag
    that a template which uses it may not have, and one snippet too many.
    """
    if not NAME.fullmatch(name):
        raise Invalid("name must begin with a letter and have only letters, digits and underscores.")
    pieces = {OWN: own, **(translations or {})}
    if len(pieces) > MOST_LANGUAGES:
        raise Invalid(f"translations may have at most {MOST_LANGUAGES} languages.")
    kept = {language: _prepared(scope, language, piece) for language, piece in pieces.items()}
    new = Snippet(
        tenant_id=scope.tenant_id,
        name=name.upper(),
        html=kept[OWN].html,
        text=kept[OWN].text,
        translations={
            language: {"html": piece.html, "text": piece.text} for language, piece in kept.items() if language
        },
        saved_at=scope.clock.now(),
    )
    with scope.records() as session:
        hold(session, scope.tenant_id, SNIPPETS)
        _check_templates(scope, new)
        mine = (Snippet.tenant_id == scope.tenant_id, Snippet.name == new.name)
        present = session.scalar(select(Snippet).where(*mine).order_by(Snippet.version.desc()).limit(1))
        if (
            present is not None
            and pieces_of(present) == pieces_of(new)
            and (present.translations.keys() == new.translations.keys())
        ):
            return present
        names = select(func.count(Snippet.name.distinct())).where(Snippet.tenant_id == scope.tenant_id)
        if present is None and session.scalars(names).one() >= MOST_SNIPPETS:
            raise Invalid(f"There can be at most {MOST_SNIPPETS} snippets.")
        new.version = (present.version if present else 0) + 1
        session.add(new)
        scope.audit(session, "save", f"snippet {new.name}", version=new.version)
    return new


def _prepared(scope: Scope, language: str, piece: Piece) -> Piece:
    """A piece as it is stored. Raises Invalid, naming the translation."""
    if language and language_tag(language) != language:
        raise Invalid(f"translations has {language!r}: a language is written as de, or as de-AT with its region.")
    try:
        check_size(piece.html, piece.text)
        stored = replace(piece, html=sanitised(piece.html))
        if not (stored.html.strip() or stored.text.strip()):
            raise Invalid("html or text is required.")
        if named := snippets_named(Content(text=stored.text, html=stored.html)):
            raise Invalid(f"A snippet cannot contain another one, such as {min(named)}.")
        # Which values its templates may put in is seen with them.
        if wrong := tag_problems(scope, Content(text=piece.text, html=piece.html), transactional=True):
            raise Invalid(wrong[0].sentence)
    except Invalid as error:
        raise of_language(language, error) from error
    return stored


def _check_templates(scope: Scope, new: Snippet) -> None:
    """Raise Invalid for a tag that the snippet brings into a template which may not have it."""
    for template in users(scope, new.name):
        channel = channels.channel(scope, template.channel_id)
        for language, content in contents_of(template).items():
            try:
                templates.check_content(scope, channel, content_of(content), language, {new.name: new})
            except Invalid as error:
                raise Invalid(f"Template {template.id} of channel {channel.id} uses it: {error.message}") from error


def delete_snippet(scope: Scope, name: str) -> None:
    """Remove a snippet with all its versions. Raises NotFound, and Conflict while templates use it."""
    snippet(scope, name)
    with scope.records() as session:
        hold(session, scope.tenant_id, SNIPPETS)
        using = users(scope, name)
        if using:
            shown = ", ".join(f"template {each.id} of channel {each.channel_id}" for each in using[:MOST_NAMED])
            more = f" and {len(using) - MOST_NAMED} more" if len(using) > MOST_NAMED else ""
            raise Conflict(f"Snippet {name.upper()} cannot be deleted: it is used by {shown}{more}.")
        session.execute(delete(Snippet).where(Snippet.tenant_id == scope.tenant_id, Snippet.name == name.upper()))
        scope.audit(session, "delete", f"snippet {name.upper()}")
