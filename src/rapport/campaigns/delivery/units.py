"""A unit of sending: one recipient group on one channel of a campaign; its batches are its durable steps.

A group with an A/B test on the channel is two units, one after the other: those who get the variants, and the rest.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.states import Portion
from rapport.delivery.models import Source
from rapport.delivery.outbox import Mailing
from rapport.notifications.deliverer import OUTSIDE_CLOCK

# Batch numbers of a group: start, then sends, then retries. Batch 0 of a campaign is its processing. Those of the rest
# after an A/B test begin so much later.
SPAN = 1_000_000
RETRIES = 900_000
LATER_SENDS, LATER_RETRIES = 450_000, 50_000


@dataclass(frozen=True)
class Unit:
    """Which group, channel and campaign; execution_date leads to the campaign's rows in the warehouse."""

    campaign: Occurrence
    channel_id: int
    group: int
    portion: Portion = Portion.WHOLE

    @property
    def lease_name(self) -> str:
        """The name of the work of sending to this group on this channel."""
        return f"send/{self.campaign.id}/{self.channel_id}/{self.group}"

    @property
    def start(self) -> int:
        """The batch number of what is decided when the unit begins."""
        return self.group * SPAN + (LATER_SENDS if self.portion is Portion.REST else 0)

    @property
    def retries(self) -> int:
        """The batch number before that of its first retries."""
        return self.group * SPAN + RETRIES + (LATER_RETRIES if self.portion is Portion.REST else 0)

    @property
    def has_own_times(self) -> bool:
        """Whether each customer gets the message at a time of his own."""
        channels = self.campaign.plan.group(self.group).channels
        return any(channel.has_own_times for channel in channels if channel.channel_id == self.channel_id)

    def mailing(self, scope: Scope) -> Mailing:
        """What the messages of its group on the channel are in the outbox."""
        return Mailing(scope.tenant_id, Source.RUN, self.campaign.id, self.channel_id, self.group)

    @property
    def bindings(self) -> dict[str, Any]:
        """What every query about the unit binds."""
        return {
            "execution_date": self.campaign.execution_date,
            "campaign": self.campaign.id,
            "channel": self.channel_id,
            "group": self.group,
            "portion": int(self.portion),
            "start": self.start,
        }


def unit_of(scope: Scope, campaign: Occurrence, channel_id: int, group: int, portion: Portion = Portion.WHOLE) -> Unit:
    """A unit of one of the scope's campaigns."""
    if campaign.tenant_id != scope.tenant_id:
        raise ValueError("The campaign belongs to another tenant.")
    return Unit(campaign, channel_id, group, portion)


def rows_of_unit(scope: Scope, session: Session, unit: Unit) -> list[OccurrenceChannel]:
    """The records rows of a unit, that with the most recipients first: one, or one for each variant of a test."""
    query = select(OccurrenceChannel).where(
        OccurrenceChannel.tenant_id == scope.tenant_id,
        OccurrenceChannel.campaign_id == unit.campaign.id,
        OccurrenceChannel.channel_id == unit.channel_id,
        OccurrenceChannel.recipient_group_id == unit.group,
        OccurrenceChannel.portion == unit.portion,
    )
    return list(session.scalars(query.order_by(OccurrenceChannel.recipients.desc(), OccurrenceChannel.template_id)))


def now_of(scope: Scope, unit: Unit) -> datetime:
    """The present instant for messages of a unit that wait: customers' own times go by the tenants' clock."""
    return scope.clock.now() if unit.has_own_times else OUTSIDE_CLOCK.now()


def row_of(scope: Scope, session: Session, unit: Unit) -> OccurrenceChannel:
    """The records row of a unit. Those of variants that have recipients differ in the template and their number."""
    return rows_of_unit(scope, session, unit)[0]
