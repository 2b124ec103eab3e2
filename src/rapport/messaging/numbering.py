"""The numbers of templates: each channel has its own, but calls name transactional templates by the number alone.

So the channels of transactional brands share theirs.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.transactional import transactional_channels
from rapport.errors import Conflict
from rapport.messaging.models import Template
from rapport.stores.records import hold, next_id

SHARED = "template transactional"


def free_id(scope: Scope, session: Session, channel_id: int) -> int:
    """The next template id of a channel; the sequence skips ids that were given by hand."""
    shared = _sharing(scope, channel_id)
    taken = select(func.count()).where(_of(scope, shared or [channel_id]))
    while True:
        number = next_id(session, scope.tenant_id, SHARED if shared else f"template {channel_id}")
        if not session.scalar(taken.where(Template.id == number)):
            return number


def require_own_id(scope: Scope, session: Session, channel_id: int, template_id: int) -> None:
    """Raises Conflict for an id that a template of another transactional channel has, if the channel is one."""
    others = [number for number in _sharing(scope, channel_id) if number != channel_id]
    if not others:
        return
    hold(session, scope.tenant_id, SHARED)
    other = session.scalar(select(Template.channel_id).where(_of(scope, others), Template.id == template_id).limit(1))
    if other is not None:
        raise Conflict(
            f"There is a template {template_id} on channel {other} already: transactional templates share their ids."
        )


def _sharing(scope: Scope, channel_id: int) -> list[int]:
    """The channels among whose templates the ids of a channel's are unique; none for a channel by itself."""
    numbers = [channel.id for channel in transactional_channels(scope)]
    return numbers if channel_id in numbers else []


def _of(scope: Scope, channel_ids: Sequence[int]) -> ColumnElement[bool]:
    return and_(Template.tenant_id == scope.tenant_id, Template.channel_id.in_(channel_ids))
