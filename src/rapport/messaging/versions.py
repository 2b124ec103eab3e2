"""The contents that templates have had, by version: each that was saved is kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session, defer

from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.messaging.models import Template, TemplateVersion

# Of which a version is; where a template lies is no content.
CONTENT = (
    "name", "subject", "html", "text", "mjml", "from_name", "from_address_id", "reply_to_address_id", "details",
    "translations",
)  # fmt: skip
# Older versions of a template go, so that a program that saves one every minute does not fill the disk.
MOST_KEPT = 100
LARGE = (TemplateVersion.html, TemplateVersion.text, TemplateVersion.mjml, TemplateVersion.translations)


def versions(scope: Scope, channel_id: int, template_id: int) -> list[TemplateVersion]:
    """The versions of a template without their html, text, mjml and translations, the newest first."""
    statement = select(TemplateVersion).where(*_of(scope, channel_id, template_id))
    statement = statement.options(*(defer(column) for column in LARGE)).order_by(TemplateVersion.version.desc())
    with scope.reads() as session:
        return list(session.scalars(statement))


def version(scope: Scope, channel_id: int, template_id: int, number: int) -> TemplateVersion:
    """A version of a template. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(TemplateVersion, (scope.tenant_id, channel_id, template_id, number))
    if stored is None:
        raise NotFound(f"Template {template_id} on channel {channel_id} has no version {number}.")
    return stored


def template_at(scope: Scope, present: Template, at: datetime) -> Template:
    """A template with the content that it had at an instant, or else with the oldest that is kept."""
    mine = select(TemplateVersion).where(*_of(scope, present.channel_id, present.id)).limit(1)
    then = mine.where(TemplateVersion.saved_at <= at).order_by(TemplateVersion.version.desc())
    with scope.reads() as session:
        stored = session.scalar(then) or session.scalar(mine.order_by(TemplateVersion.version))
    if stored is None:  # nothing was ever saved
        return present
    return Template(
        tenant_id=scope.tenant_id,
        channel_id=present.channel_id,
        id=present.id,
        topic_id=present.topic_id,
        **{column: getattr(stored, column) for column in CONTENT},
    )


def keep(scope: Scope, session: Session, saved: Template) -> None:
    """Make the content that a template has just got its next version, unless it has been the present one before.

    To be called where nobody else saves templates of the channel meanwhile.
    """
    content: Mapping[str, Any] = {column: getattr(saved, column) for column in CONTENT}
    mine = _of(scope, saved.channel_id, saved.id)
    newest = session.scalar(select(TemplateVersion).where(*mine).order_by(TemplateVersion.version.desc()).limit(1))
    if newest is not None and content == {column: getattr(newest, column) for column in CONTENT}:
        return
    saved.version = (newest.version if newest else 0) + 1
    session.add(
        TemplateVersion(
            tenant_id=scope.tenant_id,
            channel_id=saved.channel_id,
            template_id=saved.id,
            version=saved.version,
            saved_at=saved.updated_at,
            **content,
        )
    )
    session.flush()
    session.execute(delete(TemplateVersion).where(*mine, TemplateVersion.version <= saved.version - MOST_KEPT))


def drop(scope: Scope, session: Session, pairs: list[tuple[int, int]]) -> None:
    """Remove all versions of templates that are gone, by channel and id."""
    of_pairs = tuple_(TemplateVersion.channel_id, TemplateVersion.template_id).in_(pairs)
    session.execute(delete(TemplateVersion).where(TemplateVersion.tenant_id == scope.tenant_id, of_pairs))


def _of(scope: Scope, channel_id: int, template_id: int) -> tuple[Any, ...]:
    return (
        TemplateVersion.tenant_id == scope.tenant_id,
        TemplateVersion.channel_id == channel_id,
        TemplateVersion.template_id == template_id,
    )
