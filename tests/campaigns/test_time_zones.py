"""Time zones as customers' attributes name them, and the instants of send times; by zoneinfo, minute by minute."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.campaigns.runs.time_zones import name_of, offset_changes, zone_named
from rapport.campaigns.runs.timings import NO_HOUR, Timing, due_at
from rapport.campaigns.settings import Hours
from rapport.campaigns.states import PassedTime, SendTimeZone

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NIGHT = Hours(start="22:00", end="08:00")


def timing(at: str, passed: PassedTime = PassedTime.AT_ONCE, quiet: Hours | None = None) -> Timing:
    return Timing(time.fromisoformat(at), SendTimeZone.CUSTOMER, optimised=True, passed=passed, quiet_hours=quiet)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first minute at which the clock of a zone shows a time; where it skips it, as long after the skip."""
    at = wall.replace(tzinfo=UTC) - DAY
    shown = [(at + n * MINUTE, (at + n * MINUTE).astimezone(zone).replace(tzinfo=None)) for n in range(2 * 24 * 60)]
    for instant, clock in shown:
        if clock == wall:
            return instant
    before, clock = max((instant, clock) for instant, clock in shown if clock < wall)
    return before + (wall - clock)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin", BERLIN),
        (" europe/BERLIN ", BERLIN),
        ("UTC", ZoneInfo("UTC")),
        ("+02:00", timezone(timedelta(hours=2))),
        ("-0330", timezone(-timedelta(hours=3, minutes=30))),
        ("UTC+5:45", timezone(timedelta(hours=5, minutes=45))),
        ("gmt -8", timezone(-timedelta(hours=8))),
        ("5.5000", timezone(timedelta(hours=5, minutes=30))),
        ("-3", timezone(-timedelta(hours=3))),
        ("+14", timezone(timedelta(hours=14))),
        ("+14:30", None),
        ("+2:75", None),
        ("Berlin", None),
        ("../../etc/passwd", None),
        ("", None),
    ],
)
def test_a_zone_is_read_as_it_is_written(text: str, zone: object) -> None:
    named = zone_named(text)
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    if zone is None:
        assert named is None
    else:
        assert named is not None
        assert at.astimezone(named).utcoffset() == at.astimezone(zone).utcoffset()  # type: ignore[arg-type]
        assert zone_named(name_of(named)) == named


@pytest.mark.parametrize(
    ("zone", "day", "at"),
    [
        ("Europe/Berlin", "2026-03-29", "02:30"),  # skipped
        ("Europe/Berlin", "2026-10-25", "02:30"),  # twice
        ("America/New_York", "2026-03-08", "02:00"),
        ("America/New_York", "2026-11-01", "01:59"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15"),  # by half an hour
        ("Australia/Lord_Howe", "2026-04-05", "01:45"),
        ("Asia/Kolkata", "2026-03-29", "02:30"),
        ("Pacific/Kiritimati", "2026-03-29", "00:00"),
    ],
)
def test_a_send_time_on_the_day_of_a_change_of_clocks(zone: str, day: str, at: str) -> None:
    wall = datetime.fromisoformat(f"{day}T{at}")
    due = due_at(timing(at), wall.date(), [BERLIN, ZoneInfo(zone)], 1, NO_HOUR, LONG_AGO)
    assert due == first_instant(wall, ZoneInfo(zone))


def test_a_time_that_has_passed_is_now_or_tomorrow() -> None:
    now = datetime(2026, 3, 10, 7, 30, tzinfo=UTC)
    zones = [BERLIN, ZoneInfo("Asia/Tokyo")]
    assert due_at(timing("10:00"), date(2026, 3, 10), zones, 1, NO_HOUR, now) == now
    tomorrow = timing("10:00", PassedTime.NEXT_DAY)
    assert due_at(tomorrow, date(2026, 3, 10), zones, 1, NO_HOUR, now) == datetime(2026, 3, 11, 1, tzinfo=UTC)
    assert due_at(tomorrow, date(2026, 3, 10), zones, 0, NO_HOUR, now) == datetime(2026, 3, 10, 9, tzinfo=UTC)
    # 16:30 in Tokyo is no quiet hour; 20:30 in Auckland neither, at an hour later than the next 22:00 it is.
    quiet = timing("07:00", quiet=NIGHT)
    assert due_at(quiet, date(2026, 3, 10), zones, 1, NO_HOUR, now) == now
    late = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)  # 22:30 in Tokyo
    assert due_at(quiet, date(2026, 3, 10), zones, 1, NO_HOUR, late) == datetime(2026, 3, 10, 23, tzinfo=UTC)
    assert due_at(quiet, date(2026, 3, 11), zones, 1, NO_HOUR, late) == datetime(2026, 3, 10, 23, tzinfo=UTC)


def test_a_best_hour_is_by_the_customers_clock_and_the_send_time_by_that_which_is_asked_for() -> None:
    tenant_time = Timing(time(9), SendTimeZone.TENANT, optimised=True, passed=PassedTime.AT_ONCE, quiet_hours=None)
    zones = [BERLIN, ZoneInfo("America/New_York")]
    assert due_at(tenant_time, date(2026, 3, 10), zones, 1, NO_HOUR, LONG_AGO) == datetime(2026, 3, 10, 8, tzinfo=UTC)
    assert due_at(tenant_time, date(2026, 3, 10), zones, 1, 20, LONG_AGO) == datetime(2026, 3, 11, 0, tzinfo=UTC)


@given(
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Tokyo"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),
    st.integers(0, 90 * 24 * 60),
)
def test_offsets_of_a_zone_over_a_window(name: str, begin: datetime, minutes: int) -> None:
    zone, since = ZoneInfo(name), begin.replace(tzinfo=UTC, microsecond=0)
    offset, changes = offset_changes(zone, since, since + 90 * DAY)
    at = since + minutes * MINUTE
    worked_out = offset + sum(step for changes_at, step in changes if at.timestamp() >= changes_at)
    assert timedelta(seconds=worked_out) == at.astimezone(zone).utcoffset()
