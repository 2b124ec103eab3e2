"""Customers come into journeys on the day of a date, each once, and wait for the hours of their own time zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from journey_world import journey, members
from trigger_world import NOW, add_customers, event, process

from rapport.access.scope import Scope
from rapport.customers import changes
from rapport.customers.attributes import AttributeInfo
from rapport.errors import Invalid
from rapport.journeys import dates, definitions
from rapport.journeys.schemas import JourneyBody
from rapport.journeys.states import JourneyStatus

STAYING = {"id": "pause", "kind": "wait", "minutes": 100_000}
BERLIN = ZoneInfo("Europe/Berlin")
TODAY = NOW.astimezone(BERLIN).date()


def minutes_until(day: date, hour: int, minute: int = 0) -> float:
    """How many minutes after NOW it is a time of a day in Berlin."""
    return (datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN) - NOW) / timedelta(minutes=1)


def born(scope: Scope, days: dict[str, date]) -> None:
    add_customers(scope, [{"customer_id": name, "DATE_OF_BIRTH": day} for name, day in days.items()])


def test_each_birthday_brings_its_customers_in_at_the_time_of_the_tenant(world: Scope) -> None:
    tomorrow = TODAY + timedelta(days=1)
    born(
        world,
        {
            "B1": tomorrow.replace(year=1980),
            "B2": tomorrow.replace(year=1999),
            "B3": (tomorrow + timedelta(days=1)).replace(year=1980),
            "B4": TODAY.replace(year=1980),
            "B5": tomorrow,  # born on that day: no anniversary
        },
    )
    entry = {"kind": "date", "attribute": " date_of_birth ", "time": "09:30"}
    made = journey(world, STAYING, entry=entry, re_entry="unlimited")
    process(world, minutes_until(tomorrow, 9, 29))
    assert members(world, made) == {}
    process(world, minutes_until(tomorrow, 9, 30))
    process(world, minutes_until(tomorrow, 20))
    assert set(members(world, made)) == {"B1", "B2"}
    process(world, minutes_until(tomorrow + timedelta(days=1), 9, 30))
    assert set(members(world, made)) == {"B1", "B2", "B3"}


@pytest.mark.parametrize(("days_before", "expected"), [(7, {"R1"}), (-7, {"R2"}), (0, {"R3"})])
def test_a_date_that_comes_once_counts_days_before_and_after(
    world: Scope, days_before: int, expected: set[str]
) -> None:
    changes.create_attribute(world, AttributeInfo("RENEWAL", "Renewal", "", "Datetime", "batch"))
    tomorrow = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 59, tzinfo=UTC) + timedelta(days=1)  # a wall-clock time
    places = {"R1": 7, "R2": -7, "R3": 0, "R4": 8}
    rows = [{"customer_id": name, "RENEWAL": tomorrow + timedelta(days=days)} for name, days in places.items()]
    add_customers(world, [*rows, {"customer_id": "R5", "RENEWAL": tomorrow.replace(year=tomorrow.year - 1)}])
    made = journey(
        world,
        STAYING,
        entry={"kind": "date", "attribute": "RENEWAL", "each_year": False, "days_before": days_before, "time": "06:00"},
    )
    process(world, minutes_until(tomorrow.date(), 6))
    assert set(members(world, made)) == expected


def test_pages_of_a_day_bring_everybody_in_once(world: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "AT_ONCE", 3)
    tomorrow = TODAY + timedelta(days=1)
    born(world, {f"B{n}": tomorrow.replace(year=1980) for n in range(9)})
    made = journey(world, STAYING, entry={"kind": "date", "attribute": "DATE_OF_BIRTH"})
    for _ in range(4):
        process(world, minutes_until(tomorrow, 9))
    assert set(members(world, made)) == {f"B{n}" for n in range(9)}
    stored, _ = definitions.journey(world, made.id)
    assert stored.dates_at == NOW + timedelta(minutes=minutes_until(tomorrow + timedelta(days=1), 9))


def test_a_day_that_is_over_is_not_made_up_for(world: Scope) -> None:
    tomorrow = TODAY + timedelta(days=1)
    born(world, {"B1": tomorrow.replace(year=1980), "B2": (tomorrow + timedelta(days=2)).replace(year=1980)})
    made = journey(world, STAYING, entry={"kind": "date", "attribute": "DATE_OF_BIRTH"})
    definitions.set_status(world, made.id, JourneyStatus.PAUSED)
    process(world, minutes_until(tomorrow, 12))
    definitions.set_status(world, made.id, JourneyStatus.ACTIVE)
    process(world, minutes_until(tomorrow + timedelta(days=1), 8))
    assert members(world, made) == {}
    process(world, minutes_until(tomorrow + timedelta(days=2), 9))
    assert set(members(world, made)) == {"B2"}


@pytest.mark.parametrize(
    ("attribute", "sentence"),
    [
        ("SHOE_SIZE", "entry.attribute names 'SHOE_SIZE', which is not an attribute."),
        ("country", "entry.attribute names 'country', which is Varchar, not a date."),
    ],
)
def test_an_attribute_that_is_no_date_is_refused(world: Scope, attribute: str, sentence: str) -> None:
    body = {"name": "Birthday", "entry": {"kind": "date", "attribute": attribute}, "steps": [STAYING]}
    with pytest.raises(Invalid) as refused:
        definitions.create_journey(world, JourneyBody.model_validate(body))
    assert refused.value.message == sentence


def test_customers_wait_for_the_hour_of_their_own_time_zone(world: Scope) -> None:
    changes.create_attribute(world, AttributeInfo("TIMEZONE", "Time zone", "", "Varchar", "batch"))
    zones = {"Z1": "America/New_York", "Z2": "+09:00", "Z3": "the moon", "Z4": ""}
    add_customers(world, [{"customer_id": name, "TIMEZONE": zone} for name, zone in zones.items()])
    made = journey(world, {"id": "ten", "kind": "wait_until", "time": "10:00", "time_zone": "customer"})
    for name in zones:
        event(world, "page_view", name)
    process(world, 0)
    shown = {"Z1": ZoneInfo("America/New_York"), "Z2": ZoneInfo("Asia/Tokyo"), "Z3": BERLIN, "Z4": BERLIN}
    for name, member in members(world, made).items():
        assert member.due_at is not None
        assert f"{member.due_at.astimezone(shown[name]):%H:%M}" == "10:00"
        assert timedelta() < member.due_at - NOW <= timedelta(days=1)
