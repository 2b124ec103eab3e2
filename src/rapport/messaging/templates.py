"""Rules of templates."""

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.content import sanitised
from rapport.messaging.models import Template
from rapport.messaging.tag_problems import tag_problems
from rapport.stores.records import hold, next_id, taken

MAX_ID = 2**31 - 1
MAX_CONTENT = 100_000  # characters


def templates(scope: Scope) -> list[Template]:
    """The tenant's templates by channel and id."""
    with scope.reads() as session:
        return list(session.scalars(_in_order(scope)))


def listed_templates(scope: Scope, channel_id: int | None = None) -> list[Template]:
    """The same without their html and text, of one channel when asked for."""
    statement = _in_order(scope).options(defer(Template.html), defer(Template.text))
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
) -> Template:
    """Create a template; as save_template, and raises Conflict for an id that is taken."""
    if id is not None and any(present.id == id for present in listed_templates(scope, channel_id)):
        raise Conflict(f"There is a template {id} on channel {channel_id} already.")
    return save_template(scope, channel_id, name, subject, html, text, id)


def save_template(
    scope: Scope,
    channel_id: int,
    name: str,
    subject: str = "",
    html: str = "",
    text: str = "",
    id: int | None = None,
) -> Template:
    """Create a template, or replace the one of this id. Without an id it gets the channel's next.

    HTML is stored sanitised. Raises NotFound for the channel; Invalid for an empty name, the first problem of its tags
    (see tag_problems), and e-mail without a subject or content; Conflict for a name that another template of the
    channel has.
    """
    kind = channels.channel(scope, channel_id).behaviour
    _check_size(html, text)
    now = scope.clock.now()
    new = Template(
        tenant_id=scope.tenant_id,
        channel_id=channel_id,
        id=id,
        name=name.strip(),
        subject=subject.strip(),
        html=sanitised(html),
        text=text,
    )
    if not new.name:
        raise Invalid("name must not be empty.")
    if wrong := tag_problems(scope, Content(new.subject, text, html)):
        raise Invalid(wrong[0].sentence)
    kind.check_content(Content(new.subject, new.text, new.html))
    with scope.records() as session:
        _check_name(scope, session, new)
        if new.id is None:
            new.id = _free_id(scope, session, channel_id)
        content = {"name": new.name, "subject": new.subject, "html": new.html, "text": new.text, "updated_at": now}
        key = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "id": new.id}
        saved = insert(Template).values(**key, **content, created_at=now)
        saved = saved.on_conflict_do_update(index_elements=list(key), set_=content)
        options = {"populate_existing": True}
        stored: Template = session.scalars(saved.returning(Template), execution_options=options).one()
        scope.audit(session, "save", f"template {channel_id}/{new.id}", name=new.name)
    return stored


def _check_name(scope: Scope, session: Session, new: Template) -> None:
    """People choose templates by their names. Vendors may give names twice, and what has such a name may keep it."""
    hold(session, scope.tenant_id, f"templates {new.channel_id}")
    of_channel = (Template.tenant_id == scope.tenant_id, Template.channel_id == new.channel_id)
    same = func.lower(func.btrim(Template.name)) == func.lower(new.name)
    numbers = set(session.scalars(select(Template.id).where(*of_channel, same)))
    if numbers and new.id not in numbers:
        raise taken(f"a template of channel {new.channel_id}", new.name)


def _free_id(scope: Scope, session: Session, channel_id: int) -> int:
    """The channel's next template id; the sequence skips ids that were given by hand."""
    of_channel = select(func.count()).where(Template.tenant_id == scope.tenant_id, Template.channel_id == channel_id)
    while True:
        number = next_id(session, scope.tenant_id, f"template {channel_id}")
        if not session.scalar(of_channel.where(Template.id == number)):
            return number


def _check_size(html: str, text: str) -> None:
    if max(len(html), len(text)) > MAX_CONTENT:
        raise Invalid(f"html and text may have at most {MAX_CONTENT} characters.")


def delete_template(scope: Scope, channel_id: int, template_id: int) -> None:
    """Remove a template. Raises NotFound."""
    template(scope, channel_id, template_id)
    with scope.records() as session:
        session.execute(
            delete(Template).where(
                Template.tenant_id == scope.tenant_id, Template.channel_id == channel_id, Template.id == template_id
            )
        )
        scope.audit(session, "delete", f"template {channel_id}/{template_id}")
