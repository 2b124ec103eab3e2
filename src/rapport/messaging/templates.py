"""Rules of templates."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.channels.models import Channel
from rapport.channels.transactional import is_transactional
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import numbering, versions
from rapport.messaging.composing import SNIPPETS, content_of, snippets_at, snippets_named
from rapport.messaging.content import sanitised
from rapport.messaging.folders import require_folder
from rapport.messaging.mjml_sources import html_of
from rapport.messaging.models import Snippet, Template
from rapport.messaging.tag_problems import tag_problems
from rapport.messaging.template_senders import require_sender
from rapport.messaging.translations import OWN, as_given, check_size, contents_of, of_language, prepared
from rapport.stores.records import hold, taken

MAX_ID = 2**31 - 1
LARGE = (Template.html, Template.text, Template.mjml, Template.translations)


def templates(scope: Scope) -> list[Template]:
    """The tenant's templates by channel and id."""
    with scope.reads() as session:
        return list(session.scalars(_in_order(scope)))


def listed_templates(scope: Scope, channel_id: int | None = None) -> list[Template]:
    """The same without their html, text and translations, of one channel when asked for."""
    statement = _in_order(scope).options(*(defer(column) for column in LARGE))
    if channel_id is not None:
        statement = statement.where(Template.channel_id == channel_id)
    with scope.reads() as session:
        return list(session.scalars(statement))


def _in_order(scope: Scope) -> Select[Template]:
    mine = select(Template).where(Template.tenant_id == scope.tenant_id)
    return mine.order_by(Template.channel_id, Template.id)


def template(scope: Scope, channel_id: int, template_id: int) -> Template:
    """A template. Raises NotFound."""
    stored = None
    if 0 <= channel_id <= MAX_ID and 0 <= template_id <= MAX_ID:
        with scope.reads() as session:
            stored = session.get(Template, (scope.tenant_id, channel_id, template_id))
    if stored is None:
        raise NotFound(f"There is no template {template_id} on channel {channel_id}.")
    return stored


def create_template(
    scope: Scope,
    channel_id: int,
    name: str,
    subject: str = "",
    html: str = "",
    text: str = "",
    id: int | None = None,
    **more: Any,
) -> Template:
    """Create a template; as save_template, and raises Conflict for an id that is taken."""
    if id is not None and any(present.id == id for present in listed_templates(scope, channel_id)):
        raise Conflict(f"There is a template {id} on channel {channel_id} already.")
    return save_template(scope, channel_id, name, subject, html, text, id, **more)


def save_template(
    scope: Scope,
    channel_id: int,
    name: str,
    subject: str = "",
    html: str = "",
    text: str = "",
    id: int | None = None,
    *,
    mjml: str = "",
    from_name: str = "",
    from_address_id: int | None = None,
    reply_to_address_id: int | None = None,
    folder_id: int | None = None,
    details: Mapping[str, Any] | None = None,
    translations: Mapping[str, Mapping[str, Any]] | None = None,
) -> Template:
    """Create a template, or replace the one of this id. Without an id it gets the channel's next.

    The content that it had stays as a version. HTML may come as mjml instead. Without a folder it stays where it is.
    HTML is stored sanitised. details are members of the kind's model of them, translations the content in other
    languages (see translations). Raises NotFound for the channel; Invalid
    for an empty name, the first problem of its tags (see tag_problems), e-mail without a subject or content, and
    another folder or address than the channel's brand has; Conflict for a name that another template of the channel
    has, and for an id that a template of another transactional channel has.
    """
    channel = channels.channel(scope, channel_id)
    kind = channel.behaviour
    if mjml.strip():
        html = html_of(mjml, html)
    check_size(html, text)
    now = scope.clock.now()
    new = Template(
        tenant_id=scope.tenant_id,
        channel_id=channel_id,
        id=id,
        name=name.strip(),
        subject=subject.strip(),
        html=sanitised(html),
        text=text,
        mjml=mjml.strip(),
        from_name=" ".join(from_name.split()),
        from_address_id=from_address_id,
        reply_to_address_id=reply_to_address_id,
        details=kind.checked_details(details or {}),
    )
    new.translations = prepared(kind, translations or {}, new.details)
    _check(scope, channel, new, html)
    with scope.records() as session:
        _check_name(scope, session, new)
        _keep_snippets(scope, session, new)
        if new.id is None:
            new.id = numbering.free_id(scope, session, channel_id)
        else:
            numbering.require_own_id(scope, session, channel_id, new.id)
        content: dict[str, Any] = {column: getattr(new, column) for column in versions.CONTENT}
        if folder_id is not None:
            require_folder(scope, session, channel.settings.get("brand_id"), folder_id)
            content["folder_id"] = folder_id
        key = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "id": new.id}
        content["updated_at"] = now
        saved = insert(Template).values(**key, **content, created_at=now)
        saved = saved.on_conflict_do_update(index_elements=list(key), set_=content)
        options = {"populate_existing": True}
        stored: Template = session.scalars(saved.returning(Template), execution_options=options).one()
        versions.keep(scope, session, stored)
        scope.audit(session, "save", f"template {channel_id}/{new.id}", name=new.name, version=stored.version)
    return stored


