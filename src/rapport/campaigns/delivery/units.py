"""A unit of sending: one recipient group on one channel of a campaign; its batches are its durable steps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.delivery.models import Source
from rapport.delivery.outbox import Mailing
from rapport.notifications.deliverer import OUTSIDE_CLOCK

# Batch numbers of a unit: start, then sends, then retries. Batch 0 of a campaign is its processing.
SPAN = 1_000_000
RETRIES = 900_000


@dataclass(frozen=True)
class Unit:
    """Which group, channel and campaign; execution_date leads to the campaign's rows in the warehouse."""

    campaign: Occurrence
    channel_id: int
    group: int

    @property
    def lease_name(self) -> str:
        """The name of the work of sending this unit."""
        return f"send/{self.campaign.id}/{self.channel_id}/{self.group}"

    @property
    def start(self) -> int:
        """The batch number of what is decided when the unit begins."""
        return self.group * SPAN

    @property
    def has_own_times(self) -> bool:
        """Whether each customer gets the message at a time of his own."""
        channels = self.campaign.plan.group(self.group).channels
        return any(channel.has_own_times for channel in channels if channel.channel_id == self.channel_id)

    def mailing(self, scope: Scope) -> Mailing:
        """What the unit's messages are in the outbox."""
        return Mailing(scope.tenant_id, Source.RUN, self.campaign.id, self.channel_id, self.group)

    @property
    def bindings(self) -> dict[str, Any]:
        """What every query about the unit binds."""
        return {
            "execution_date": self.campaign.execution_date,
            "campaign": self.campaign.id,
            "channel": self.channel_id,
            "group": self.group,
            "start": self.start,
        }


def unit_of(scope: Scope, campaign: Occurrence, channel_id: int, group: int) -> Unit:
    """A unit of one of the scope's campaigns."""
    if campaign.tenant_id != scope.tenant_id:
        raise ValueError("The campaign belongs to another tenant.")
    return Unit(campaign, channel_id, group)


def now_of(scope: Scope, unit: Unit) -> datetime:
    """The present instant for messages of a unit that wait: customers' own times go by the tenants' clock."""
    return scope.clock.now() if unit.has_own_times else OUTSIDE_CLOCK.now()


def row_of(scope: Scope, session: Session, unit: Unit) -> OccurrenceChannel:
    """The records row of a unit: a group has one template on a channel."""
    return (
        session.query(OccurrenceChannel)
        .filter_by(
            tenant_id=scope.tenant_id,
            campaign_id=unit.campaign.id,
            channel_id=unit.channel_id,
            recipient_group_id=unit.group,
        )
        .one()
    )
