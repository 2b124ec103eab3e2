"""The numbers by which devices report of push messages: one for all messages of one template that are sent for one
thing. Whose device it is tells the customer.
"""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.channels.messages import Origin
from rapport.channels.push.models import PushNumber

MEMBERS = ("channel_id", "campaign_id", "send_id", "template_id", "recipient_group_id", "action_id")


def number_of(scope: Scope, origin: Origin) -> int:
    """The number for messages that are sent for an origin, the same whenever it is asked for."""
    values = {name: getattr(origin, name) for name in MEMBERS}
    mine = [PushNumber.tenant_id == scope.tenant_id]
    mine += [getattr(PushNumber, name) == value for name, value in values.items()]
    query = select(PushNumber.number).where(*mine)
    with scope.records() as session:
        if (known := session.scalar(query)) is not None:
            return known
        entering = insert(PushNumber).values(tenant_id=scope.tenant_id, **values, created_at=scope.clock.now())
        entered = session.scalar(entering.on_conflict_do_nothing().returning(PushNumber.number))
        return session.scalars(query).one() if entered is None else entered


def origins_of(scope: Scope, numbers: set[int]) -> dict[int, Origin]:
    """What numbers stand for; those that are none of the tenant's are absent."""
    query = select(PushNumber).where(PushNumber.tenant_id == scope.tenant_id, PushNumber.number.in_(numbers))
    with scope.reads() as session:
        return {row.number: Origin(**{name: getattr(row, name) for name in MEMBERS}) for row in session.scalars(query)}
