"""When a customer gets a message whose channel gives customers times of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from rapport.campaigns.delivery.quiet_hours import quiet_until_in
from rapport.campaigns.plans import PlannedChannel
from rapport.campaigns.settings import Hours
from rapport.campaigns.states import PassedTime, SendTimeZone
from rapport.stores.clock import instant_of

DAY = timedelta(days=1)
# Instead of an hour of the day, for a customer who has no best one.
NO_HOUR = 24


@dataclass(frozen=True)
class Timing:
    """How the customers of a recipient group get their times on a channel. quiet_hours are those that it keeps."""

    send_time: time
    zone: SendTimeZone
    optimised: bool
    passed: PassedTime
    quiet_hours: Hours | None


def timing_of(channel: PlannedChannel, send_time: time, quiet_hours: Hours | None) -> Timing | None:
    """How customers get their times on a channel; None where all have the same."""
    if not channel.has_own_times:
        return None
    passed = channel.passed_time
    return Timing(send_time, channel.send_time_zone, channel.optimise_send_time, passed, quiet_hours)


def due_at(timing: Timing, day: date, zones: Sequence[tzinfo], number: int, hour: int, now: datetime) -> datetime:
    """When a customer of a zone gets the message of a day at his best hour, or at NO_HOUR the send time.

    A time that the clocks skip moves on by the gap; of one that comes twice the first counts. A time that has passed
    is now, or that of the next day. In quiet hours of the customer's zone it is their end.
    """
    is_fixed = hour == NO_HOUR or not timing.optimised
    clock_time = timing.send_time if is_fixed else time(hour)
    zone = zones[0] if is_fixed and timing.zone is SendTimeZone.TENANT else zones[number]
    at = instant_of(datetime.combine(day, clock_time), zone)
    while at < now and timing.passed is PassedTime.NEXT_DAY:
        day += DAY
        at = instant_of(datetime.combine(day, clock_time), zone)
    at = max(at, now)
    return quiet_until_in(zones[number], timing.quiet_hours, at) or at
