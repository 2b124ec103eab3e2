"""Days that are older than the tenant keeps profiles: a backlog in the wrong order, or a day run again."""

from datetime import UTC, datetime, timedelta

import pytest
from campaign_tenant import DATA_DATE, EXTERNAL, FILL, add_action, add_channels, add_group, add_series, group

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import cycles, daily
from rapport.insight import snapshot


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    """A company whose newest day has run."""
    scope.clock.set(datetime(2026, 3, 10, 5, tzinfo=UTC))
    for statement in FILL:
        scope.warehouse.execute(statement)
    add_channels(scope)
    add_group(scope, "Belgian", "BE")
    add_action(scope)
    daily.run_cycle(scope, DATA_DATE)
    return scope


def test_a_day_older_than_profiles_are_kept_has_its_members(tenant: Scope) -> None:
    """Its profile is there until its campaigns are processed, and no longer; the newest date loses nothing."""
    old = DATA_DATE - timedelta(days=20)
    once = {"kind": "once", "start_date": (old + timedelta(days=1)).isoformat()}
    made = add_series(tenant, 1, [group(2, (EXTERNAL, 3))], schedule=once, control_share=0)
    assert daily.run_cycle(tenant, old).state == "finished"
    (run,) = occurrences.occurrences(tenant, series_id=made.id)
    assert run.state in ("scheduled", "executing") and (run.error, run.targeted) == ("", 40)  # its time is over
    days = tenant.warehouse.rows("SELECT DISTINCT data_date FROM profiles ORDER BY data_date")
    assert days == [(DATA_DATE,)] and tenant.data_date() == DATA_DATE


def test_dates_under_way_keep_their_profiles(tenant: Scope) -> None:
    old = DATA_DATE - timedelta(days=21)
    run = cycles.begin(tenant, old)
    tenant.warehouse.insert("profiles", ["data_date", "customer_id"], [(old, "C00001")])
    snapshot.clean_up(tenant, DATA_DATE, cycles.under_way(tenant))
    kept = "SELECT count() FROM profiles WHERE data_date = {day:Date}"
    assert tenant.warehouse.value(kept, day=old) == 1
    cycles.end(tenant, old, run, "")
    snapshot.clean_up(tenant, DATA_DATE, cycles.under_way(tenant))
    assert tenant.warehouse.value(kept, day=old) == 0
