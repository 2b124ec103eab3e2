"""Quiet hours: by the tenant's wall clock, so that they begin and end at the same hour all year."""

from datetime import UTC, datetime, time, timedelta

from rapport.access.scope import Scope
from rapport.campaigns.service import QuietHours
from rapport.stores.clock import instant_of

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def quiet_until(scope: Scope, hours: QuietHours | None, now: datetime) -> datetime | None:
    """The instant at which the quiet hours that now lies in end; None when it lies in none.

    Of an end that the clocks skip the moment of the skip counts, of one that comes twice the first that is ahead.
    """
    if hours is None:
        return None
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    wall = now.astimezone(scope.time_zone).replace(tzinfo=None)
    if not _inside(wall.time(), start, end):
        return None
    day = wall.date() if wall.time() < end else wall.date() + DAY
    over = datetime.combine(day, end)
    first = instant_of(over, scope.time_zone)
    if first.astimezone(scope.time_zone).replace(tzinfo=None) != over:
        return _skipped(over, scope, start, end)
    return first if first > now else over.replace(tzinfo=scope.time_zone, fold=1).astimezone(UTC)


def _inside(at: time, start: time, end: time) -> bool:
    return start <= at < end if start < end else at >= start or at < end


def _skipped(over: datetime, scope: Scope, start: time, end: time) -> datetime:
    """The first minute that is not quiet around an end that no clock shows."""
    at = over.replace(tzinfo=scope.time_zone, fold=1).astimezone(UTC)  # as far before the skip as it is long, at most
    while _inside(at.astimezone(scope.time_zone).time(), start, end):
        at += MINUTE
    return at
