"""Quiet hours: by the tenant's wall clock, so that they begin and end at the same hour all year."""

from datetime import UTC, datetime, time, timedelta

from rapport.access.scope import Scope
from rapport.campaigns.service import QuietHours
from rapport.stores.clock import instant_of

DAY = timedelta(days=1)


def quiet_until(scope: Scope, hours: QuietHours | None, now: datetime) -> datetime | None:
    """The instant at which the quiet hours that now lies in end; None when it lies in none.

    An end that the clocks skip is moved on with them; of one that comes twice the first that is ahead counts.
    """
    if hours is None:
        return None
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    wall = now.astimezone(scope.time_zone).replace(tzinfo=None)
    inside = start <= wall.time() < end if start < end else wall.time() >= start or wall.time() < end
    if not inside:
        return None
    day = wall.date() if wall.time() < end else wall.date() + DAY
    over = datetime.combine(day, end)
    first = instant_of(over, scope.time_zone)
    return first if first > now else over.replace(tzinfo=scope.time_zone, fold=1).astimezone(UTC)
