"""Templates and apps of external channels, as their vendors register them: an id and a name, the content is theirs.

The templates of a channel that Rapport sends on by itself are made in Rapport; no vendor renames or
removes them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.channels import apps
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.errors import Invalid
from rapport.messaging import versions
from rapport.messaging.models import Template


@dataclass(frozen=True)
class Registered:
    """A template by its vendor's key; app_id is empty for one that belongs to no app."""

    template_id: int
    name: str
    app_id: str = ""


def external_channel(scope: Scope, channel_id: int) -> Channel:
    """A channel whose templates and apps are a vendor's. Raises NotFound, and Invalid for one of Rapport's own."""
    channel = channels.channel(scope, channel_id)
    if not channel.behaviour.is_pulled:
        raise Invalid(f"ChannelID: channel {channel_id} is a native channel, whose templates are created in Rapport.")
    return channel


def register_templates(scope: Scope, channel_id: int, templates: Sequence[Registered]) -> None:
    """Add templates to an external channel; one that is known gets the new name and app and keeps its content.

    Of a template given twice the last counts. Raises NotFound for the channel, Invalid for one of Rapport's own.
    """
    external_channel(scope, channel_id)
    by_id = {template.template_id: template for template in templates}
    now = scope.clock.now()
    with scope.records() as session:
        # In order of the key, so that two callers with the same templates wait for each other and never lock up.
        for number, template in sorted(by_id.items()):
            key = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "id": number}
            changes = {"name": template.name, "app_id": template.app_id, "updated_at": now}
            statement = insert(Template).values(**key, **changes, subject="", html="", text="", created_at=now)
            session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes))
        scope.audit(session, "register", f"templates of channel {channel_id}", templates=sorted(by_id))


def remove_templates(scope: Scope, pairs: Sequence[tuple[int, int]]) -> None:
    """Take templates off external channels, by channel and id; unknown ones are no error.

    Campaigns keep the ids that they were built with. Raises Invalid when a channel is one of Rapport's own;
    nothing is removed then.
    """
    own = {channel.id for channel in channels.channels(scope) if not channel.behaviour.is_pulled}
    for channel_id, template_id in pairs:
        if channel_id in own:
            raise Invalid(f"Template {template_id} of channel {channel_id} was created in Rapport: remove it there.")
    with scope.records() as session:
        statement = delete(Template).where(Template.tenant_id == scope.tenant_id)
        statement = statement.where(tuple_(Template.channel_id, Template.id).in_(pairs))
        deleted = session.execute(statement.returning(Template.channel_id, Template.id)).all()
        versions.drop(scope, session, [(row.channel_id, row.id) for row in deleted])
        for channel_id, template_id in sorted((row.channel_id, row.id) for row in deleted):
            scope.audit(session, "delete", f"template {channel_id}/{template_id}")


def _with_app(scope: Scope, channel_ids: Iterable[int]) -> Select[int, int, str]:
    """Channel, id and app of the templates of channels that are for one."""
    return select(Template.channel_id, Template.id, Template.app_id).where(
        Template.tenant_id == scope.tenant_id, Template.channel_id.in_(list(channel_ids)), Template.app_id != ""
    )


def register_apps(scope: Scope, channel_id: int, names: dict[str, str]) -> None:
    """Add apps to an external channel by id and name. Raises NotFound, and Invalid for a channel of Rapport's own."""
    external_channel(scope, channel_id)
    apps.add_apps(scope, channel_id, names)


def remove_apps(scope: Scope, pairs: Sequence[tuple[int, str]]) -> None:
    """Remove apps by channel and id; their templates stay, for the whole channel. Unknown ones are no error."""
    gone = {(channel_id, app_id.lower()) for channel_id, app_id in pairs}
    with scope.records() as session:
        apps.delete_apps(scope, session, pairs)
        templates = session.execute(_with_app(scope, {channel_id for channel_id, _ in pairs})).all()
        of_gone_apps = [
            (channel_id, number) for channel_id, number, app_id in templates if (channel_id, app_id.lower()) in gone
        ]
        session.execute(
            update(Template)
            .where(Template.tenant_id == scope.tenant_id, tuple_(Template.channel_id, Template.id).in_(of_gone_apps))
            .values(app_id="", updated_at=scope.clock.now())
        )