def _check(scope: Scope, channel: Channel, new: Template, html: str) -> None:
    """Whether a template can be saved, of which html is as it was given. Raises Invalid."""
    if not new.name:
        raise Invalid("name must not be empty.")
    for language, content in contents_of(new).items():
        written = html if language == OWN else content.html
        try:
            check_content(scope, channel, replace(content_of(content), html=written), language)
            channel.behaviour.check_content(content_of(content))
        except Invalid as error:
            raise of_language(language, error) from error
    require_sender(scope, channel, new)


def check_content(
    scope: Scope, channel: Channel, content: Content, language: str, snippets: Mapping[str, Snippet] | None = None
) -> None:
    """Raise Invalid for the first problem of the tags of a content in a language of a template of a channel.

    snippets are such as are about to be stored.
    """
    transactional = is_transactional(scope, channel.id)
    may_bring = not (channel.behaviour.is_pulled or channel.behaviour.own_call)
    wrong = tag_problems(
        scope, content, language=language, transactional=transactional, may_bring=may_bring, snippets=snippets
    )
    if wrong:
        raise Invalid(wrong[0].sentence)


def _check_name(scope: Scope, session: Session, new: Template) -> None:
    """People choose templates by their names. Vendors may give names twice, and what has such a name may keep it."""
    hold(session, scope.tenant_id, f"templates {new.channel_id}")
    of_channel = (Template.tenant_id == scope.tenant_id, Template.channel_id == new.channel_id)
    same = func.lower(func.btrim(Template.name)) == func.lower(new.name)
    numbers = set(session.scalars(select(Template.id).where(*of_channel, same)))
    if numbers and new.id not in numbers:
        raise taken(f"a template of channel {new.channel_id}", new.name)


def _keep_snippets(scope: Scope, session: Session, new: Template) -> None:
    """Have the snippets that a template names stay until it is saved. Raises Invalid for one that is gone."""
    named = set().union(*(snippets_named(content_of(content)) for content in contents_of(new).values()))
    if named:
        hold(session, scope.tenant_id, SNIPPETS)
        if gone := named - snippets_at(scope, named).keys():
            raise Invalid(f"There is no snippet {min(gone)}.")


def restore_template(scope: Scope, channel_id: int, template_id: int, version: int) -> Template:
    """Save a former content of a template once more, under its present name. Raises as save_template, and NotFound."""
    present = template(scope, channel_id, template_id)
    former = versions.version(scope, channel_id, template_id, version)
    content = {column: getattr(former, column) for column in versions.CONTENT}
    if former.mjml:
        content["html"] = ""
    content["translations"] = as_given(former.translations)
    return save_template(scope, channel_id, id=template_id, **{**content, "name": present.name})


def delete_template(scope: Scope, channel_id: int, template_id: int) -> None:
    """Remove a template. Raises NotFound."""
    template(scope, channel_id, template_id)
    with scope.records() as session:
        session.execute(
            delete(Template).where(
                Template.tenant_id == scope.tenant_id, Template.channel_id == channel_id, Template.id == template_id
            )
        )
        versions.drop(scope, session, [(channel_id, template_id)])
        scope.audit(session, "delete", f"template {channel_id}/{template_id}")
