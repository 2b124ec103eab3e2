"""Topics: what messages are about, as customers see it in the preferences of a brand group."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import templates
from rapport.messaging.contactability.purposes import UNMAPPED, wire_number
from rapport.messaging.models import Template, Topic, TopicSubscription
from rapport.messaging.topics import brand_groups
from rapport.messaging.topics.brand_groups import guid
from rapport.stores.records import hold, taken

MOST_TOPICS = 200  # of a brand group
NO_TOPIC = ""


@dataclass(frozen=True)
class TopicContent:
    """What a topic says of itself; see messaging.models.Topic."""

    name: str
    description: str = ""
    frequency: str = ""
    mandatory: bool = False
    hidden: bool = False
    subscribed_by_default: bool = True


def topics(scope: Scope, group_id: str) -> list[Topic]:
    """The topics of a brand group, by name. Raises NotFound."""
    group = brand_groups.brand_group(scope, group_id)
    with scope.reads() as session:
        of_group = select(Topic).where(Topic.tenant_id == scope.tenant_id, Topic.brand_group_id == group.id)
        return list(session.scalars(of_group.order_by(func.lower(Topic.name), Topic.id)))


def topic(scope: Scope, topic_id: str) -> Topic:
    """A topic. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, topic_id)


def _get(scope: Scope, session: Session, topic_id: str) -> Topic:
    stored = session.get(Topic, (scope.tenant_id, guid(topic_id)))
    if stored is None:
        raise NotFound(f"There is no topic {topic_id}.")
    return stored


def create_topic(scope: Scope, group_id: str, content: TopicContent) -> Topic:
    """Create a topic. Raises NotFound for the group, Invalid, and Conflict for a name that is taken in the group."""
    group, now = brand_groups.brand_group(scope, group_id), scope.clock.now()
    _check(content)
    new = Topic(
        tenant_id=scope.tenant_id, id=str(uuid.uuid4()), brand_group_id=group.id, created_at=now, updated_at=now
    )
    _set(new, content)
    with scope.records() as session:
        _check_name(scope, session, new)
        of_group = select(func.count()).where(Topic.tenant_id == scope.tenant_id, Topic.brand_group_id == group.id)
        if (session.scalar(of_group) or 0) >= MOST_TOPICS:
            raise Conflict(f"A brand group may have at most {MOST_TOPICS} topics.")
        session.add(new)
        scope.audit(session, "create", f"topic {new.id}", name=new.name)
    return new


def replace_topic(scope: Scope, topic_id: str, content: TopicContent) -> Topic:
    """Replace what a topic says of itself. What customers said of it stays. Raises as create_topic does."""
    _check(content)
    with scope.records() as session:
        stored = _get(scope, session, topic_id)
        with session.no_autoflush:
            _set(stored, content)
            stored.updated_at = scope.clock.now()
            _check_name(scope, session, stored)
        scope.audit(session, "update", f"topic {stored.id}", name=stored.name)
    return stored


def delete_topic(scope: Scope, topic_id: str) -> None:
    """Remove a topic with what customers said of it; its templates stay, without a topic. Raises NotFound."""
    with scope.records() as session:
        stored = _get(scope, session, topic_id)
        of_topic = (Template.tenant_id == scope.tenant_id, Template.topic_id == stored.id)
        session.execute(update(Template).where(*of_topic).values(topic_id=NO_TOPIC))
        session.execute(
            delete(TopicSubscription).where(
                TopicSubscription.tenant_id == scope.tenant_id, TopicSubscription.topic_id == stored.id
            )
        )
        session.execute(delete(Topic).where(Topic.tenant_id == scope.tenant_id, Topic.id == stored.id))
        scope.audit(session, "delete", f"topic {stored.id}", name=stored.name)


def templates_of(scope: Scope, topic_id: str) -> list[tuple[int, int]]:
    """The templates of a topic, by channel and id. Raises NotFound."""
    stored = topic(scope, topic_id)
    of_topic = select(Template.channel_id, Template.id).where(
        Template.tenant_id == scope.tenant_id, Template.topic_id == stored.id
    )
    with scope.reads() as session:
        return [
            (row.channel_id, row.id) for row in session.execute(of_topic.order_by(Template.channel_id, Template.id))
        ]


def set_templates(scope: Scope, topic_id: str, chosen: Sequence[tuple[int, int]]) -> None:
    """Let these templates (channel and id), and no others, be about a topic; one of another topic leaves that.

    Raises NotFound for the topic or a template, and Invalid for one on a channel that the brand group does not have.
    """
    stored = topic(scope, topic_id)
    group = brand_groups.brand_group(scope, stored.brand_group_id)
    for channel_id, template_id in chosen:
        templates.template(scope, channel_id, template_id)
        if wire_number(group.channels, channel_id) == UNMAPPED:
            raise Invalid(f"Channel {channel_id} is not a channel of the brand group {group.name!r}.")
    with scope.records() as session:
        hold(session, scope.tenant_id, f"topic {stored.id}")
        mine = Template.tenant_id == scope.tenant_id
        session.execute(update(Template).where(mine, Template.topic_id == stored.id).values(topic_id=NO_TOPIC))
        for channel_id, template_id in chosen:
            chosen_template = (mine, Template.channel_id == channel_id, Template.id == template_id)
            session.execute(update(Template).where(*chosen_template).values(topic_id=stored.id))
        scope.audit(session, "update", f"topic {stored.id}", templates=len(chosen))


def _check(content: TopicContent) -> None:
    if not content.name.strip():
        raise Invalid("name must not be empty.")
    if content.mandatory and not content.subscribed_by_default:
        raise Invalid("subscribed_by_default must be true for a mandatory topic: everybody gets it.")


def _set(stored: Topic, content: TopicContent) -> None:
    stored.name, stored.description = content.name.strip(), content.description.strip()
    stored.frequency = content.frequency.strip()
    stored.mandatory, stored.hidden = content.mandatory, content.hidden
    stored.subscribed_by_default = content.subscribed_by_default


def _check_name(scope: Scope, session: Session, checked: Topic) -> None:
    hold(session, scope.tenant_id, f"topics {checked.brand_group_id}")
    same = select(Topic.id).where(
        Topic.tenant_id == scope.tenant_id,
        Topic.brand_group_id == checked.brand_group_id,
        func.lower(Topic.name) == checked.name.lower(),
        Topic.id != checked.id,
    )
    if session.scalars(same).first():
        raise taken("a topic of the brand group", checked.name)
