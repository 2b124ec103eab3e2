"""The sizes of all target groups are kept for every data date, counted in few statements."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import groups, membership, sizes
from rapport.audiences import sizes as audience_sizes
from rapport.audiences.models import DailySize, Snapshot, TargetGroup
from rapport.campaigns.cycle.daily import _note_sizes
from rapport.errors import NotFound

BEFORE, DATA_DATE = date(2026, 3, 27), date(2026, 3, 28)
COUNTRIES = {BEFORE: ["DE"] * 30 + ["FR"] * 20, DATA_DATE: ["DE"] * 40 + ["FR"] * 25 + [None]}


@pytest.fixture(autouse=True)
def data(scope: Scope) -> None:
    """Profiles of two days, and no groups."""
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    with scope.records() as session:
        for table in (TargetGroup, DailySize, Snapshot):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id))
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))
    if not scope.warehouse.value("SELECT count() FROM profiles"):
        for day, some in COUNTRIES.items():
            rows = [(day, f"C{number:03}", country) for number, country in enumerate(some)]
            scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], rows)


def of(country: str) -> dict[str, Any]:
    return {"attribute": "COUNTRY", "operator": "equals", "value": country}


def curve(scope: Scope, number: int) -> list[tuple[date, int, int]]:
    return [(one.data_date, one.size, one.version) for one in audience_sizes.sizes_of(scope, number, None, None)]


def test_every_group_has_a_size_for_every_day(scope: Scope) -> None:
    german = groups.create_target_group(scope, "Germans", of("DE")).id
    others = groups.create_target_group(scope, "Others", {"not": of("DE")}).id
    everybody = groups.create_target_group(scope, "All", {"all": []}).id
    nobody = groups.create_target_group(scope, "Nobody", of("XX")).id
    gone = groups.create_target_group(scope, "Gone", of("FR")).id
    groups.archive_target_group(scope, gone)
    for day in (BEFORE, DATA_DATE):
        audience_sizes.note_sizes(scope, day, [])
    assert curve(scope, german) == [(BEFORE, 30, 1), (DATA_DATE, 40, 1)]
    assert curve(scope, others) == [(BEFORE, 20, 1), (DATA_DATE, 26, 1)], "whose country nobody knows is no German"
    assert curve(scope, everybody) == [(BEFORE, 50, 1), (DATA_DATE, 66, 1)]
    assert curve(scope, nobody) == [(BEFORE, 0, 1), (DATA_DATE, 0, 1)]
    assert curve(scope, gone) == []
    group = groups.target_group(scope, german)
    assert (group.size, group.size_date, group.sized_at) == (40, DATA_DATE, scope.clock.now())
    audience_sizes.note_sizes(scope, BEFORE, [])
    assert groups.target_group(scope, german).size_date == DATA_DATE, "an older day does not replace the newest"
    with pytest.raises(NotFound):
        audience_sizes.sizes_of(scope, 9999, None, None)


def test_members_that_were_computed_are_not_counted_again(scope: Scope) -> None:
    german = groups.create_target_group(scope, "Germans", of("DE")).id
    french = groups.create_target_group(scope, "French", of("FR")).id
    for number in (german, french):
        membership.compute_members(scope, number, DATA_DATE)
    with scope.records() as session:
        session.execute(update(Snapshot).where(Snapshot.tenant_id == scope.tenant_id).values(size=7))
    audience_sizes.note_sizes(scope, DATA_DATE, [german])
    assert curve(scope, german) == [(DATA_DATE, 7, 1)], "the stored ones"
    assert curve(scope, french) == [(DATA_DATE, 25, 1)], "those of an earlier run of the day are counted"


def test_groups_that_others_name_come_first(scope: Scope) -> None:
    base = groups.create_target_group(scope, "Base", of("DE")).id
    middle = groups.create_target_group(scope, "Middle", {"not": {"group": base}}).id
    top = groups.create_target_group(scope, "Top", {"all": [{"group": middle}, of("FR")]}).id
    audience_sizes.note_sizes(scope, DATA_DATE, [])
    assert [curve(scope, one)[0][1] for one in (base, middle, top)] == [40, 26, 25]


def test_one_that_cannot_be_counted_leaves_the_others(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    good = groups.create_target_group(scope, "Good", of("DE")).id
    bad, above = (groups.create_target_group(scope, name, of("DE")).id for name in ("Bad", "Above"))
    groups.update_target_group(scope, above, definition={"group": bad})
    broken = {"attribute": "NO_SUCH", "operator": "equals", "value": "x"}
    with scope.records() as session:
        of_tenant = TargetGroup.tenant_id == scope.tenant_id
        session.execute(update(TargetGroup).where(of_tenant, TargetGroup.id == bad).values(definition=broken))
    audience_sizes.note_sizes(scope, DATA_DATE, [])
    assert [len(curve(scope, one)) for one in (good, bad, above)] == [1, 0, 0]
    monkeypatch.setattr(sizes, "AT_ONCE", 1)
    audience_sizes.note_sizes(scope, BEFORE, [])
    assert curve(scope, good) == [(BEFORE, 30, 1), (DATA_DATE, 40, 1)]


def test_a_new_definition_is_a_new_version_and_old_sizes_end(scope: Scope) -> None:
    german = groups.create_target_group(scope, "Germans", of("DE")).id
    audience_sizes.note_sizes(scope, BEFORE, [])
    groups.update_target_group(scope, german, definition=of("FR"))
    _note_sizes(scope.tenant_id, DATA_DATE.isoformat(), [])
    assert curve(scope, german) == [(BEFORE, 30, 1), (DATA_DATE, 25, 2)]
    with scope.records() as session:
        first = select(DailySize).where(DailySize.tenant_id == scope.tenant_id, DailySize.data_date == BEFORE)
        session.scalars(first).one().data_date = DATA_DATE - sizes.KEPT - timedelta(days=1)
    audience_sizes.note_sizes(scope, DATA_DATE, [])
    assert curve(scope, german) == [(DATA_DATE, 25, 2)]


def test_over_http(scope: Scope, api: httpx.Client) -> None:
    number = groups.create_target_group(scope, "Germans", of("DE")).id
    for day in (BEFORE, DATA_DATE):
        audience_sizes.note_sizes(scope, day, [])
    path = f"/manage/v1/target-groups/{number}/sizes"
    first = {"data_date": "2026-03-27", "size": 30, "version": 1}
    assert api.get(path).json() == [first, {"data_date": "2026-03-28", "size": 40, "version": 1}]
    assert api.get(path, params={"last": "2026-03-27"}).json() == [first]
    assert [one["size"] for one in api.get(path, params={"first": "2026-03-28"}).json()] == [40]
    assert api.get("/manage/v1/target-groups/9999/sizes").status_code == 404


def test_a_sentence_is_refused_where_a_group_would_be(scope: Scope, api: httpx.Client) -> None:
    path = "/manage/v1/target-groups/sentence"
    said = api.post(path, json={"definition": {"not": {"history": "campaigns", "where": {"channel": 504}}}})
    assert (said.status_code, said.json()["detail"]) == (400, "definition names channel 504, which does not exist.")
    said = api.post(path, json={"definition": {"group": 4711}})
    assert (said.status_code, "4711, which does not exist" in said.json()["detail"]) == (400, True)
    said = api.post(path, json={"definition": of("DE")})
    assert said.json() == {"sentence": "Country is 'DE'"}
