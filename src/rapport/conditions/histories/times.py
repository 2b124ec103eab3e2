"""Times as statements read them: as numbers, which no time zone of the process shifts."""

from datetime import UTC, datetime, timedelta


def wall(seconds: int) -> datetime:
    """A wall-clock time of the tenant, of the seconds that it is stored as."""
    return datetime(1970, 1, 1) + timedelta(seconds=seconds)


def instant(milliseconds: int) -> datetime:
    """A moment, of the milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
