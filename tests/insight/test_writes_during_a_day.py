"""What is written or erased while a day is computed is in its profile, and what was erased stays out of it."""

from datetime import date
from typing import Any

import pytest

from rapport.access import service
from rapport.access.scope import Scope
from rapport.customers.writes import attribute_requests
from rapport.insight import service as insight
from rapport.insight import snapshot, work
from rapport.stores.records import locks

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
CITIES = "SELECT customer_id, CITY FROM profiles WHERE data_date = {day:Date} ORDER BY customer_id"


def steps(scope: Scope, day: date, until: str) -> None:
    """The model's steps of a day before a step."""
    for name, step in insight.MODEL_STEPS:
        if name == until:
            return
        step(scope, day)
    raise AssertionError(until)


def lock_is_free(scope: Scope) -> bool:
    """Whether another connection could take the lock of customers' writes."""
    with scope.stores.records.engine.connect() as connection:
        free = locks.take_if_free(connection, locks.Lock.CUSTOMER_WRITES, scope.tenant_id)
        if free:
            locks.release(connection, locks.Lock.CUSTOMER_WRITES, scope.tenant_id)
    return free


def test_writes_and_erasure_between_reading_and_publishing(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("K1", date(2026, 1, 1), "Oslo", "k1@x.org"), ("K2", date(2026, 1, 1), "Oslo", "k2@x.org")]
    scope.warehouse.insert("customers", ["customer_id", "REGISTRATION_DATE", "CITY", "EMAIL"], rows)
    insight.run_model(scope, FIRST)

    # The table is read and replaced under the lock that every write and erasure takes.
    steps(scope, SECOND, "profiles")
    replace, taken = work.replace_partition, []

    def watched(*given: Any) -> None:
        taken.append(lock_is_free(scope))
        replace(*given)

    monkeypatch.setattr(work, "replace_partition", watched)
    assert lock_is_free(scope)
    snapshot.write_profiles(scope, SECOND)
    assert taken == [False]

    # Written after the profile was built and before it is published.
    assert scope.data_date() == FIRST
    assert attribute_requests.upsert(scope, "k1", [["CITY", "Wien"]], None)["errors"] == []
    assert attribute_requests.upsert(scope, "K3", [["CITY", "Rom"]], None)["errors"] == []
    service.publish_data_date(scope, SECOND)
    assert scope.warehouse.rows(CITIES, day=SECOND) == [("K1", "Wien"), ("K2", "Oslo"), ("K3", "Rom")]
    assert scope.warehouse.rows(CITIES, day=FIRST) == [("K1", "Wien"), ("K2", "Oslo"), ("K3", "Rom")]
    snapshot.clean_up(scope, SECOND)
