"""When a request that was accepted is carried out: at once, at an instant, or at a time of each customer's own zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.stores.clock import instant_of

# Nothing is planned further ahead, and a time that has just passed is now.
FURTHEST, JUST_NOW = timedelta(days=365), timedelta(minutes=1)


class Strategy(StrEnum):
    """Whose clock a time is read on: UTC, or that of each customer's device."""

    UTC = "utc"
    LOCAL = "local"


@dataclass(frozen=True)
class Schedule:
    """A time (naive) and whose clock it is read on."""

    send_at: datetime
    strategy: Strategy = Strategy.UTC


def send_time(text: str) -> datetime:
    """A time as senders write it, to the minute or finer; one with an offset is turned into UTC. Raises Invalid."""
    try:
        at = datetime.fromisoformat(text.strip())
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    except (ValueError, OverflowError) as error:
        raise Invalid("schedule.sendAt must be a time such as 2026-02-03 09:30.") from error


def due_times(scope: Scope, schedule: Schedule | None, zones: Mapping[str, str]) -> dict[str, datetime | None]:
    """The instant for each customer, None for at once; zones has the customers with the zones of their devices.

    Customers whose time has passed are left out; one without a zone has the tenant's. Raises Invalid for a time that is
    too far away, or has passed for all.
    """
    if schedule is None:
        return dict.fromkeys(zones)
    now = OUTSIDE_CLOCK.now()
    instants = {customer_id: _instant(scope, schedule, zone) for customer_id, zone in zones.items()}
    if any(at > now + FURTHEST for at in instants.values()):
        raise Invalid(f"schedule.sendAt must be within {FURTHEST.days} days.")
    due: dict[str, datetime | None] = {who: at for who, at in instants.items() if at > now - JUST_NOW}
    if zones and not due:
        raise Invalid("schedule.sendAt has passed.")
    return due


def _instant(scope: Scope, schedule: Schedule, zone: str) -> datetime:
    if schedule.strategy is Strategy.UTC:
        return schedule.send_at.replace(tzinfo=UTC)
    try:
        return instant_of(schedule.send_at, ZoneInfo(zone) if zone else scope.time_zone)
    except (ValueError, OSError):
        return instant_of(schedule.send_at, scope.time_zone)
