"""Who comes into a target group and who leaves it: told to listeners once a day, and read by pages."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import delete, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import groups, membership
from rapport.audiences.models import Snapshot, TargetGroup
from rapport.campaigns.cycle.daily import _follow_groups
from rapport.errors import Invalid
from rapport.notifications import service as notifications
from rapport.notifications.models import Delivery

DAYS = [date(2026, 3, 26) + timedelta(n) for n in range(3)]
GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}
# Who is German on each day: 1 comes and 5 to 7 leave, then nothing changes.
GERMANS = [[0, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


@pytest.fixture(autouse=True)
def group(scope: Scope) -> TargetGroup:
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    with scope.records() as session:
        for table in (TargetGroup, Snapshot, Delivery):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id))
    scope.warehouse.execute("TRUNCATE TABLE target_group_members")
    if not scope.warehouse.value("SELECT count() FROM profiles"):
        rows = [
            (d, f"C{n}", "DE" if n in some else "FR") for d, some in zip(DAYS, GERMANS, strict=True) for n in range(9)
        ]
        scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], rows)
    notifications.register_listener(scope, notifications.GROUP_CHANGED, "http://127.0.0.1:9/groups")
    return groups.create_target_group(scope, "Germans", GERMAN, tells_changes=True)


def live(scope: Scope, *days: date) -> list[dict[str, Any]]:
    """What is told when the daily cycles of some days come to the groups."""
    for day in days:
        with scope.records() as session:
            session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
        _follow_groups(scope.tenant_id, day.isoformat(), [])
    return [orjson.loads(one.body) for one in reversed(notifications.deliveries(scope))]


def test_a_day_on_which_customers_came_and_went_is_told_once(scope: Scope, group: TargetGroup) -> None:
    assert live(scope, DAYS[0]) == [], "here it begins"
    (told,) = live(scope, DAYS[1])
    expected = {"EventTypeID": 101, "TimeStamp": "2026-03-29 10:00", "TargetGroupID": group.id}
    expected |= {"TargetGroupName": "Germans", "Date": "2026-03-27", "SinceDate": "2026-03-26", "Entered": 1, "Left": 3}
    assert told == expected
    assert live(scope, DAYS[1]) == live(scope, DAYS[2]) == [expected], "run again, and nobody came or went"


def test_a_day_that_was_missed_is_made_up_for_by_the_next(scope: Scope) -> None:
    (told,) = live(scope, DAYS[0], DAYS[2])
    assert (told["SinceDate"], told["Date"], told["Entered"], told["Left"]) == ("2026-03-26", "2026-03-28", 1, 3)
    _follow_groups(scope.tenant_id, DAYS[1].isoformat(), [])
    assert len(notifications.deliveries(scope)) == 1, "an older day is not told"


def test_groups_that_do_not_tell_and_faulty_ones_hold_up_no_other(scope: Scope, group: TargetGroup) -> None:
    silent = groups.create_target_group(scope, "Silent", GERMAN)
    gone = groups.create_target_group(scope, "Gone", GERMAN, priority=1, tells_changes=True)
    with scope.records() as session:
        broken = {"attribute": "NO_SUCH", "operator": "equals", "value": 1}
        session.execute(
            update(TargetGroup)
            .where(TargetGroup.tenant_id == scope.tenant_id, TargetGroup.id == gone.id)
            .values(definition=broken, id=group.id - 1000)
        )
    assert [one["TargetGroupID"] for one in live(scope, *DAYS)] == [group.id]
    assert membership.snapshot(scope, silent.id, DAYS[2]) is None
    groups.update_target_group(scope, group.id, tells_changes=False)
    scope.warehouse.execute("TRUNCATE TABLE target_group_members")
    assert len(live(scope, DAYS[2])) == 1


def test_who_came_and_went_is_read_by_pages(scope: Scope, api: httpx.Client, group: TargetGroup) -> None:
    live(scope, *DAYS)
    path = f"/manage/v1/target-groups/{group.id}/changes"
    asked = {"data_date": "2026-03-27", "since": "2026-03-26"}
    whole = api.get(path, params=asked).raise_for_status().json()
    assert (whole["entered"], whole["left"]) == (1, 3)
    changed = [(one["customer_id"], one["change"]) for one in whole["customers"]]
    assert changed == [("C1", "entered"), ("C5", "left"), ("C6", "left"), ("C7", "left")]
    paged = api.get(path, params={**asked, "limit": "2", "after": "C1"}).json()
    assert paged["customers"] == whole["customers"][1:3] and paged["left"] == 3
    newest = api.get(path).json()
    assert (newest["since"], newest["data_date"], newest["customers"]) == ("2026-03-27", "2026-03-28", [])
    for bad, status in (
        ({"data_date": "2020-01-01"}, 404),
        ({"since": "2026-03-28"}, 400),
        ({"since": "2026-03-25"}, 404),
        ({"limit": "0"}, 400),
    ):
        assert api.get(path, params=bad).status_code == status, bad


def test_whether_a_group_tells_is_set_and_shown(api: httpx.Client, group: TargetGroup) -> None:
    path = f"/manage/v1/target-groups/{group.id}"
    assert api.get(path).json()["tells_changes"] is True
    assert api.patch(path, json={"name": "German"}).json()["tells_changes"] is True
    assert api.patch(path, json={"tells_changes": False}).json()["tells_changes"] is False
    made = api.post("/manage/v1/target-groups", json={"name": "New", "definition": GERMAN}).json()
    assert made["tells_changes"] is False


def test_the_event_is_of_no_channel(scope: Scope) -> None:
    with pytest.raises(Invalid, match="ChannelID must not be given with EventTypeID 101"):
        notifications.register_listener(scope, notifications.GROUP_CHANGED, "http://127.0.0.1:9/groups", 504)
