"""Days of schedules, splits, statistics: against plain Python."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from rapport.campaigns.runs.splits import PARTS, Tally, cuts, thompson_shares
from rapport.campaigns.schedule import check_schedule, runs_on, send_time, upcoming
from rapport.campaigns.schemas import Schedule
from rapport.errors import Invalid
from rapport.stores.clock import instant_of

START = date(2026, 1, 28)


def days(schedule: Schedule, count: int) -> list[str]:
    return [day.isoformat() for day, _ in zip(upcoming(schedule, date(2026, 1, 1)), range(count), strict=False)]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"kind": "once"}, ["2026-01-28"]),
        ({"kind": "daily", "every": 3}, ["2026-01-28", "2026-01-31", "2026-02-03"]),
        ({"kind": "daily", "end_date": "2026-01-29"}, ["2026-01-28", "2026-01-29"]),
        ({"kind": "weekly"}, ["2026-01-28", "2026-02-04", "2026-02-11"]),
        ({"kind": "weekly", "weekdays": [1, 5], "every": 2}, ["2026-01-30", "2026-02-09", "2026-02-13"]),
        ({"kind": "monthly", "days": [31]}, ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ({"kind": "monthly", "every": 2}, ["2026-01-28", "2026-03-28", "2026-05-28"]),
        ({"kind": "cron", "cron": "30 9 1,15 * *"}, ["2026-02-01", "2026-02-15", "2026-03-01"]),
        ({"kind": "cron", "cron": "0 0 29 2 *"}, ["2028-02-29", "2032-02-29", "2036-02-29"]),
    ],
)
def test_days(more: dict[str, object], expected: list[str]) -> None:
    schedule = Schedule.model_validate({"start_date": START.isoformat(), **more})
    assert days(schedule, 3) == expected
    assert all(runs_on(schedule, date.fromisoformat(day)) for day in expected)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"kind": "daily", "weekdays": [1, 2, 3, 4, 5]}, "weekdays applies only to the kind weekly, not to daily"),
        ({"kind": "weekly", "days": [1]}, "days applies only to the kind monthly, not to weekly"),
        ({"kind": "once", "every": 2}, "every applies only to the kinds daily, weekly and monthly, not to once"),
    ],
)
def test_a_member_that_a_kind_does_not_go_by_is_refused(more: dict[str, object], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        check_schedule(Schedule.model_validate({"start_date": START.isoformat(), **more}))


@pytest.mark.parametrize("cron", ["* 9 * * *", "0 9,17 * * *", "0 9 * *", "0 99 * * *", "0 9 * * * *"])
def test_cron_runs_at_most_once_a_day(cron: str) -> None:
    with pytest.raises(ValidationError, match="cron must"):
        Schedule(kind="cron", start_date=START, cron=cron)


def test_send_time_of_channel_schedule_and_tenant() -> None:
    cron = Schedule(kind="cron", start_date=START, cron="15 18 * * *")
    daily = Schedule(kind="daily", start_date=START)
    assert send_time(cron, None, "09:00") == time(18, 15)
    assert send_time(cron, "10:05", "09:00") == time(10, 5)
    assert send_time(daily, None, "09:00") == time(9)


def test_a_daily_send_in_a_gap_or_fold_happens_once_a_day() -> None:
    """02:30 in Berlin: skipped on 2026-03-29, twice on 2026-10-25."""
    zone = ZoneInfo("Europe/Berlin")
    for first in (date(2026, 3, 28), date(2026, 10, 24)):
        instants = [instant_of(datetime.combine(first + timedelta(n), time(2, 30)), zone) for n in range(3)]
        assert [instant.astimezone(zone).date() for instant in instants] == [first + timedelta(n) for n in range(3)]
    assert instant_of(datetime(2026, 3, 29, 2, 30), zone) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert instant_of(datetime(2026, 10, 25, 2, 30), zone) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=26))
def test_cuts_cover_everything_in_order(shares: list[float]) -> None:
    found = cuts(shares)
    assert found == sorted(found) and found[-1] == PARTS and len(found) == len(shares)
    edges = [0, *found]
    for share, low, high in zip(shares, edges, found, strict=False):
        assert (high - low) / PARTS == pytest.approx(share / sum(shares), abs=2 / PARTS)


def test_thompson_gives_more_to_the_better_and_something_to_all() -> None:
    def shares(*counts: tuple[int, int], least: float = 0.1) -> list[float]:
        return thompson_shares(
            7, [{(1, n): Tally.of_share(*one) for n, one in enumerate(counts, 1)}], len(counts), least
        )

    none = shares((0, 0), (0, 0), (0, 0))
    assert none == pytest.approx([1 / 3] * 3, abs=0.02) and sum(none) == pytest.approx(1, abs=1e-5)
    some = shares((100, 1000), (160, 1000), (90, 1000))
    assert some[1] > 0.75 and min(some) == pytest.approx(0.1, abs=0.01)
    assert some == shares((100, 1000), (160, 1000), (90, 1000))
    close = shares((100, 1000), (105, 1000), least=0.05)
    exact = np.mean(
        stats.beta.rvs(106, 896, size=200_000, random_state=1) > stats.beta.rvs(101, 901, size=200_000, random_state=2)
    )
    assert close[1] == pytest.approx(0.05 + 0.9 * exact, abs=0.02)


def test_thompson_learns_within_runs_and_classes() -> None:
    """Group 1 had most of a good week, group 2 most of a bad one; group 3 reaches people who buy more, in vain."""
    weeks = [
        {(1, 1): (200, 1000), (1, 2): (23, 100), (1, 0): (40, 200), (3, 3): (500, 1000), (3, 0): (101, 200)},
        {(1, 1): (2, 100), (1, 2): (50, 1000), (1, 0): (6, 200), (3, 3): (400, 1000), (3, 0): (82, 200)},
    ]
    tallies = [{key: Tally.of_share(10 * hits, 10 * size) for key, (hits, size) in week.items()} for week in weeks]
    assert thompson_shares(7, tallies, 3, 0.05)[1] > 0.85
    sums = {(1, 1): (202, 1100), (1, 2): (73, 1100), (1, 3): (900, 2000)}
    together = [{key: Tally.of_share(*counts) for key, counts in sums.items()}]
    assert thompson_shares(7, together, 3, 0.05)[2] > 0.85  # what the sums say
