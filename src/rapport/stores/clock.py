"""The one clock. Everything that needs the time asks it, so that tests, backfills and demos can move it."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


class Clock:
    """Tells instants in UTC and calendar days in a tenant's zone; may be set to stand at an instant."""

    def __init__(self) -> None:
        self._fixed: datetime | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        with self._lock:
            return self._fixed or datetime.now(UTC)

    def local(self, zone: ZoneInfo) -> datetime:
        """The present wall-clock time of a zone, naive and to the second, as *_time columns hold it."""
        return self.now().astimezone(zone).replace(tzinfo=None, microsecond=0)

    def today(self, zone: ZoneInfo) -> date:
        """The present calendar day of a zone."""
        return self.now().astimezone(zone).date()

    def set(self, instant: datetime | None) -> None:
        """Stand at an aware instant, or run again when given None."""
        with self._lock:
            self._fixed = instant.astimezone(UTC) if instant else None

    def advance(self, step: timedelta) -> None:
        """Move a standing clock on."""
        self.set(self.now() + step)


class SharedClock(Clock):
    """The clock of the records database, by which all processes agree whatever their own say.

    What one process leases and another judges goes by it. It is read from time to time and runs on by itself between.
    """

    def __init__(self) -> None:
        super().__init__()
        self._read: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The present instant of the database, aware, in UTC; this process's own before it was ever read."""
        read = self._read
        if self._fixed is not None or read is None:
            return super().now()
        return read[0] + timedelta(seconds=time.monotonic() - read[1])

    def keep_with(self, read: Callable[[], datetime]) -> timedelta:
        """Read the database's clock; how far this machine's is ahead of it."""
        before = time.monotonic()
        instant = read().astimezone(UTC)
        after = time.monotonic()
        own = datetime.now(UTC) - timedelta(seconds=(after - before) / 2)
        self._read = instant, (before + after) / 2
        return own - instant


# What goes out lives in real time, whatever day a demo or a backfill has moved the tenants' clock to.
OUTSIDE = SharedClock()


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """The UTC instant of a naive wall-clock time: the first of two in a DST fold, moved on by the gap in a gap."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show at an instant, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def instant_sql(wall: str, zone: str) -> str:
    """instant_of as SQL: wall is a DateTime64 that reads as the wall clock and bears the zone UTC; so is the answer.

    A day before and a day after lie on either side of a change of clocks. Only where the offset from before
    does not give the wall-clock time and the one from after does, the latter is taken.
    """
    before, after = (_offset_sql(f"addDays(wall, {days})", zone) for days in (-1, 1))
    fits = [f"{_offset_sql(f'subtractSeconds(wall, {offset})', zone)} = {offset}" for offset in ("before", "after")]
    offset = f"if(before != after AND NOT ({fits[0]}) AND {fits[1]}, after, before)"
    shifted = f"arrayMap((before, after) -> subtractSeconds(wall, {offset}), [{before}], [{after}])[1]"
    return f"arrayMap(wall -> {shifted}, [{wall}])[1]"


def wall_sql(instant: str, zone: str) -> str:
    """SQL of the wall-clock time of a DateTime64 in UTC, as a DateTime64 that bears the zone UTC."""
    return f"arrayMap(instant -> addSeconds(instant, {_offset_sql('instant', zone)}), [{instant}])[1]"


def _offset_sql(instant: str, zone: str) -> str:
    return f"timezoneOffset(toTimeZone({instant}, '{zone}'))"
