"""Promo codes in event 11: whoever a firing goes to on an outside channel has a unique code of its own."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.plans import PlannedChannel
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.states import FiringState
from rapport.redemptions import allocation

Place = tuple[int, int]  # firing, channel
# Firings end as sent before it is known that there is no code for them.
REOPEN = text(f"""
    UPDATE trigger_firings SET state = '{FiringState.SENDING}', finished_at = NULL, outcome = '', reason = ''
    WHERE tenant_id = :tenant_id AND id = ANY(CAST(:ids AS bigint[])) AND state = '{FiringState.DONE}'
""")  # noqa: S608 - ours


def allocate(
    scope: Scope, session: Session, handed: Sequence[tuple[Outgoing, PlannedChannel]]
) -> Mapping[Place, list[str] | None]:
    """The promo codes of firings on channels that outside systems send, None where none is left.

    Codes are taken in the caller's transaction, as those of messages are when they are written.
    """
    asked: dict[int, list[allocation.Wanted]] = defaultdict(list)
    places: dict[str, Place] = {}
    for firing, channel in handed:
        customer_id = firing.message_to
        id = message_id(scope.tenant_id, Source.FIRING, firing.firing_id, channel.channel_id, customer_id)
        places[id] = (firing.firing_id, channel.channel_id)
        asked[firing.campaign.id].append(allocation.Wanted(id, customer_id, firing.promo_codes))
    codes: dict[Place, list[str] | None] = {}
    for campaign_id, messages in asked.items():
        for id, joined_codes in allocation.allocate(scope, session, campaign_id, messages).items():
            codes[places[id]] = None if joined_codes is None else [*filter(None, joined_codes.split(","))]
    return codes


def reopen(scope: Scope, session: Session, firing_ids: Sequence[int]) -> None:
    """Let firings be concluded anew by what became of their messages."""
    session.execute(REOPEN, {"tenant_id": scope.tenant_id, "ids": list(firing_ids)})
