"""Handing over: outside channels pull their lists, so these are ready and told as soon as a campaign may be sent.

That is right after its processing, for conditional campaigns after the clearance, for those that the blast guard
held after the confirmation. The vendor sends at the scheduled time. Until then the campaign can be canceled, and
the recipients have no outcome: whoever opts out leaves the list when its time comes.
"""

from typing import Any

from sqlalchemy import Select, select

from rapport.access.scope import Scope
from rapport.campaigns.delivery import engagements, recipient_codes, sending
from rapport.campaigns.delivery.completion import OPEN, rows_of, tell_channel, tell_executed
from rapport.campaigns.delivery.units import Unit, unit_of
from rapport.campaigns.leases import lease
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import locked, occurrence
from rapport.channels import service as channels
from rapport.stores.workers.listening import Topic, publish


def to_hand_over(tenant_id: Any) -> Select[Any]:
    """A SELECT of the ids of campaigns of a tenant (or of a column's) that may be sent and were not handed over."""
    return select(Occurrence.id).where(
        Occurrence.tenant_id == tenant_id,
        Occurrence.state.in_(OPEN),
        Occurrence.handed_over_at.is_(None),
        Occurrence.is_triggered.is_(False),
    )


def waiting(scope: Scope) -> list[int]:
    """Campaigns that may be sent and were not handed over, by id."""
    with scope.reads() as session:
        return list(session.scalars(to_hand_over(scope.tenant_id).order_by(Occurrence.id)))


def pulled_units(scope: Scope, campaign_id: int) -> list[Unit]:
    """The units of a campaign that outside systems are to pull, by channel and group; none once it was handed over."""
    campaign = occurrence(scope, campaign_id)
    if campaign.handed_over_at or campaign.state not in OPEN:
        return []
    with scope.reads() as session:
        rows = [row for row in rows_of(scope, session, campaign_id) if row.state in OPEN]
    pulled = channels.pulled(scope)
    places = sorted((row.channel_id, row.recipient_group_id) for row in rows if row.channel_id in pulled)
    return [unit_of(scope, campaign, *place) for place in places]


def prepare(scope: Scope, unit: Unit) -> None:
    """Make a unit's list ready and tell event 14 of its files. Who was suppressed since processing leaves it first, as
    does whoever should have a unique promo code when none is left.

    May be repeated, also at the same time; nothing is done once the campaign was handed over.
    """
    with lease(scope, f"hand over/{unit.campaign.id}/{unit.channel_id}/{unit.group}"):
        if occurrence(scope, unit.campaign.id).handed_over_at is None:
            sending.take_out(scope, unit)
            if recipient_codes.give(scope, unit):
                sending.withdraw(scope, unit)
            engagements.hand_over(scope, unit)


def tell(scope: Scope, campaign_id: int) -> None:
    """Make it known, once: event 13 of every outside channel all of whose lists are ready, and event 1."""
    pulled = {unit.channel_id for unit in pulled_units(scope, campaign_id)}
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.handed_over_at or campaign.state not in OPEN:
            return
        campaign.handed_over_at = scope.clock.now()
        rows = rows_of(scope, session, campaign_id)
        for channel_id in sorted(pulled):
            tell_channel(scope, session, campaign_id, channel_id, rows)
        if any(row.recipients for row in rows if row.channel_id in pulled and row.state in OPEN):
            tell_executed(scope, session, campaign, rows)
        publish(session, Topic.SCHEDULE, scope.tenant_id)  # its other channels are sent at their times


def hand_over(scope: Scope, campaign_id: int) -> None:
    """Prepare and tell everything of a campaign that outside systems pull. May be repeated."""
    for unit in pulled_units(scope, campaign_id):
        prepare(scope, unit)
    tell(scope, campaign_id)
