"""Firings that go out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import PlannedGroup
from rapport.realtime.matching.reachability import Fault
from rapport.redemptions.allocation import SEPARATOR


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A firing that goes out now. faults: the channels of its group on which the person cannot be reached.

    rewards are texts by name: what promotions grant the customer.
    """

    firing_id: int
    campaign: Occurrence
    group: int
    customer_id: str
    is_visitor: bool
    parameters: Mapping[str, Any]
    faults: Mapping[int, Fault]
    rewards: Mapping[str, str] = field(default_factory=dict)

    @property
    def reaches(self) -> bool:
        """Whether the person can be reached on some channel."""
        return any(channel.channel_id not in self.faults for channel in self.plan.channels)

    @property
    def promo_codes(self) -> str:
        """The promo codes of its group, joined with ','."""
        return SEPARATOR.join(self.plan.promo_codes or ())

    @property
    def plan(self) -> PlannedGroup:
        """The recipient group as the campaign planned it."""
        return self.campaign.plan.group(self.group)

    @property
    def message_to(self) -> str:
        """The CustomerID of its messages; empty for a visitor."""
        return "" if self.is_visitor else self.customer_id
