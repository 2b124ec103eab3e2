"""What templates are for: an app of their channel, and a topic, both of which narrow whom they may reach."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from rapport.access.scope import Scope

# A mandatory topic narrows nothing: nobody can leave it.
OF_TEMPLATES = text("""
    SELECT template.channel_id, template.id, template.app_id, coalesce(topic.id, '') AS topic_id,
        topic.subscribed_by_default, brand_group.channels
    FROM templates AS template
    LEFT JOIN topics AS topic
        ON topic.tenant_id = template.tenant_id AND topic.id = template.topic_id AND NOT topic.mandatory
    LEFT JOIN brand_groups AS brand_group
        ON brand_group.tenant_id = topic.tenant_id AND brand_group.id = topic.brand_group_id
    WHERE template.tenant_id = :tenant_id AND template.channel_id = ANY(CAST(:channels AS integer[]))
        AND (template.app_id <> '' OR topic.id IS NOT NULL)
""")
UNMAPPED = 0


@dataclass(frozen=True, order=True)
class Purpose:
    """What a template is for; empty for neither.

    wire_channel_id is the number of its channel on the wire, in the topic's brand group. opt_in: of the topic, only
    those are reached who have subscribed; otherwise all who have not unsubscribed.
    """

    app_id: str = ""
    topic_id: str = ""
    wire_channel_id: int = UNMAPPED
    opt_in: bool = False

    @property
    def keys(self) -> list[str]:
        """The places of a channel at which somebody may have said no: all of it, the app, the topic."""
        return ["", *filter(None, [self.app_id.lower(), self.topic_key])]

    @property
    def topic_key(self) -> str:
        """The topic as a place; empty for none."""
        return topic_key(self.topic_id, self.wire_channel_id) if self.topic_id else ""


ANYTHING = Purpose()


def topic_key(topic_id: str, wire_channel_id: int) -> str:
    """A topic on the channels of a number as a place at which addresses are kept, beside apps."""
    return f"topic {topic_id} {wire_channel_id}"


def purposes_of_templates(scope: Scope, channel_ids: Iterable[int]) -> dict[tuple[int, int], Purpose]:
    """The purposes of the templates of channels that have one, by channel and template."""
    parameters = {"tenant_id": scope.tenant_id, "channels": sorted(set(channel_ids))}
    with scope.stores.records.reading() as connection:
        rows = connection.execute(OF_TEMPLATES, parameters).all()
    purposes = {
        (row.channel_id, row.id): _purpose(
            row.app_id.lower(),
            row.topic_id,
            wire_number(row.channels or {}, row.channel_id),
            bool(row.subscribed_by_default),
        )
        for row in rows
    }
    return {template: purpose for template, purpose in purposes.items() if purpose != ANYTHING}


def _purpose(app_id: str, topic_id: str, wire_channel_id: int, by_default: bool) -> Purpose:
    if not topic_id or wire_channel_id == UNMAPPED:
        return Purpose(app_id)
    return Purpose(app_id, topic_id, wire_channel_id, opt_in=not by_default)


def purpose_of(scope: Scope, channel_id: int, template_id: int) -> Purpose:
    """The purpose of one template; of an unknown one it has none."""
    return purposes_of_templates(scope, [channel_id]).get((channel_id, template_id), ANYTHING)


def wire_number(channels: Mapping[str, Iterable[int]], channel_id: int) -> int:
    """The number on the wire of a channel in a brand group; UNMAPPED for a channel that is not in it."""
    return next((int(number) for number, ids in channels.items() if channel_id in ids), UNMAPPED)
