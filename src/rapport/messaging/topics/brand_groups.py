"""Brand groups: brands that share topics, and the channels on which customers may choose them.

On the wire a channel goes by the number of its kind, such as 15 for e-mail. A group says which of the tenant's channels
each number stands for; a channel stands for one number at most.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.models import BrandGroup, Template, Topic
from rapport.stores.records import hold, taken

# What clients know: an unknown number breaks the SDKs.
WIRE_CHANNELS = {
    15: "E-mail",
    427: "In-app messages",
    489: "Mobile push",
    490: "Web push",
    493: "SMS",
    495: "Inbox",
    498: "WhatsApp",
}
MOST_GROUPS = 100
ChannelsByNumber = Mapping[int, Sequence[int]]


def guid(text: str) -> str:
    """A GUID as it is stored. Raises NotFound for a text that is none, which nothing has for its id."""
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError as error:
        raise NotFound("The id must be a GUID.") from error


def brand_groups(scope: Scope) -> list[BrandGroup]:
    """The tenant's brand groups, by name."""
    with scope.reads() as session:
        mine = select(BrandGroup).where(BrandGroup.tenant_id == scope.tenant_id)
        return list(session.scalars(mine.order_by(BrandGroup.name, BrandGroup.id)))


def brand_group(scope: Scope, group_id: str) -> BrandGroup:
    """A brand group. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, group_id)


def _get(scope: Scope, session: Session, group_id: str) -> BrandGroup:
    group = session.get(BrandGroup, (scope.tenant_id, guid(group_id)))
    if group is None:
        raise NotFound(f"There is no brand group {group_id}.")
    return group


def create_brand_group(
    scope: Scope, name: str, channels_by_number: ChannelsByNumber, *, requires_proof: bool = False
) -> BrandGroup:
    """Create a brand group. requires_proof: preferences change only for a customer who is proved to be it.

    Raises Invalid for channels that there are not, Conflict for a name that is taken and for too many groups.
    """
    stored_channels, now = _checked(scope, name, channels_by_number), scope.clock.now()
    group = BrandGroup(
        tenant_id=scope.tenant_id,
        id=str(uuid.uuid4()),
        name=name.strip(),
        channels=stored_channels,
        requires_proof=requires_proof,
        created_at=now,
        updated_at=now,
    )
    with scope.records() as session:
        _check_name(scope, session, group)
        mine = select(func.count()).where(BrandGroup.tenant_id == scope.tenant_id)
        if (session.scalar(mine) or 0) >= MOST_GROUPS:
            raise Conflict(f"A tenant may have at most {MOST_GROUPS} brand groups.")
        session.add(group)
        scope.audit(session, "create", f"brand group {group.id}", name=group.name)
    return group


def replace_brand_group(
    scope: Scope, group_id: str, name: str, channels_by_number: ChannelsByNumber, *, requires_proof: bool = False
) -> BrandGroup:
    """Replace name, channels and the need of a proof.

    Raises as create_brand_group does, NotFound, and Conflict when templates of a topic use a channel that would go.
    """
    stored_channels = _checked(scope, name, channels_by_number)
    with scope.records() as session:
        group = _get(scope, session, group_id)
        group.name, group.channels, group.requires_proof = name.strip(), stored_channels, requires_proof
        group.updated_at = scope.clock.now()
        _check_name(scope, session, group)
        _check_templates(scope, session, group)
        scope.audit(session, "update", f"brand group {group.id}", name=group.name)
    return group


def delete_brand_group(scope: Scope, group_id: str) -> None:
    """Remove a brand group without topics. Raises NotFound, and Conflict while it has some."""
    with scope.records() as session:
        group = _get(scope, session, group_id)
        of_group = select(func.count()).where(Topic.tenant_id == scope.tenant_id, Topic.brand_group_id == group.id)
        if session.scalar(of_group):
            raise Conflict("The brand group has topics: delete them first.")
        session.execute(delete(BrandGroup).where(BrandGroup.tenant_id == scope.tenant_id, BrandGroup.id == group.id))
        scope.audit(session, "delete", f"brand group {group.id}", name=group.name)


def numbers(group: BrandGroup) -> list[int]:
    """The numbers of a group's channels on the wire, in order."""
    return sorted(map(int, group.channels))


def _checked(scope: Scope, name: str, channels_by_number: ChannelsByNumber) -> dict[str, list[int]]:
    """The channels as they are stored. Raises Invalid."""
    if not name.strip():
        raise Invalid("name must not be empty.")
    if unknown := sorted(set(channels_by_number) - WIRE_CHANNELS.keys()):
        raise Invalid(f"channels names {unknown[0]}, which is not one of {', '.join(map(str, WIRE_CHANNELS))}.")
    used = [channel_id for ids in channels_by_number.values() for channel_id in ids]
    if missing := sorted(set(used) - {channel.id for channel in channels.channels(scope)}):
        raise Invalid(f"channels names channel {missing[0]}, which does not exist.")
    if twice := [channel_id for channel_id, count in Counter(used).items() if count > 1]:
        raise Invalid(f"channels names channel {min(twice)} more than once.")
    return {str(number): sorted(ids) for number, ids in sorted(channels_by_number.items())}


def _check_name(scope: Scope, session: Session, group: BrandGroup) -> None:
    hold(session, scope.tenant_id, "brand groups")
    same = select(BrandGroup.id).where(
        BrandGroup.tenant_id == scope.tenant_id,
        func.lower(BrandGroup.name) == group.name.lower(),
        BrandGroup.id != group.id,
    )
    with session.no_autoflush:
        if session.scalars(same).first():
            raise taken("a brand group", group.name)


def _check_templates(scope: Scope, session: Session, group: BrandGroup) -> None:
    """Raises Conflict when a template of one of its topics is on a channel that the group does not have."""
    used = (
        select(Template.channel_id)
        .join(Topic, (Topic.tenant_id == Template.tenant_id) & (Topic.id == Template.topic_id))
        .where(Topic.tenant_id == scope.tenant_id, Topic.brand_group_id == group.id)
        .distinct()
    )
    present = {channel_id for ids in group.channels.values() for channel_id in ids}
    with session.no_autoflush:
        if gone := sorted(set(session.scalars(used)) - present):
            raise Conflict(f"channels must have channel {gone[0]}: templates of a topic of this group use it.")
