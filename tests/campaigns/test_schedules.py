"""Days of schedules, splits, statistics: against plain Python."""

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from rapport.campaigns.responses import Response
from rapport.campaigns.schedule import check_schedule, runs_on, send_time, upcoming
from rapport.campaigns.schemas import GroupChannel, Schedule, SeriesBody
from rapport.campaigns.splits import PARTS, cuts, thompson_shares
from rapport.campaigns.statistics import BETTER, TOO_FEW, UNSURE, WORSE, compare
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
        ({"kind": "daily", "weekdays": [1, 2, 3, 4, 5]}, "weekdays is for the kind weekly only, not for daily"),
        ({"kind": "weekly", "days": [1]}, "days is for the kind monthly only, not for weekly"),
        ({"kind": "once", "every": 2}, "every is for the kinds daily, weekly and monthly only, not for once"),
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
    none = thompson_shares(7, [(0, 0), (0, 0), (0, 0)], 0.1)
    assert none == pytest.approx([1 / 3] * 3, abs=0.02) and sum(none) == pytest.approx(1, abs=1e-5)
    some = thompson_shares(7, [(100, 1000), (160, 1000), (90, 1000)], 0.1)
    assert some[1] > 0.75 and min(some) == pytest.approx(0.1, abs=0.01)
    assert some == thompson_shares(7, [(100, 1000), (160, 1000), (90, 1000)], 0.1)
    close = thompson_shares(7, [(100, 1000), (105, 1000)], 0.05)
    exact = np.mean(
        stats.beta.rvs(106, 896, size=200_000, random_state=1) > stats.beta.rvs(101, 901, size=200_000, random_state=2)
    )
    assert close[1] == pytest.approx(0.05 + 0.9 * exact, abs=0.02)


def response(group: int, values: list[float]) -> Response:
    return Response(group, len(values), sum(v > 0 for v in values), sum(values), sum(v * v for v in values))


def test_statistics_against_scipy() -> None:
    generator = random.Random(5)
    ours = [generator.choice([0, 0, 0, generator.uniform(5, 50)]) for _ in range(800)]
    theirs = [generator.choice([0, 0, 0, 0, generator.uniform(5, 50)]) for _ in range(400)]
    found = compare(response(1, ours), response(0, theirs))
    hits = [sum(v > 0 for v in values) for values in (ours, theirs)]
    table = [[hits[0], 800 - hits[0]], [hits[1], 400 - hits[1]]]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.value_p_value == pytest.approx(welch.pvalue)
    assert found.value_interval == pytest.approx(tuple(welch.confidence_interval(0.95)))
    draws = [
        stats.beta.rvs(1 + h, 1 + n - h, size=400_000, random_state=n) for h, n in zip(hits, (800, 400), strict=True)
    ]
    assert found.probability_real == pytest.approx(float(np.mean(draws[0] > draws[1])), abs=0.003)
    low, high = found.uplift_interval
    assert low < found.uplift < high


def test_newcombe_interval_of_the_paper() -> None:
    """Newcombe 1998, table II, example a, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    found = compare(Response(1, 70, 56, 0, 0), Response(0, 80, 48, 0, 0))
    assert found.uplift_interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("group", "control", "verdict"),
    [
        ((10, 3), (10, 1), TOO_FEW),
        ((1000, 0), (1000, 0), TOO_FEW),
        ((1000, 100), (1000, 98), UNSURE),
        ((1000, 150), (1000, 98), BETTER),
        ((1000, 50), (1000, 98), WORSE),
    ],
)
def test_plain_words(group: tuple[int, int], control: tuple[int, int], verdict: str) -> None:
    assert compare(Response(1, *group, 0, 0), Response(0, *control, 0, 0)).verdict == verdict


def test_bodies_are_refused_with_a_reason() -> None:
    one = {"action_id": 2, "channels": [{"channel_id": 5, "template_id": 1}]}
    body = {"name": "x", "target_group_id": 1, "schedule": {"kind": "once", "start_date": "2026-01-01"}}
    with pytest.raises(ValidationError, match="A/B needs two groups"):
        SeriesBody.model_validate({**body, "groups": [one], "campaign_type": "A/B"})
    with pytest.raises(ValidationError, match="shares that add up to 1"):
        SeriesBody.model_validate({**body, "groups": [{**one, "share": 0.4}]})
    with pytest.raises(ValidationError, match="names a channel twice"):
        SeriesBody.model_validate({**body, "groups": [{**one, "channels": one["channels"] * 2}]})  # type: ignore[operator]
    with pytest.raises(ValidationError):
        SeriesBody.model_validate({**body, "groups": [one], "rules": {"exclude_all": True}})
    with pytest.raises(ValidationError):
        GroupChannel(channel_id=5, template_id=1, send_time="24:00")
