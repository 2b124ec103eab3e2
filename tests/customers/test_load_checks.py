"""Load checks: what must have come, and how much, before a day is computed."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers.importing import imports, load_checks
from rapport.customers.importing.load_checks import LoadCheck, LoadCheckFailed
from rapport.errors import Invalid
from rapport.stores import Stores

MONDAY = date(2025, 6, 2)


@pytest.fixture
def scope(stores: Stores) -> Scope:
    """Ten orders on each of the 20 days before Monday, 3 on Monday."""
    made = create_tenant(stores, f"checks-{datetime.now(UTC).timestamp()}")
    rows = []
    for back in range(21):
        day = datetime(2025, 6, 2, 12, tzinfo=UTC) - timedelta(days=back)
        rows += [(f"{back}-{n}", "c", day, 1.0) for n in range(10 if back else 3)]
    made.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    return made


def test_nothing_set_means_nothing_checked(scope: Scope) -> None:
    assert load_checks.check_loads(scope, MONDAY) == []


def volume(scope: Scope, **settings: object) -> LoadCheck:
    load_checks.set_load_checks(scope, {"transactions": {"volume": settings}})
    (check,) = load_checks.check_loads(scope, MONDAY)
    return check


def test_volume_against_the_average(scope: Scope) -> None:
    check = volume(scope, is_fail=False)
    assert (check.outcome, check.count, check.average) == ("ok", 3, 10.0)
    assert volume(scope, is_fail=False, mult_factor=0.31).outcome == "notify"
    assert volume(scope, is_fail=False, mult_factor=0.3).outcome == "ok"
    with pytest.raises(LoadCheckFailed, match="3 transactions of 2025-06-02"):
        volume(scope, mult_factor=0.5)
    assert volume(scope, mult_factor=0.5, days_to_ignore=["Monday"]).outcome == "ok"
    assert volume(scope, compare_avg=False).outcome == "ok"
    load_checks.set_load_checks(scope, {"transactions": {"volume": {"compare_avg": False}}})
    with pytest.raises(LoadCheckFailed):
        load_checks.check_loads(scope, MONDAY + timedelta(days=1))


def test_missing_files(scope: Scope, stores: Stores, tmp_path: Path) -> None:
    stores.clock.set(datetime(2025, 6, 3, 6, tzinfo=UTC))
    try:
        load_checks.set_load_checks(scope, {"products": {"missing": "fail"}, "activity": {"missing": "notify"}})
        with pytest.raises(LoadCheckFailed, match="No file of products"):
            load_checks.check_loads(scope, MONDAY)
        path = tmp_path / "p.csv"
        path.write_text("Item_ID\n1\n")
        imports.import_file(scope, "products", path, None, "full", allow_rejects=False)
        outcomes = {check.kind: check.outcome for check in load_checks.check_loads(scope, MONDAY)}
        assert outcomes == {"products": "ok", "activity": "notify"}
        stores.clock.set(datetime(2025, 6, 4, 6, tzinfo=UTC))
        with pytest.raises(LoadCheckFailed):
            load_checks.check_loads(scope, MONDAY + timedelta(days=1))
        assert imports.import_file(scope, "products", path, None, "full", allow_rejects=False).unchanged
        load_checks.check_loads(scope, MONDAY + timedelta(days=1))
    finally:
        stores.clock.set(None)


def test_bad_settings(scope: Scope) -> None:
    for bad in ({"orders": {}}, {"products": {"missing": "maybe"}}, {"products": {"volume": {"mult_factor": -1}}}):
        with pytest.raises(Invalid):
            load_checks.set_load_checks(scope, bad)
