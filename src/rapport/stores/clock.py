"""The one clock. Everything that needs the time asks it, so that tests, backfills and demos can move it."""

import threading
from datetime import UTC, date, datetime, timedelta
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


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall-clock time: the first of two in a DST fold, moved on by the gap in a gap."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
