"""The places of a run: each recipient group on each of its channels, with what is sent there and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.definitions import codes_of
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.models import CONTROL_ACTION_ID, Occurrence
from rapport.campaigns.plans import PlannedTest
from rapport.campaigns.runs.timings import Timing, timing_of
from rapport.campaigns.schedule import send_time
from rapport.campaigns.settings import CampaignSettings


@dataclass(frozen=True)
class Place:
    """One recipient group on one channel. position counts the run's channels from 1; times are tenant wall clock."""

    group: int
    channel_id: int
    position: int
    template_id: int
    action_id: int
    promo_code: str
    scheduled_time: datetime
    timing: Timing | None = None  # of customers with times of their own
    ab_test: PlannedTest | None = None

    @property
    def codes(self) -> list[str]:
        """The promo codes one by one."""
        return self.promo_code.split(",") if self.promo_code else []


def places_of(scope: Scope, campaign: Occurrence) -> list[Place]:
    """Every group and channel of a run."""
    schedule = campaign.plan.days
    settings = tenant_settings(scope, CampaignSettings)
    channel_ids = sorted(campaign.plan.channel_ids)
    places = []
    for number, group in enumerate(campaign.plan.groups, start=1):
        codes = codes_of(scope, group)
        for channel in group.channels:
            at = send_time(schedule, channel.send_time, settings.default_send_time)
            timing = timing_of(channel, at, quiet_hours.hours_of(scope, campaign, channel.channel_id))
            place = Place(
                group=number,
                channel_id=channel.channel_id,
                position=channel_ids.index(channel.channel_id) + 1,
                template_id=channel.template_id,
                action_id=group.action_id,
                promo_code=",".join(codes),
                scheduled_time=datetime.combine(campaign.send_date, at),
                timing=timing,
                ab_test=channel.ab_test,
            )
            places.append(place)
    return places


def control_place(places: Sequence[Place]) -> Place:
    """Where the control group stands among the places of a run."""
    return Place(0, 0, 0, 0, CONTROL_ACTION_ID, "", min(place.scheduled_time for place in places))


def scheduled_times(places: Sequence[Place]) -> list[int]:
    """The times of places as the warehouse takes them: wall-clock times as if they were UTC."""
    return [seconds_of(place.scheduled_time) for place in places]


def seconds_of(at: datetime) -> int:
    """A wall-clock time as if it were UTC."""
    return int(at.replace(tzinfo=UTC).timestamp())


def placement(places: Sequence[Place]) -> dict[str, Any]:
    """What the statements bind that go through the places of a run."""
    return {
        "channels": [place.channel_id for place in places],
        "groups": [place.group for place in places],
        "positions": [place.position for place in places],
    }
